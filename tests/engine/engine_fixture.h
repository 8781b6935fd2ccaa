// An engine for the tests of the door, and models from text or from tests/problems.
#ifndef COSTATE_TESTS_ENGINE_ENGINE_FIXTURE_H_
#define COSTATE_TESTS_ENGINE_ENGINE_FIXTURE_H_

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/evaluator_factory.h"
#include "engine/model/model.h"
#include "gtest/gtest.h"

namespace costate::testing {

// The evaluator of this build, shared by the tests of a program.
inline Engine& TestEngine() {
  static Engine& engine = *new Engine({.evaluator = MakeEvaluator({}).value()});
  return engine;
}

inline std::shared_ptr<const Model> CompileText(std::string_view text) {
  ParsedModel parsed = ParseModel(text);
  if (!parsed.ok()) {
    ADD_FAILURE() << FormatIssues("test.ode", text, parsed.issues);
    return nullptr;
  }
  return TestEngine().Compile(std::move(parsed.ir)).value();
}

inline std::shared_ptr<const Model> CompileProblem(const std::string& file) {
  std::ifstream stream(std::string(COSTATE_SOURCE_DIR) + "/tests/problems/" + file);
  std::ostringstream text;
  text << stream.rdbuf();
  return CompileText(text.str());
}

inline NamedArray Scalar(std::string name, double value) {
  return {.name = std::move(name), .shape = {}, .values = {value}};
}

inline NamedArray Batch(std::string name, std::vector<double> values) {
  const int64_t size = static_cast<int64_t>(values.size());
  return {.name = std::move(name), .shape = {size}, .values = std::move(values)};
}

inline Simulation Simulate(std::shared_ptr<const Model> model, double t0, double t1,
                           double rtol = 1e-6, double atol = 1e-9) {
  Simulation simulation;
  simulation.model = std::move(model);
  simulation.t0 = {t0};
  simulation.t1 = {t1};
  simulation.options.control.rtol = rtol;
  simulation.options.control.atol = {atol};
  return simulation;
}

inline void SaveTimes(Simulation* simulation, std::vector<double> times) {
  simulation->options.save.kind = SaveAt::Kind::kTimes;
  simulation->options.save.times = std::move(times);
}

inline Loss Squares(Channel channel, std::vector<double> times, std::vector<double> values) {
  LeastSquares term;
  term.channel = channel;
  term.times = std::move(times);
  term.values = std::move(values);
  term.sigma = {1.0};
  Loss loss;
  loss.terms.emplace_back(std::move(term));
  return loss;
}

inline Loss TerminalState(std::vector<double> weights) {
  Loss loss;
  loss.terms.emplace_back(Terminal{.state = std::move(weights), .output = {}});
  return loss;
}

}  // namespace costate::testing

#endif  // COSTATE_TESTS_ENGINE_ENGINE_FIXTURE_H_

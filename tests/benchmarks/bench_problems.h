// Requests that the gradient benchmarks share.
#ifndef COSTATE_TESTS_BENCHMARKS_BENCH_PROBLEMS_H_
#define COSTATE_TESTS_BENCHMARKS_BENCH_PROBLEMS_H_

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/evaluator_factory.h"
#include "engine/model/model.h"

namespace costate {

[[noreturn]] inline void Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) Fail(value.status());
  return *std::move(value);
}

inline Engine& TheEngine() {
  static Engine& engine = *new Engine({.evaluator = Must(MakeEvaluator({}))});
  return engine;
}

inline std::shared_ptr<const Model> CompileModel(const std::string& text) {
  ParsedModel parsed = ParseModel(text);
  if (!parsed.ok()) Fail(absl::InvalidArgumentError(text));
  return Must(TheEngine().Compile(std::move(parsed.ir)));
}

// A file of tests/problems.
inline std::shared_ptr<const Model> Load(const std::string& file) {
  std::ifstream stream(std::string(COSTATE_SOURCE_DIR) + "/tests/problems/" + file);
  std::ostringstream text;
  text << stream.rdbuf();
  return CompileModel(text.str());
}

inline Simulation Simulate(std::shared_ptr<const Model> model, double t1, double rtol,
                           double atol) {
  Simulation simulation;
  simulation.model = std::move(model);
  simulation.t1 = {t1};
  simulation.options.control.rtol = rtol;
  simulation.options.control.atol = {atol};
  simulation.options.method = Method::kTsit5;
  simulation.method_auto = false;
  return simulation;
}

// Sum of squares of the first `states` states at `times`.
inline Loss SumOfSquares(int states, const std::vector<double>& times) {
  Loss loss;
  for (int i = 0; i < states; ++i) {
    LeastSquares term;
    term.channel = {Channel::Kind::kState, i};
    term.times = times;
    term.values.assign(times.size(), 0.0);
    term.sigma = {1.0};
    loss.terms.emplace_back(std::move(term));
  }
  return loss;
}

// first, first + step, ...: `count` times.
inline std::vector<double> EvenTimes(double first, double step, int count) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) times.push_back(first + step * i);
  return times;
}

// The solve of a gradient request by itself, saving the same times.
inline SolveRequest PlainSolve(const GradientRequest& request) {
  SolveRequest plain = {.simulation = request.simulation};
  plain.simulation.options.save.kind = SaveAt::Kind::kTimes;
  plain.simulation.options.save.times = LossTimes(request.loss, false);
  return plain;
}

}  // namespace costate

#endif  // COSTATE_TESTS_BENCHMARKS_BENCH_PROBLEMS_H_

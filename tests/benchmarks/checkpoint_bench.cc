// What recomputation costs: gradients by backprop, from checkpoints and from segments, over the
// plain solve of the same problem, and the bytes that each holds.
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
#include "tests/benchmarks/report.h"

namespace costate {
namespace {

[[noreturn]] void Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) Fail(value.status());
  return *std::move(value);
}

Engine& TheEngine() {
  static Engine& engine = *new Engine({.evaluator = Must(MakeEvaluator({}))});
  return engine;
}

std::shared_ptr<const Model> Load(const std::string& file) {
  std::ifstream stream(std::string(COSTATE_SOURCE_DIR) + "/tests/problems/" + file);
  std::ostringstream text;
  text << stream.rdbuf();
  ParsedModel parsed = ParseModel(text.str());
  if (!parsed.ok()) Fail(absl::InvalidArgumentError(file));
  return Must(TheEngine().Compile(std::move(parsed.ir)));
}

struct Choice {
  std::string name;
  GradientMethod method;
  int64_t checkpoints = 0, segments = 0;
  const char* reach = "";
};

const std::vector<Choice>& Choices() {
  static const std::vector<Choice>& choices = *new std::vector<Choice>{
      {"backprop", GradientMethod::kBackprop, 0, 0, "<= 3x"},
      {"checkpointed, c = 10", GradientMethod::kCheckpointed, 10, 0, "<= 5x"},
      {"checkpointed, c = 40", GradientMethod::kCheckpointed, 40, 0, ""},
      {"checkpointed, c = what the budget holds", GradientMethod::kCheckpointed, 0, 0, ""},
      {"segmented, K = 10", GradientMethod::kSegmented, 0, 10, ""},
  };
  return choices;
}

void Compare(const std::string& name, const std::string& file, double t1, double rtol) {
  GradientRequest request;
  Simulation& simulation = request.simulation;
  simulation.model = Load(file);
  simulation.t1 = {t1};
  simulation.options.control.rtol = rtol;
  simulation.options.control.atol = {rtol * 1e-3};
  simulation.options.method = Method::kTsit5;
  simulation.method_auto = false;
  LeastSquares term;
  term.channel = {Channel::Kind::kState, 0};
  for (int i = 1; i <= 10; ++i) term.times.push_back(0.1 * i * t1);
  term.values.assign(10, 0.0);
  term.sigma = {1.0};
  request.loss.terms.emplace_back(term);
  SolveRequest plain = {.simulation = simulation};
  plain.simulation.options.save.kind = SaveAt::Kind::kTimes;
  plain.simulation.options.save.times = term.times;

  BenchTable table(name + ", Tsit5, L2 loss of the first state at 10 times, whole calls");
  for (const Choice& choice : Choices()) {
    request.gradient.method = choice.method;
    request.gradient.adjoint.checkpoints = choice.checkpoints;
    request.gradient.adjoint.segments = choice.segments;
    const GradientStats stats = Must(TheEngine().Differentiate(request)).trajectories[0].stats;
    const PairedTimes times = MedianPair([&] { Must(TheEngine().Differentiate(request)); },
                                         [&] { Must(TheEngine().Solve(plain)); });
    table.Row(choice.name + ", " + std::to_string(stats.solve.accepted_steps) + "+" +
                  std::to_string(stats.adjoint.recomputed_steps) + " steps, " +
                  std::to_string(stats.adjoint.peak_stored_bytes) + " B",
              1e-6 * times.first_ns, "ms", "plain solve, same save times", 1e-6 * times.second_ns,
              choice.reach);
  }
}

}  // namespace
}  // namespace costate

int main() {
  costate::Compare("SIR, rtol 1e-6", "sir.ode", 160, 1e-6);
  costate::Compare("SIR, rtol 1e-10", "sir.ode", 160, 1e-10);
  costate::Compare("Lorenz, rtol 1e-6", "lorenz.ode", 10, 1e-6);
  costate::Compare("neuron, rtol 1e-6", "neuron.ode", 100, 1e-6);
  return 0;
}

// Gradients of reversible schemes: the set-ups of McCallum and Foster (arXiv 2410.11648) with the
// times they published, and how time and memory grow with the number of steps.
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/benchmarks/bench_problems.h"
#include "tests/benchmarks/report.h"

namespace costate {
namespace {

// A network of (t, y) with one hidden layer of tanh: [states, width] @ tanh(...) as y'.
std::shared_ptr<const Model> Network(int states, int width) {
  const std::string n = std::to_string(states), w = std::to_string(width);
  return CompileModel("param a[" + w + "]\nparam W1[" + w + ", " + n + "]\nparam b1[" + w +
                      "]\nparam W2[" + n + ", " + w + "]\nparam b2[" + n + "]\nstate y[" + n +
                      "] = 0\ny' = W2 @ tanh(W1 @ y + a*t + b1) + b2\n");
}

// Weights without structure, of the size of a fresh network.
void SetWeights(int states, int width, Simulation* simulation) {
  const auto fill = [simulation](const char* name, std::vector<int64_t> shape) {
    int64_t size = 1;
    for (const int64_t extent : shape) size *= extent;
    NamedArray array = {name, std::move(shape), {}};
    for (int64_t i = 0; i < size; ++i) {
      array.values.push_back(0.4 * std::sin(1.3 * static_cast<double>(i) + name[0]));
    }
    simulation->params.push_back(std::move(array));
  };
  fill("a", {width});
  fill("W1", {width, states});
  fill("b1", {width});
  fill("W2", {states, width});
  fill("b2", {states});
  std::vector<double> y0(states);
  for (int i = 0; i < states; ++i) y0[i] = i % 2 == 0 ? 1 : 0;
  simulation->initial_state.push_back({"y", {states}, y0});
}

struct Choice {
  std::string name;
  GradientMethod method;
  std::optional<double> coupling;
  int64_t checkpoints = 0;
};

struct Outcome {
  double milliseconds = 0;
  AdjointStats stats;
};

void Choose(const Choice& choice, GradientRequest* request) {
  request->simulation.options.coupling = choice.coupling;
  request->gradient.method = choice.method;
  request->gradient.adjoint.checkpoints = choice.checkpoints;
  if (choice.method == GradientMethod::kBacksolve) {
    request->gradient.adjoint.backward_method = Method::kTsit5;
    request->gradient.adjoint.backward_rtol = 1e-6;
    request->gradient.adjoint.backward_atol = 1e-9;
  }
}

Outcome Measure(GradientRequest request, const Choice& choice, int rounds = 15) {
  Choose(choice, &request);
  Outcome outcome;
  const double ns = MedianNanoseconds(
      [&] {
        outcome.stats = Must(TheEngine().Differentiate(request)).trajectories[0].stats.adjoint;
      },
      rounds);
  outcome.milliseconds = 1e-6 * ns;
  return outcome;
}

// Squares of all states after each of `n` fixed steps over [0, t1].
GradientRequest OfAllSteps(int states, double t1, int n, Method method, int width = 10) {
  GradientRequest request;
  Simulation& simulation = request.simulation;
  simulation = Simulate(Network(states, width), t1, 1e-6, 1e-9);
  SetWeights(states, width, &simulation);
  simulation.options.method = method;
  simulation.options.control.kind = StepControl::Kind::kFixed;
  simulation.options.control.fixed_step = t1 / n;
  std::vector<double> times;
  for (int i = 1; i <= n; ++i) times.push_back(i == n ? t1 : i * (t1 / n));
  request.loss = SumOfSquares(states, times);
  return request;
}

struct Published {
  Method base;
  double reversible, optimal;  // minutes of 1,000 optimiser steps
};

void WhiteDwarf() {
  BenchTable table(
      "white dwarf: MLP 3-10-2, 1,000 steps on [0, 5], loss at every step; a gradient");
  const Published kBases[] = {{Method::kEuler, 1.52, 5.22},
                              {Method::kMidpoint, 1.74, 5.45},
                              {Method::kRalston3, 1.81, 4.90},
                              {Method::kRk4, 2.21, 4.95}};
  for (const Published& base : kBases) {
    const GradientRequest request = OfAllSteps(2, 5.0, 1000, base.base);
    std::vector<Choice> choices = {
        {"reversible", GradientMethod::kReversible, 0.999, 0},
        {"backprop of the same scheme", GradientMethod::kBackprop, 0.999, 0},
        {"backprop", GradientMethod::kBackprop, {}, 0}};
    for (const int c : {2, 4, 8, 16, 32, 44}) {
      choices.push_back(
          {"checkpointed, c = " + std::to_string(c), GradientMethod::kCheckpointed, {}, c});
    }
    choices.push_back({"backsolve", GradientMethod::kBacksolve, {}, 0});
    for (const Choice& choice : choices) {
      const Outcome outcome = Measure(request, choice);
      const std::string name = std::string(GetMethodInfo(base.base).name) + ", " + choice.name +
                               ", " + std::to_string(outcome.stats.peak_stored_bytes) + " B";
      if (choice.method == GradientMethod::kReversible) {
        table.Row(name, outcome.milliseconds, "ms", "published, of 1,000 iterations",
                  base.reversible * 60, "< 1.5 ms");
      } else if (choice.checkpoints == 44) {
        table.Row(name, outcome.milliseconds, "ms", "published, of 1,000 iterations",
                  base.optimal * 60, "");
      } else {
        table.Row(name, outcome.milliseconds, "ms", "", 0, "");
      }
    }
  }
}

// Memory beyond the step times, 8 bytes each, should not grow, and time should be linear.
void Growth() {
  BenchTable table("growth with the number of steps: the same network, RK4, loss at the end");
  for (const int n : {1000, 10'000, 100'000, 1'000'000}) {
    GradientRequest request = OfAllSteps(2, 5.0, n, Method::kRk4);
    Terminal end;
    end.state = {1.0, 1.0};
    request.loss.terms = {end};
    request.simulation.options.max_steps = 2'000'000;
    const Choice ways[] = {{"reversible", GradientMethod::kReversible, 0.999, 0},
                           {"checkpointed, c = 44", GradientMethod::kCheckpointed, {}, 44}};
    for (const Choice& way : ways) {
      const Outcome outcome = Measure(request, way, n > 10'000 ? 1 : 5);
      table.Row(way.name + ", " + std::to_string(n) + " steps, " +
                    std::to_string(outcome.stats.peak_stored_bytes - 8 * n) +
                    " B beyond the step times",
                1e6 * outcome.milliseconds / n, "ns/step", "", 0, "");
    }
  }
}

void Measured() {
  BenchTable table("the sizes measured on real data, here with generated data");
  const GradientRequest oscillator = OfAllSteps(4, 3.0, 500, Method::kRk4);
  GradientRequest pendulum = OfAllSteps(4, 2.0, 500, Method::kBosh3);
  pendulum.simulation.options.control = StepControl();
  pendulum.simulation.options.control.rtol = 1e-6;
  pendulum.simulation.options.control.atol = {1e-6};
  pendulum.simulation.options.control.controller = StepControl::Controller::kPID;
  struct Case {
    const char* name;
    const GradientRequest* request;
    double reversible, optimal;  // published minutes of 10,000 iterations
  };
  const Case kCases[] = {
      {"coupled oscillator, MLP 4-10-4, RK4, 500 steps", &oscillator, 15.51, 30.8},
      {"double pendulum, MLP 4-10-4, adaptive Bosh3", &pendulum, 21.9, 62.4}};
  for (const Case& one : kCases) {
    const Outcome back = Measure(*one.request, {"", GradientMethod::kReversible, 0.999, 0});
    table.Row(std::string(one.name) + ", reversible", back.milliseconds, "ms",
              "published, of 10,000 iterations", one.reversible * 6, "");
    const Outcome checkpointed = Measure(*one.request, {"", GradientMethod::kCheckpointed, {}, 32});
    table.Row(std::string(one.name) + ", checkpointed, c = 32", checkpointed.milliseconds, "ms",
              "published, of 10,000 iterations", one.optimal * 6, "");
  }
}

// A batch of initial states through one network: each by itself, and all in lanes. Wide layers fill
// the registers by themselves.
void Batches(int width) {
  const std::string name = std::to_string(width);
  BenchTable table("32 gradients: neural ODE 4-" + name + "-4, 50 RK4 steps, loss at the end");
  constexpr int kBatch = 32, kStates = 4;
  GradientRequest batch = OfAllSteps(kStates, 1.0, 50, Method::kRk4, width);
  Terminal end;
  end.state.assign(kStates, 1.0);
  batch.loss.terms = {end};
  std::vector<GradientRequest> alone(kBatch, batch);
  NamedArray& y0 = batch.simulation.initial_state[0];
  y0 = {"y", {kBatch, kStates}, {}};
  for (int b = 0; b < kBatch; ++b) {
    std::vector<double>& own = alone[b].simulation.initial_state[0].values;
    for (int i = 0; i < kStates; ++i) own[i] += 0.01 * b;
    y0.values.insert(y0.values.end(), own.begin(), own.end());
  }
  const Choice kChoices[] = {{"reversible", GradientMethod::kReversible, 0.999, 0},
                             {"backprop, coupled", GradientMethod::kBackprop, 0.999, 0},
                             {"backprop", GradientMethod::kBackprop, {}, 0},
                             {"checkpointed, c = 10", GradientMethod::kCheckpointed, {}, 10}};
  for (const Choice& choice : kChoices) {
    for (GradientRequest& one : alone) Choose(choice, &one);
    Choose(choice, &batch);
    const auto in_lanes = [&] { Must(TheEngine().Differentiate(batch)); };
    const auto one_by_one = [&] {
      for (const GradientRequest& one : alone) Must(TheEngine().Differentiate(one));
    };
    const PairedTimes times = MedianPair(in_lanes, one_by_one, 11);
    table.Row(choice.name + ", in lanes", 1e-6 * times.first_ns, "ms", "one by one",
              1e-6 * times.second_ns, "");
  }
}

}  // namespace
}  // namespace costate

int main() {
  costate::WhiteDwarf();
  costate::Growth();
  costate::Measured();
  costate::Batches(10);
  costate::Batches(64);
  return 0;
}

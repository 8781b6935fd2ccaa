// Evaluations of fits: residuals with Jacobian against plain solves, and gradients of a network
// against the bare gradient.
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/base/workers.h"
#include "engine/fit/objective.h"
#include "tests/benchmarks/bench_problems.h"
#include "tests/benchmarks/report.h"

namespace costate {
namespace {

using optimise::Question;
using optimise::Wanted;

// The influenza outbreak of client/python/examples/influenza.py, with i(0) free.
fit::FitProblem Influenza() {
  fit::FitProblem problem;
  problem.simulation =
      Simulate(CompileModel("param b = 1.66 in [0, 10]\nparam k = 0.44 in [0, 10]\nstate s = 762\n"
                            "state i = 1\nstate r = 0\nlet n = s + i + r\ns' = -b*s*i/n\n"
                            "i' = b*s*i/n - k*i\nr' = k*i\noutput in_bed = i\n"),
               14, 1e-8, 1e-8);
  fit::Series series;
  series.channel = "in_bed";
  series.times = EvenTimes(1, 1, 14);
  series.values = {3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4};
  series.sigma = {10};
  problem.data = {series};
  for (const auto& [name, lower, upper] :
       {std::tuple("b", 0.1, 10.0), std::tuple("k", 0.05, 5.0), std::tuple("i", 0.1, 20.0)}) {
    fit::Free free;
    free.name = name;
    free.lower = lower;
    free.upper = upper;
    free.scale = fit::Scale::kLog;
    problem.free.push_back(free);
  }
  return problem;
}

std::vector<Question> Questions(const fit::Objective& objective, int64_t count, Wanted wanted) {
  std::vector<Question> questions;
  for (int64_t i = 0; i < count; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(count);
    questions.push_back(
        {objective.ToSearch(std::vector<double>{1.2 + share, 0.3 + 0.3 * share, 1 + share}),
         wanted});
  }
  return questions;
}

double EvaluationTime(const fit::Objective& objective, const std::vector<Question>& questions) {
  std::vector<const Question*> pointers;
  for (const Question& question : questions) pointers.push_back(&question);
  NoWorkers workers;
  return MedianNanoseconds([&] { Must(objective.Evaluate(pointers, kNeverStops, workers)); }, 15);
}

void Residuals() {
  BenchTable table("influenza, 14 data, b, k and i(0) free, rtol 1e-8; one thread, per point");
  const fit::FitProblem problem = Influenza();
  const auto objective = Must(fit::Objective::Create(TheEngine(), problem, {}));
  SolveRequest plain = {.simulation = problem.simulation};
  plain.simulation.options.save.kind = SaveAt::Kind::kTimes;
  plain.simulation.options.save.times = problem.data[0].times;
  const double solve = MedianNanoseconds([&] { Must(TheEngine().Solve(plain)); }, 15) * 1e-3;
  table.Row("a solve by the door", solve, "us", "", 0, "");
  for (const int64_t count : {1, 8, 64, 512}) {
    const std::string points = std::to_string(count) + (count == 1 ? " point" : " points");
    const double each = 1e-3 / static_cast<double>(count);
    table.Row("value, " + points,
              EvaluationTime(*objective, Questions(*objective, count, Wanted::kValue)) * each, "us",
              "a solve by the door", solve, "");
    table.Row("residuals and Jacobian, " + points,
              EvaluationTime(*objective, Questions(*objective, count, Wanted::kResiduals)) * each,
              "us", "a solve by the door", solve, "");
  }
}

// The network of reversible_bench.cc with squares of both states after each of 1,000 steps.
fit::FitProblem Network(Method method) {
  fit::FitProblem problem;
  problem.simulation = Simulate(
      CompileModel("param a[10]\nparam W1[10, 2]\nparam b1[10]\nparam W2[2, 10]\nparam b2[2]\n"
                   "state y[2] = [1, 0]\ny' = W2 @ tanh(W1 @ y + a*t + b1) + b2\n"),
      5, 1e-6, 1e-9);
  problem.simulation.options.method = method;
  problem.simulation.options.control.kind = StepControl::Kind::kFixed;
  problem.simulation.options.control.fixed_step = 5.0 / 1000;
  for (const char* channel : {"y[0]", "y[1]"}) {
    fit::Series series;
    series.channel_kind = Channel::Kind::kState;
    series.channel = channel;
    for (int i = 1; i <= 1000; ++i) series.times.push_back(i == 1000 ? 5.0 : i * (5.0 / 1000));
    series.values.assign(1000, 0.0);
    series.sigma = {1};
    problem.data.push_back(series);
  }
  for (const char* name : {"a", "W1", "b1", "W2", "b2"}) {
    fit::Free free;
    free.name = name;
    int64_t size = 0;
    for (const TensorInfo& tensor : problem.simulation.model->ir().params) {
      if (tensor.name == name) size = NumElements(tensor.shape);
    }
    for (int64_t i = 0; i < size; ++i) {
      free.start.push_back(0.4 * std::sin(1.3 * static_cast<double>(i) + name[0]));
    }
    problem.free.push_back(free);
  }
  return problem;
}

void Networks() {
  BenchTable table("MLP 3-10-2, 1,000 fixed steps, a loss at every step: one gradient");
  for (const auto& [method, name] :
       {std::pair(Method::kEuler, "euler"), std::pair(Method::kMidpoint, "midpoint")}) {
    const fit::FitProblem problem = Network(method);
    GradientOptions gradient;
    gradient.method = GradientMethod::kBackprop;
    const auto objective = Must(fit::Objective::Create(TheEngine(), problem, gradient));
    std::vector<double> start;
    for (const fit::FreeElement& element : objective->elements()) start.push_back(element.start);
    const double mine = EvaluationTime(*objective, {{start, Wanted::kGradient}}) * 1e-6;
    GradientRequest request;
    request.simulation = problem.simulation;
    for (const fit::Free& free : problem.free) {
      for (const TensorInfo& tensor : problem.simulation.model->ir().params) {
        if (tensor.name != free.name) continue;
        request.simulation.params.push_back(
            {free.name, {tensor.shape.begin(), tensor.shape.end()}, free.start});
      }
    }
    request.loss = SumOfSquares(2, problem.data[0].times);
    request.gradient = gradient;
    const double bare =
        MedianNanoseconds([&] { Must(TheEngine().Differentiate(request)); }, 15) * 1e-6;
    table.Row(std::string(name) + ", evaluated in a fit", mine, "ms", "a gradient by the door",
              bare, "< 2 ms");
  }
}

}  // namespace
}  // namespace costate

int main() {
  costate::Residuals();
  costate::Networks();
  return 0;
}

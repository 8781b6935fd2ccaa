// Gradients inside the engine, the whole call of the door timed, against published figures; where
// forward tangents and the reverse pass cross; and where the methods that `auto` chooses from do.
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/benchmarks/bench_problems.h"
#include "tests/benchmarks/report.h"

namespace costate {
namespace {

double Milliseconds(const GradientRequest& request) {
  return 1e-6 * MedianNanoseconds([&] { Must(TheEngine().Differentiate(request)); });
}

double SolveMilliseconds(const SolveRequest& request) {
  return 1e-6 * MedianNanoseconds([&] { Must(TheEngine().Solve(request)); });
}

std::string Steps(const GradientRequest& request) {
  const GradientResult result = Must(TheEngine().Differentiate(request));
  const SolveStats& stats = result.trajectories[0].stats.solve;
  return std::to_string(stats.accepted_steps) + "+" + std::to_string(stats.rejected_steps) +
         " steps";
}

struct Choice {
  const char* name;
  GradientMethod method;
  TangentControl control;
};
constexpr Choice kChoices[] = {
    {"forward, full control", GradientMethod::kForward, TangentControl::kFull},
    {"forward, primal only", GradientMethod::kForward, TangentControl::kPrimalOnly},
    {"backprop", GradientMethod::kBackprop, TangentControl::kFull},
};

// Every choice, and the plain solve that saves the same times.
void CompareWithPublished(const char* name, GradientRequest request, double published_ms,
                          const char* reach) {
  const SolveRequest plain = PlainSolve(request);
  BenchTable table(name);
  for (const Choice& choice : kChoices) {
    request.gradient.method = choice.method;
    request.gradient.tangent_control = choice.control;
    table.Row(std::string(choice.name) + ", " + Steps(request), Milliseconds(request), "ms",
              "published (numerics B.3)", published_ms, reach);
  }
  table.Row("plain solve, same save times", SolveMilliseconds(plain), "ms", "", 0, "");
}

void LotkaVolterra() {
  const std::vector<double> times = EvenTimes(0, 0.1, 101);
  GradientRequest request;
  request.simulation = Simulate(Load("lotka_volterra.ode"), 10, 1e-7, 1e-5);
  request.loss = SumOfSquares(2, times);
  CompareWithPublished(
      "Lotka-Volterra, 2 states, 3 parameters, Tsit5, rtol 1e-7, atol 1e-5, t in [0, 10], L2 loss "
      "of both states at 0, 0.1, ..., 10",
      request, 0.128, "< 0.06 ms");
}

// Weights as a new network has them: uniform within the Glorot bound, biases zero.
GradientRequest Spiral(int64_t* columns) {
  const auto model = Load("spiral_node.ode");
  GradientRequest request;
  request.simulation = Simulate(model, 1.5, 1e-7, 1e-9);
  std::mt19937_64 random(100);
  for (const TensorInfo& tensor : model->ir().params) {
    NamedArray array = {.name = tensor.name, .shape = {}, .values = {}};
    array.shape.assign(tensor.shape.begin(), tensor.shape.end());
    const double bound = tensor.shape.size() == 2 ? std::sqrt(6.0 / 52) : 0;
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (int64_t i = 0; i < NumElements(tensor.shape); ++i) {
      array.values.push_back(bound * uniform(random));
    }
    *columns += NumElements(tensor.shape);
    request.simulation.params.push_back(std::move(array));
  }
  std::vector<double> times;
  for (int i = 0; i < 30; ++i) times.push_back(1.5 * i / 29);
  request.loss = SumOfSquares(2, times);
  return request;
}

void SpiralNetwork() {
  int64_t columns = 0;
  const GradientRequest request = Spiral(&columns);
  CompareWithPublished(
      "Spiral neural ODE 2-50-2 (tanh, y^3 input, 252 parameters), y0 = (2, 0), Tsit5, rtol 1e-7, "
      "atol 1e-9, L2 loss of both states at 30 points on [0, 1.5]",
      request, 1.66, "< 0.4 ms");
}

// x_i' = -sin(p_i x_i) + 0.1 x_{i+1}: as many columns as wanted, on few states.
std::shared_ptr<const Model> Ring(int columns) {
  const std::string size = std::to_string(columns);
  std::string text = "model ring\nparam p[" + size + "]\nstate x[4] = [1, 2, 3, 4]\n" +
                     "let s = sum(p)/" + size + "\n" + "let q = sum(sin(p))/" + size + "\n" +
                     "x' = -sin(s*x) + 0.1*q\n";
  return CompileModel(text);
}

void ForwardAgainstBackprop() {
  BenchTable table("method auto: forward (full control) against backprop by number of columns");
  std::vector<double> times;
  for (int i = 1; i <= 20; ++i) times.push_back(0.5 * i);
  const auto row = [&table](const std::string& what, GradientRequest request) {
    request.gradient.method = GradientMethod::kForward;
    const double forward = Milliseconds(request);
    request.gradient.method = GradientMethod::kBackprop;
    table.Row(what, forward, "ms", "backprop", Milliseconds(request), "");
  };
  GradientRequest neuron;
  neuron.simulation = Simulate(Load("neuron.ode"), 100, 1e-6, 1e-9);
  neuron.loss = SumOfSquares(1, times);
  row("neuron, 13 states, 13 columns", neuron);
  for (const int columns : {8, 24, 48, 96, 192}) {
    GradientRequest request;
    request.simulation = Simulate(Ring(columns), 10, 1e-6, 1e-9);
    request.simulation.params = {
        {.name = "p", .shape = {columns}, .values = std::vector<double>(columns, 0.7)}};
    request.loss = SumOfSquares(4, times);
    row("ring, 4 states, " + std::to_string(columns) + " columns", request);
  }
  int64_t all = 0;
  for (const char* wrt : {"b2", "b1", "W1"}) {
    GradientRequest request = Spiral(&all);
    request.wrt = {wrt};
    row(std::string("spiral network, columns of ") + wrt, request);
  }
}

void Tsit5AgainstDopri8() {
  BenchTable table("method auto: tsit5 against dopri8 by rtol (atol = rtol / 1000), end only");
  struct Problem {
    const char* file;
    double t1;
  };
  for (const Problem problem : {Problem{"lotka_volterra.ode", 10}, Problem{"lorenz.ode", 10},
                                Problem{"neuron.ode", 200}, Problem{"van_der_pol.ode", 10}}) {
    for (const double rtol : {1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12}) {
      SolveRequest request = {.simulation =
                                  Simulate(Load(problem.file), problem.t1, rtol, rtol / 1000)};
      const double tsit5 = SolveMilliseconds(request);
      request.simulation.options.method = Method::kDopri8;
      char what[80];
      std::snprintf(what, sizeof what, "tsit5, %s, rtol %.0e", problem.file, rtol);
      table.Row(what, tsit5, "ms", "dopri8", SolveMilliseconds(request), "");
    }
  }
}

}  // namespace
}  // namespace costate

int main() {
  std::printf("evaluator: %s\n", std::string(costate::TheEngine().evaluator().name()).c_str());
  costate::LotkaVolterra();
  costate::SpiralNetwork();
  costate::ForwardAgainstBackprop();
  costate::Tsit5AgainstDopri8();
  return 0;
}

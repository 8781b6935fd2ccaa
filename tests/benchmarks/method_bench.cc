// What each gradient method costs in plain solves, and the problems with published gradient times.
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/benchmarks/bench_problems.h"
#include "tests/benchmarks/report.h"

namespace costate {
namespace {

constexpr int kRounds = 11;

// Options that a method cannot do without, and 10 checkpoints where there are any.
GradientOptions OptionsOf(GradientMethod method, const GradientRequest& request) {
  GradientOptions options;
  options.method = method;
  if (method == GradientMethod::kCheckpointed) options.adjoint.checkpoints = 10;
  if (method == GradientMethod::kSegmented) options.adjoint.segments = 10;
  if (GetGradientMethodInfo(method).family == GradientFamily::kContinuousAdjoint) {
    options.adjoint.backward_rtol = request.simulation.options.control.rtol;
    options.adjoint.backward_atol = request.simulation.options.control.atol[0];
  }
  return options;
}

std::string_view Reach(GradientMethod method) {
  if (method == GradientMethod::kBackprop) return "<= 3x";
  if (method == GradientMethod::kCheckpointed) return "<= 5x";
  return "";
}

// Gradient time over solve time, method by method.
void CompareMethods(const char* title, GradientRequest request, bool few_columns) {
  const SolveRequest plain = PlainSolve(request);
  BenchTable table(title);
  for (const GradientMethod method : AllGradientMethods()) {
    const GradientMethodInfo& info = GetGradientMethodInfo(method);
    const bool by_column =
        info.family == GradientFamily::kTangent || info.family == GradientFamily::kDifference;
    if (method == GradientMethod::kComplexStep || (by_column && !few_columns)) continue;
    request.gradient = OptionsOf(method, request);
    const absl::StatusOr<GradientResult> once = TheEngine().Differentiate(request);
    if (!once.ok()) {
      std::printf("%-52s %s\n", std::string(info.name).c_str(),
                  std::string(once.status().message()).c_str());
      continue;
    }
    const PairedTimes times = MedianPair([&] { Must(TheEngine().Differentiate(request)); },
                                         [&] { Must(TheEngine().Solve(plain)); }, kRounds);
    table.Row(info.name, 1e-6 * times.first_ns, "ms", "plain solve, same save times",
              1e-6 * times.second_ns, Reach(method));
  }
}

void Sir() {
  GradientRequest request;
  request.simulation = Simulate(Load("sir.ode"), 14, 1e-6, 1e-9);
  request.loss = SumOfSquares(2, EvenTimes(1, 1, 14));
  CompareMethods("gradient over solve: SIR, 3 states, 2 parameters, rtol 1e-6, 14 times", request,
                 true);
}

void Neuron() {
  GradientRequest request;
  request.simulation = Simulate(Load("neuron.ode"), 100, 1e-6, 1e-9);
  request.loss = SumOfSquares(1, EvenTimes(10, 10, 10));
  CompareMethods("gradient over solve: neuron, 13 states, 13 parameters, t in [0, 100], rtol 1e-6",
                 request, true);
}

std::vector<double> Uniform(std::mt19937_64& random, int64_t count, double bound) {
  std::uniform_real_distribution<double> uniform(-bound, bound);
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(uniform(random));
  return values;
}

void NeuralOde() {
  constexpr int kBatch = 32;
  GradientRequest request;
  request.simulation = Simulate(
      CompileModel("model node\nparam W1[64, 4]\nparam b1[64]\nparam W2[4, 64]\n"
                   "param b2[4]\nstate y[4] = [0, 0, 0, 0]\ny' = W2 @ tanh(W1 @ y + b1) + b2\n"),
      1, 1e-6, 1e-6);
  std::mt19937_64 random(7);
  request.simulation.params = {
      {.name = "W1", .shape = {64, 4}, .values = Uniform(random, 256, 0.3)},
      {.name = "b1", .shape = {64}, .values = Uniform(random, 64, 0.1)},
      {.name = "W2", .shape = {4, 64}, .values = Uniform(random, 256, 0.3)},
      {.name = "b2", .shape = {4}, .values = Uniform(random, 4, 0.1)}};
  request.simulation.initial_state = {
      {.name = "y", .shape = {kBatch, 4}, .values = Uniform(random, 4 * kBatch, 1)}};
  request.loss = SumOfSquares(4, EvenTimes(0.1, 0.1, 10));
  CompareMethods("gradient over solve: neural ODE 4-64-4, 580 parameters, batch 32, rtol 1e-6",
                 request, false);
}

void Published(const char* title, GradientRequest request,
               const std::vector<std::pair<GradientMethod, double>>& published_ms) {
  BenchTable table(title);
  for (const auto& [method, milliseconds] : published_ms) {
    request.gradient = OptionsOf(method, request);
    const double ns = MedianNanoseconds([&] { Must(TheEngine().Differentiate(request)); }, kRounds);
    table.Row(GetGradientMethodInfo(method).name, 1e-6 * ns, "ms", "published (arXiv 1812.01892)",
              milliseconds, "");
  }
}

void LotkaVolterra() {
  GradientRequest request;
  request.simulation = Simulate(Load("lotka_volterra.ode"), 10, 1e-7, 1e-5);
  request.loss = SumOfSquares(2, EvenTimes(0, 0.1, 101));
  Published("Lotka-Volterra, 2 states, 3 parameters, Tsit5, atol 1e-5, rtol 1e-7", request,
            {{GradientMethod::kForward, 0.128},
             {GradientMethod::kBackprop, 0.435},
             {GradientMethod::kInterpolating, 0.435},
             {GradientMethod::kQuadrature, 2.25},
             {GradientMethod::kBacksolve, 0.665},
             {GradientMethod::kFiniteDifference, 0.765}});
}

void Brusselator() {
  GradientRequest request;
  request.simulation = Simulate(Load("brusselator_2d.ode"), 10, 1e-7, 1e-5);
  std::vector<double> disc(25), u0(25), v0(25);
  for (int i = 0; i < 25; ++i) {
    const double x = 0.25 * (i / 5), y = 0.25 * (i % 5);
    disc[i] = (x - 0.3) * (x - 0.3) + (y - 0.6) * (y - 0.6) <= 0.01 ? 1 : 0;
    u0[i] = 22 * std::pow(y * (1 - y), 1.5);
    v0[i] = 27 * std::pow(x * (1 - x), 1.5);
  }
  const auto grid = [](const char* name, std::vector<double> values) {
    return NamedArray{.name = name, .shape = {5, 5}, .values = std::move(values)};
  };
  request.simulation.params = {
      grid("a", std::vector<double>(25, 3.4)), grid("b", std::vector<double>(25, 1.0)),
      grid("diffusion_u", std::vector<double>(25, 10.0)),
      grid("diffusion_v", std::vector<double>(25, 10.0)), grid("disc", disc)};
  request.simulation.initial_state = {grid("u", u0), grid("v", v0)};
  request.loss = SumOfSquares(50, EvenTimes(0, 0.1, 101));
  request.wrt = {"a", "b", "diffusion_u", "diffusion_v"};
  Published(
      "Brusselator 5 x 5, 50 states, 100 parameters, Tsit5 here (published: Rodas5), atol 1e-5, "
      "rtol 1e-7; set-up as far as it is published",
      request,
      {{GradientMethod::kForward, 2300},
       {GradientMethod::kBackprop, 136},
       {GradientMethod::kInterpolating, 136},
       {GradientMethod::kQuadrature, 92.5}});
}

}  // namespace
}  // namespace costate

int main() {
  costate::Sir();
  costate::Neuron();
  costate::NeuralOde();
  costate::LotkaVolterra();
  costate::Brusselator();
  std::printf(
      "\nPollution (20 states, 25 parameters) and PKPD (5 states, 11 doses) are stiff or have "
      "events: they wait for implicit methods and events.\n");
  return 0;
}

// Fits: 64 starts of the influenza epidemic against a loop over SciPy's least_squares, and the
// training of a small neural differential equation.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/stop_source.h"
#include "engine/base/workers.h"
#include "engine/fit/fit.h"
#include "engine/fit/objective.h"
#include "engine/fit/problem.h"
#include "engine/fit/starts.h"
#include "tests/benchmarks/bench_problems.h"
#include "tests/benchmarks/report.h"

namespace costate {
namespace {

// A thread per piece of the width for each call.
class Threads final : public Workers {
 public:
  int64_t width() const override { return std::thread::hardware_concurrency(); }
  void Run(int64_t count, absl::FunctionRef<void(int64_t)> piece) override {
    std::atomic<int64_t> next = 0;
    const auto work = [&] {
      for (int64_t i = next++; i < count; i = next++) piece(i);
    };
    std::vector<std::thread> threads;
    for (int64_t i = 1; i < std::min(width(), count); ++i) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
  }
};

fit::Free Searched(std::string name, double start, double lower, double upper) {
  fit::Free free;
  free.name = std::move(name);
  free.start = {start};
  free.lower = lower;
  free.upper = upper;
  free.scale = fit::Scale::kLog10;
  return free;
}

fit::FitProblem Influenza() {
  fit::FitProblem problem;
  problem.simulation = Simulate(Load("sir.ode"), 14, 1e-8, 1e-8);
  fit::Series series;
  series.channel = "in_bed";
  series.times = EvenTimes(1, 1, 14);
  series.values = {3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4};
  series.sigma = {10};
  problem.data = {series};
  problem.free = {Searched("b", 1, 0.1, 10), Searched("k", 0.5, 0.05, 5),
                  Searched("i", 1, 0.1, 100)};
  return problem;
}

struct Prepared {
  std::shared_ptr<const fit::Objective> objective;
  fit::FitOptions options;
};

Prepared Prepare(const fit::FitProblem& problem, const fit::FitOptions& options) {
  Prepared prepared;
  prepared.objective = Must(fit::Objective::Create(TheEngine(), problem, options.gradient));
  prepared.options = Must(fit::ResolveFitOptions(*prepared.objective, options));
  return prepared;
}

std::vector<fit::StartResult> Run(const Prepared& prepared, Workers& workers) {
  std::unique_ptr<fit::Starts> starts =
      Must(fit::Starts::Create(prepared.objective, prepared.options, 0, prepared.options.starts));
  while (!starts->done()) {
    if (absl::Status status = starts->Advance(kNeverStops, workers); !status.ok()) Fail(status);
  }
  return starts->results();
}

int64_t CountAtBest(const std::vector<fit::StartResult>& results) {
  double best = results[0].objective;
  for (const fit::StartResult& result : results) best = std::min(best, result.objective);
  int64_t count = 0;
  for (const fit::StartResult& result : results) {
    count += result.objective <= best + 1e-6 * std::abs(best);
  }
  return count;
}

// Seconds of the loop over the same starts, and how many reached the best; 0 without Python.
struct Reference {
  double seconds = 0;
  int reached = 0, solves = 0;
};

Reference RunScipy(const Prepared& prepared, const std::string& solver) {
  const std::string root = COSTATE_SOURCE_DIR;
  const std::string python = root + "/.venv/bin/python";
  if (!std::filesystem::exists(python)) return {};
  const std::filesystem::path points =
      std::filesystem::temp_directory_path() / absl::StrCat("fit_bench_", getpid(), ".txt");
  {
    std::ofstream stream(points);
    stream.precision(17);
    const std::vector<double> starts = fit::DrawStarts(*prepared.objective, prepared.options);
    for (size_t i = 0; i < starts.size(); ++i) stream << starts[i] << (i % 3 == 2 ? '\n' : ' ');
  }
  const std::string command =
      absl::StrCat("OPENBLAS_NUM_THREADS=1 ", python, " ", root, "/tests/benchmarks/scipy_fit.py ",
                   solver, " ", points.string());
  Reference reference;
  if (std::FILE* pipe = popen(command.c_str(), "r"); pipe != nullptr) {
    if (std::fscanf(pipe, "%lf %d %d", &reference.seconds, &reference.reached, &reference.solves) !=
        3) {
      reference = {};
    }
    pclose(pipe);
  }
  std::filesystem::remove(points);
  return reference;
}

void MultiStart() {
  BenchTable table("influenza: 64 starts, b, k and i(0) on log10, Levenberg-Marquardt, rtol 1e-8");
  fit::FitOptions options;
  options.starts = 64;
  options.seed = 1;
  const auto start = std::chrono::steady_clock::now();
  const Prepared prepared = Prepare(Influenza(), options);
  NoWorkers alone;
  std::vector<fit::StartResult> results = Run(prepared, alone);
  const double first = SecondsSince(start);
  Threads threads;
  const double one = 1e-9 * MedianNanoseconds([&] { Run(prepared, alone); }, 9);
  const double all = 1e-9 * MedianNanoseconds([&] { Run(prepared, threads); }, 9);
  int64_t evaluations = 0;
  for (const fit::StartResult& result : results) evaluations += result.evaluations;
  const std::string reached =
      absl::StrCat(CountAtBest(results), " reach the best, ", evaluations, " evaluations");
  const Reference lsoda = RunScipy(prepared, "LSODA"), rk45 = RunScipy(prepared, "RK45");
  const auto name = [](const char* solver, const Reference& reference) {
    return absl::StrCat("SciPy, ", solver, ", ", reference.reached, " of 64, ", reference.solves,
                        " solves");
  };
  const std::string wide = absl::StrCat(threads.width(), " threads");
  table.Row("1 thread; " + reached, one, "s", name("LSODA", lsoda), lsoda.seconds, "");
  table.Row(wide, all, "s", name("RK45", rk45), rk45.seconds, "");
  if (lsoda.seconds > 0) {
    table.Row("1 thread, times as fast as LSODA", lsoda.seconds / one, "x", "", 0, ">= 100x");
    table.Row("1 thread, times as fast as RK45", rk45.seconds / one, "x", "", 0, ">= 100x");
    table.Row(wide + ", times as fast as LSODA", lsoda.seconds / all, "x", "", 0, ">= 100x");
    table.Row(wide + ", times as fast as RK45", rk45.seconds / all, "x", "", 0, ">= 100x");
  }
  table.Row("1 thread, compilation included", first, "s", "", 0, "");
}

constexpr char kWhiteDwarf[] =
    "model white_dwarf\nparam C = 1e-3\nstate y[2] = [1, 0]\n"
    "y' = [y[1], -max(y[0]^2 - C, 0)^1.5 - 2*y[1]/(t + 0.5)]\n";
constexpr char kNetwork[] =
    "model white_dwarf_node\nparam w[10]\nparam W1[10, 2]\nparam b1[10]\nparam W2[2, 10]\n"
    "param b2[2]\nstate y[2] = [1, 0]\ny' = W2 @ tanh(W1 @ y + w*t + b1) + b2\n";

// States at all 1,000 steps, made by the very same scheme; weights of the size of fresh ones.
fit::FitProblem WhiteDwarf(Method base, std::optional<double> coupling) {
  constexpr int kSteps = 1000;
  constexpr double kEnd = 5;
  std::vector<double> times;
  for (int i = 1; i <= kSteps; ++i) times.push_back(i == kSteps ? kEnd : i * (kEnd / kSteps));
  const auto simulation = [&](const char* text) {
    Simulation made = Simulate(CompileModel(text), kEnd, 1e-6, 1e-9);
    made.options.method = base;
    made.options.coupling = coupling;
    made.options.control.kind = StepControl::Kind::kFixed;
    made.options.control.fixed_step = kEnd / kSteps;
    return made;
  };
  SolveRequest truth = {.simulation = simulation(kWhiteDwarf)};
  truth.simulation.options.save.kind = SaveAt::Kind::kTimes;
  truth.simulation.options.save.times = times;
  const SolveResult solved = Must(TheEngine().Solve(truth));

  fit::FitProblem problem;
  problem.simulation = simulation(kNetwork);
  for (int state = 0; state < 2; ++state) {
    fit::Series series;
    series.channel_kind = Channel::Kind::kState;
    series.channel = absl::StrCat("y[", state, "]");
    series.times = times;
    for (int i = 0; i < kSteps; ++i) {
      series.values.push_back(solved.trajectories[0].states[2 * i + state]);
    }
    series.sigma = {1};
    problem.data.push_back(std::move(series));
  }
  const struct {
    const char* name;
    int size;
    double inputs;
  } kWeights[] = {{"w", 10, 3}, {"W1", 20, 3}, {"b1", 10, 3}, {"W2", 20, 10}, {"b2", 2, 10}};
  for (const auto& weight : kWeights) {
    fit::Free free;
    free.name = weight.name;
    for (int i = 0; i < weight.size; ++i) {
      free.start.push_back(std::sin(12.9898 * i + weight.name[0] + 78.233 * weight.size) /
                           std::sqrt(weight.inputs));
    }
    problem.free.push_back(std::move(free));
  }
  return problem;
}

void Training() {
  BenchTable table("white dwarf: MLP 3-10-2, 1,000 steps on [0, 5], 1,000 iterations of Adam");
  struct Case {
    const char* name;
    Method base;
    GradientMethod method;
    double published;  // minutes of the same by McCallum and Foster (arXiv 2410.11648)
  };
  const Case kCases[] = {
      {"euler, reversible", Method::kEuler, GradientMethod::kReversible, 1.52},
      {"midpoint, reversible", Method::kMidpoint, GradientMethod::kReversible, 1.74},
      {"ralston3, reversible", Method::kRalston3, GradientMethod::kReversible, 1.81},
      {"rk4, reversible", Method::kRk4, GradientMethod::kReversible, 2.21},
      {"midpoint, backprop", Method::kMidpoint, GradientMethod::kBackprop, 0},
      {"rk4, backprop", Method::kRk4, GradientMethod::kBackprop, 0}};
  for (const Case& one : kCases) {
    fit::FitOptions options;
    options.method_auto = false;
    options.optimiser.algorithm = optimise::Algorithm::kAdam;
    options.gradient.method = one.method;
    const bool reversible = one.method == GradientMethod::kReversible;
    const fit::FitProblem problem =
        WhiteDwarf(one.base, reversible ? std::optional<double>(0.999) : std::optional<double>());
    const Prepared prepared = Prepare(problem, options);
    NoWorkers alone;
    const auto start = std::chrono::steady_clock::now();
    const fit::StartResult result = Run(prepared, alone)[0];
    const double seconds = SecondsSince(start);
    // The objective is half the sum of squares and a constant.
    const double squares = 2 * (result.objective - 2000 * 0.5 * std::log(2 * M_PI));
    char name[96];
    std::snprintf(name, sizeof name, "%s, mean square %.2g", one.name, squares / 2000);
    table.Row(name, seconds, "s", one.published > 0 ? "published" : "", 60 * one.published,
              "< 2 s");
  }
}

}  // namespace
}  // namespace costate

int main() {
  costate::MultiStart();
  costate::Training();
  return 0;
}

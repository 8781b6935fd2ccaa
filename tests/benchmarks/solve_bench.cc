// The stepping loop against hand-written C++, and lanes against single trajectories.
#include <algorithm>
#include <chrono>
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
#include "engine/solvers/integrate.h"
#include "tests/benchmarks/reference_tsit5.h"
#include "tests/benchmarks/report.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

constexpr double kLorenzParams[] = {10, 28, 8.0 / 3};
constexpr double kStart[] = {1, 0, 0};

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
  std::exit(1);
}

std::vector<Trajectory> Solve(const Problem& problem, const SolveOptions& options) {
  return Must(Integrate(problem, options));
}

// The least time of one call over many, the two in turn: what an idle core does, even on a busy
// machine.
template <typename F, typename G>
std::pair<double, double> LeastNanoseconds(F&& first, G&& second, int rounds) {
  std::pair<double, double> least = {1e300, 1e300};
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    first();
    const auto middle = std::chrono::steady_clock::now();
    second();
    const std::chrono::duration<double, std::nano> a = middle - start;
    const std::chrono::duration<double, std::nano> b = std::chrono::steady_clock::now() - middle;
    least.first = std::min(least.first, a.count());
    least.second = std::min(least.second, b.count());
  }
  return least;
}

SolveOptions Tight() {
  SolveOptions options;
  options.control.rtol = 1e-8;
  options.control.atol = {1e-8};
  return options;
}

void OneTrajectory(BenchTable& table, const VectorField& field, const std::string& kernels) {
  const double t0 = 0, t1 = 100;
  const Problem problem = {.field = &field,
                           .t0 = absl::MakeConstSpan(&t0, 1),
                           .t1 = absl::MakeConstSpan(&t1, 1),
                           .y0 = kStart,
                           .params = kLorenzParams};
  const SolveOptions options = Tight();
  const SolveStats stats = Solve(problem, options)[0].stats;
  const ReferenceResult reference = ReferenceTsit5Lorenz(kLorenzParams, kStart, t1, 1e-8, 1e-8);
  std::printf(
      "  %s: %lld + %lld steps, reference %lld + %lld\n", kernels.c_str(),
      static_cast<long long>(stats.accepted_steps), static_cast<long long>(stats.rejected_steps),
      static_cast<long long>(reference.accepted), static_cast<long long>(reference.rejected));
  volatile double keep = 0;
  const auto [solve_ns, reference_ns] = LeastNanoseconds(
      [&] { keep = Solve(problem, options)[0].states[0]; },
      [&] { keep = ReferenceTsit5Lorenz(kLorenzParams, kStart, t1, 1e-8, 1e-8).y[0]; }, 500);
  const auto steps = static_cast<double>(stats.accepted_steps + stats.rejected_steps);
  const auto reference_steps = static_cast<double>(reference.accepted + reference.rejected);
  table.Row("Tsit5 step, Lorenz 0..100 at 1e-8, " + kernels, solve_ns / steps, "ns",
            "hand-written C++, per step", reference_ns / reference_steps, "<= 1.3x");
}

void ManyTrajectories(BenchTable& table, const VectorField& field, const std::string& kernels) {
  constexpr int64_t kBatch = 4096;
  const double t0 = 0, t1 = 10;
  std::vector<double> y0, params;
  for (int64_t b = 0; b < kBatch; ++b) {
    y0.insert(y0.end(), kStart, kStart + 3);
    const double spread = 20 + 20.0 * static_cast<double>(b) / kBatch;
    params.insert(params.end(), {10, spread, 8.0 / 3});
  }
  const Problem problem = {.field = &field,
                           .num_trajectories = kBatch,
                           .t0 = absl::MakeConstSpan(&t0, 1),
                           .t1 = absl::MakeConstSpan(&t1, 1),
                           .y0 = y0,
                           .params = params};
  SolveOptions wide = Tight(), single = Tight();
  wide.lanes = field.simd_lanes();
  single.lanes = 1;
  volatile double keep = 0;
  const auto [single_ns, wide_ns] =
      LeastNanoseconds([&] { keep = Solve(problem, single)[7].states[0]; },
                       [&] { keep = Solve(problem, wide)[7].states[0]; }, 7);
  table.Row("4,096 Lorenz trajectories, throughput, " + kernels, 1e9 * kBatch / wide_ns, "1/s",
            "the same at W = 1", 1e9 * kBatch / single_ns, ">= 2.5x");
}

std::shared_ptr<const Model> Compile(Engine& engine) {
  std::ifstream stream(COSTATE_SOURCE_DIR "/tests/problems/lorenz.ode");
  std::ostringstream text;
  text << stream.rdbuf();
  return Must(engine.Compile(ParseModel(text.str()).ir));
}

void Run() {
  BenchTable table("Solving");
  const GenericMap<Lorenz> by_hand;
  Engine engine({.evaluator = Must(MakeEvaluator({}))});
  const std::shared_ptr<const Model> model = Compile(engine);
  OneTrajectory(table, model->rhs(), "compiled");
  OneTrajectory(table, by_hand, "C++ field");
  ManyTrajectories(table, model->rhs(), "compiled");
  ManyTrajectories(table, by_hand, "C++ field");
}

}  // namespace
}  // namespace costate

int main() {
  costate::Run();
  return 0;
}

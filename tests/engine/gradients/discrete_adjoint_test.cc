// Discrete adjoints against complex steps through an independent solve on the same grid: equal to
// rounding, for every way of getting steps back, every method and every way of choosing steps.
#include "engine/gradients/discrete_adjoint.h"

#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "engine/solvers/integrate.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

using ::costate::testing::FrozenSolution;
using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;

// One solve and one pull-back of several cotangents.
class Adjoint {
 public:
  Adjoint(const MixedProblem& mixed, const SolveOptions& options, GradientMethod method,
          const AdjointOptions& adjoint = {}, const Cancellation* cancellation = nullptr,
          absl::Time deadline = absl::InfiniteFuture())
      : problem_(mixed.problem()),
        options_(options),
        adjoint_(adjoint),
        stop_{cancellation, deadline} {
    AdjointInput input = {.problem = problem_, .options = options_, .adjoint = adjoint_};
    input.stop = &stop_;
    input.want_times = true;
    options_.return_grid = true;
    method_ = MakeAdjointMethod(method, input).value();
    // The reverse pass alone is what is stopped.
    auto solved = Integrate(problem_, options_);
    EXPECT_TRUE(solved.ok()) << solved.status();
    alone_ = std::move((*solved)[0]);
    auto trajectory = method_->Solve();
    if (!trajectory.ok()) return;
    trajectory_ = *std::move(trajectory);
  }

  AdjointMethod& method() { return *method_; }
  const Trajectory& trajectory() const { return trajectory_; }
  const Trajectory& alone() const { return alone_; }

 private:
  const Problem problem_;
  SolveOptions options_;
  const AdjointOptions adjoint_;
  const StopSource stop_;
  std::unique_ptr<AdjointMethod> method_;
  Trajectory trajectory_, alone_;
};

// Cotangents without structure.
std::vector<double> Weights(size_t size, double phase) {
  std::vector<double> weights(size);
  for (size_t i = 0; i < size; ++i) weights[i] = std::sin(1.7 * static_cast<double>(i) + phase);
  return weights;
}

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

std::vector<double> Flatten(const AdjointResult& adjoint) {
  std::vector<double> all = adjoint.initial_state;
  all.insert(all.end(), adjoint.params.begin(), adjoint.params.end());
  all.push_back(adjoint.t0);
  all.push_back(adjoint.t1);
  return all;
}

void ExpectMatchesComplexStep(GradientMethod gradient_method, const MixedProblem& mixed,
                              const SolveOptions& options) {
  Adjoint adjoint(mixed, options, gradient_method);
  ASSERT_EQ(adjoint.trajectory().states, adjoint.alone().states);
  const std::vector<double>& grid = adjoint.trajectory().grid;
  ASSERT_GE(grid.size(), 2u);
  const std::vector<double> times = options.save.times;
  const std::vector<double> saved = Weights(times.size() * 3, 0.3);
  const std::vector<double> terminal = Weights(3, 2.0);
  const StateCotangents cotangents = {times, saved, terminal};
  const auto results = adjoint.method().PullBack(absl::MakeConstSpan(&cotangents, 1));
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(adjoint.method().stats().replayed_steps, static_cast<int64_t>(grid.size()) - 1);
  const std::vector<double> gradient = Flatten((*results)[0]);
  for (int column = 0; column < MixedProblem::kColumns; ++column) {
    const FrozenSolution<double> expected = mixed.Derivative(options.method, grid, times, column);
    const double value = Dot(saved, expected.saved) + Dot(terminal, expected.terminal);
    EXPECT_NEAR(gradient[column], value,
                ::costate::testing::Rounding(options.method) * std::max(1.0, std::fabs(value)))
        << "column " << column;
  }
}

std::vector<GradientMethod> DiscreteAdjoints() {
  std::vector<GradientMethod> methods;
  for (const GradientMethod method : AllGradientMethods()) {
    if (GetGradientMethodInfo(method).family == GradientFamily::kDiscreteAdjoint) {
      methods.push_back(method);
    }
  }
  return methods;
}

using Case = std::tuple<GradientMethod, Method, Steps>;
class EveryMethod : public ::testing::TestWithParam<Case> {};

TEST_P(EveryMethod, MatchesComplexStep) {
  const auto [gradient, method, steps] = GetParam();
  const MixedProblem mixed;
  ExpectMatchesComplexStep(gradient, mixed, MixedOptions(mixed, method, steps));
}

TEST_P(EveryMethod, MatchesComplexStepBackwards) {
  const auto [gradient, method, steps] = GetParam();
  MixedProblem mixed;
  std::swap(mixed.t0, mixed.t1);
  ExpectMatchesComplexStep(gradient, mixed, MixedOptions(mixed, method, steps));
}

std::string Name(const ::testing::TestParamInfo<Case>& info) {
  const char* const steps[] = {"fixed", "adaptive", "grid"};
  return std::string(GetGradientMethodInfo(std::get<0>(info.param)).name) + "_" +
         std::string(GetMethodInfo(std::get<1>(info.param)).name) + "_" +
         steps[static_cast<int>(std::get<2>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryMethod,
    ::testing::Combine(::testing::ValuesIn(DiscreteAdjoints()),
                       ::testing::ValuesIn(RungeKuttaMethods().begin(), RungeKuttaMethods().end()),
                       ::testing::Values(Steps::kFixed, Steps::kAdaptive, Steps::kGrid)),
    Name);

class EveryStore : public ::testing::TestWithParam<GradientMethod> {};

TEST_P(EveryStore, OneStepMovesBothEnds) {
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kGrid);
  options.control.grid = {mixed.t0, mixed.t1};
  ExpectMatchesComplexStep(GetParam(), mixed, options);
}

TEST_P(EveryStore, WithoutTerminalCotangent) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kBosh3, Steps::kFixed);
  Adjoint adjoint(mixed, options, GetParam());
  const std::vector<double> saved = Weights(options.save.times.size() * 3, 0);
  const std::vector<double> zero(3);
  const StateCotangents without = {options.save.times, saved, {}};
  const StateCotangents with_zero = {options.save.times, saved, zero};
  const auto a = adjoint.method().PullBack(absl::MakeConstSpan(&without, 1));
  const auto b = adjoint.method().PullBack(absl::MakeConstSpan(&with_zero, 1));
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(Flatten((*a)[0]), Flatten((*b)[0]));
}

// Eleven cotangents fill two blocks of four lanes and leave one over.
TEST_P(EveryStore, SameBitsAloneAndInBlocks) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kDopri5, Steps::kAdaptive);
  Adjoint adjoint(mixed, options, GetParam());
  std::vector<std::vector<double>> saved, terminal;
  std::vector<StateCotangents> cotangents;
  for (int v = 0; v < 11; ++v) {
    saved.push_back(Weights(options.save.times.size() * 3, 0.1 * v));
    terminal.push_back(Weights(3, 0.7 * v));
  }
  for (int v = 0; v < 11; ++v) {
    cotangents.push_back({options.save.times, saved[v], terminal[v]});
  }
  const auto together = adjoint.method().PullBack(cotangents);
  ASSERT_TRUE(together.ok()) << together.status();
  for (int v = 0; v < 11; ++v) {
    const auto alone = adjoint.method().PullBack(absl::MakeConstSpan(&cotangents[v], 1));
    ASSERT_TRUE(alone.ok()) << alone.status();
    EXPECT_EQ(Flatten((*together)[v]), Flatten((*alone)[0])) << v;
    EXPECT_EQ((*together)[v].times, (*alone)[0].times) << v;
  }
}

// On a frozen grid, by complex steps in the save time itself.
TEST_P(EveryStore, DerivativesToSaveTimes) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kGrid);
  Adjoint adjoint(mixed, options, GetParam());
  const std::vector<double> times = options.save.times;
  const std::vector<double> saved = Weights(times.size() * 3, 0.3);
  const StateCotangents cotangents = {times, saved, {}};
  const auto results = adjoint.method().PullBack(absl::MakeConstSpan(&cotangents, 1));
  ASSERT_TRUE(results.ok()) << results.status();
  for (size_t k = 0; k < times.size(); ++k) {
    // Both dense outputs are smooth where the time is not a grid point; there, from within.
    const double step = 1e-6 * (k == 0 ? 1 : -1);
    std::vector<double> values[2];
    for (int side = 0; side < 2; ++side) {
      SolveOptions moved = options;
      moved.save.times = {times[k] + step * (side + 1)};
      const auto solved = Integrate(mixed.problem(), moved);
      ASSERT_TRUE(solved.ok()) << solved.status();
      values[side] = (*solved)[0].states;
    }
    double expected = 0;  // second order, one-sided
    for (int e = 0; e < 3; ++e) {
      const double here = adjoint.trajectory().states[k * 3 + e];
      expected += saved[k * 3 + e] * (-3 * here + 4 * values[0][e] - values[1][e]) / (2 * step);
    }
    EXPECT_NEAR((*results)[0].times[k], expected, 1e-8) << k;
  }
}

TEST_P(EveryStore, NoStepsLeaveTheCotangent) {
  MixedProblem mixed;
  mixed.t1 = mixed.t0;
  SolveOptions options;
  Adjoint adjoint(mixed, options, GetParam());
  const std::vector<double> saved = {1, 2, 3};
  const std::vector<double> terminal = {10, 20, 30};
  const std::vector<double> times = {mixed.t0};
  const StateCotangents cotangents = {times, saved, terminal};
  const auto results = adjoint.method().PullBack(absl::MakeConstSpan(&cotangents, 1));
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(adjoint.method().stats().replayed_steps, 0);
  EXPECT_THAT((*results)[0].initial_state, ::testing::ElementsAre(11, 22, 33));
  EXPECT_THAT((*results)[0].params, ::testing::Each(0.0));
}

TEST_P(EveryStore, StopsWhenCancelledOrOutOfTime) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kFixed);
  const std::vector<double> terminal = {1, 0, 0};
  const StateCotangents cotangents = {{}, {}, terminal};
  const auto run = [&](Cancellation::Reason reason, absl::Time deadline) {
    Cancellation cancellation;
    Adjoint adjoint(mixed, options, GetParam(), {}, &cancellation, deadline);
    if (reason != Cancellation::Reason::kNone) cancellation.Cancel(reason);
    return adjoint.method().PullBack(absl::MakeConstSpan(&cotangents, 1)).status().code();
  };
  using Reason = Cancellation::Reason;
  const absl::Time never = absl::InfiniteFuture();
  EXPECT_EQ(run(Reason::kClientCancelled, never), absl::StatusCode::kCancelled);
  EXPECT_EQ(run(Reason::kDeadlineExceeded, never), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(run(Reason::kShuttingDown, never), absl::StatusCode::kUnavailable);
  EXPECT_EQ(run(Reason::kNone, absl::InfinitePast()), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(run(Reason::kNone, never), absl::StatusCode::kOk);
}

TEST_P(EveryStore, RefusesSizesThatDoNotFit) {
  const MixedProblem mixed;
  Adjoint adjoint(mixed, MixedOptions(mixed, Method::kTsit5, Steps::kFixed), GetParam());
  const std::vector<double> times = {1.0, 2.0};
  const std::vector<double> short_row = {1, 2, 3};
  const StateCotangents cotangents = {times, short_row, {}};
  EXPECT_EQ(adjoint.method().PullBack(absl::MakeConstSpan(&cotangents, 1)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(All, EveryStore, ::testing::ValuesIn(DiscreteAdjoints()),
                         [](const auto& info) {
                           return std::string(GetGradientMethodInfo(info.param).name);
                         });

}  // namespace
}  // namespace costate

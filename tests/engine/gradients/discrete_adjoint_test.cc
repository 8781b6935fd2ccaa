// The adjoint of recorded steps against complex steps through an independent solve on the same
// grid: equal to rounding, for every method and every way of choosing steps.
#include "engine/gradients/discrete_adjoint.h"

#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "engine/base/limits.h"
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

Recording Record(const MixedProblem& mixed, const SolveOptions& options) {
  Recorder recorder(options.method, mixed.field.num_states(), limits::kMaxRecordingBytes);
  IntegrateHooks hooks;
  hooks.companions.push_back(&recorder);
  const auto solved = Integrate(mixed.problem(), options, hooks);
  EXPECT_TRUE(solved.ok()) << solved.status();
  EXPECT_EQ((*solved)[0].termination.reason, Termination::Reason::kReachedEnd);
  return std::move(recorder).Take();
}

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

void ExpectMatchesComplexStep(const MixedProblem& mixed, const SolveOptions& options) {
  const Recording recording = Record(mixed, options);
  ASSERT_GE(recording.num_steps(), 1);
  const std::vector<double> times = options.save.times;
  const std::vector<double> saved = Weights(times.size() * 3, 0.3);
  const std::vector<double> terminal = Weights(3, 2.0);
  const auto adjoint =
      DiscreteAdjoint(mixed.field, mixed.params, recording, {times, saved, terminal});
  ASSERT_TRUE(adjoint.ok()) << adjoint.status();
  EXPECT_EQ(adjoint->stats.replayed_steps, recording.num_steps());
  const std::vector<double> gradient = Flatten(*adjoint);
  for (int column = 0; column < MixedProblem::kColumns; ++column) {
    const FrozenSolution<double> expected =
        mixed.Derivative(options.method, recording.times, times, column);
    const double value = Dot(saved, expected.saved) + Dot(terminal, expected.terminal);
    EXPECT_NEAR(gradient[column], value,
                ::costate::testing::Rounding(options.method) * std::max(1.0, std::fabs(value)))
        << "column " << column;
  }
}

class EveryMethod : public ::testing::TestWithParam<std::tuple<Method, Steps>> {};

TEST_P(EveryMethod, MatchesComplexStep) {
  const MixedProblem mixed;
  ExpectMatchesComplexStep(mixed,
                           MixedOptions(mixed, std::get<0>(GetParam()), std::get<1>(GetParam())));
}

TEST_P(EveryMethod, MatchesComplexStepBackwards) {
  MixedProblem mixed;
  std::swap(mixed.t0, mixed.t1);
  ExpectMatchesComplexStep(mixed,
                           MixedOptions(mixed, std::get<0>(GetParam()), std::get<1>(GetParam())));
}

std::string Name(const ::testing::TestParamInfo<std::tuple<Method, Steps>>& info) {
  const char* const steps[] = {"fixed", "adaptive", "grid"};
  return std::string(GetMethodInfo(std::get<0>(info.param)).name) + "_" +
         steps[static_cast<int>(std::get<1>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryMethod,
    ::testing::Combine(::testing::ValuesIn(AllMethods().begin(), AllMethods().end()),
                       ::testing::Values(Steps::kFixed, Steps::kAdaptive, Steps::kGrid)),
    Name);

TEST(DiscreteAdjoint, OneStepMovesBothEnds) {
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kGrid);
  options.control.grid = {mixed.t0, mixed.t1};
  ExpectMatchesComplexStep(mixed, options);
}

TEST(DiscreteAdjoint, WithoutTerminalCotangent) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kBosh3, Steps::kFixed);
  const Recording recording = Record(mixed, options);
  const std::vector<double> saved = Weights(options.save.times.size() * 3, 0);
  const std::vector<double> zero(3);
  const auto without =
      DiscreteAdjoint(mixed.field, mixed.params, recording, {options.save.times, saved, {}});
  const auto with_zero =
      DiscreteAdjoint(mixed.field, mixed.params, recording, {options.save.times, saved, zero});
  ASSERT_TRUE(without.ok() && with_zero.ok());
  EXPECT_EQ(Flatten(*without), Flatten(*with_zero));
}

TEST(DiscreteAdjoint, NoStepsLeaveTheCotangent) {
  MixedProblem mixed;
  mixed.t1 = mixed.t0;
  SolveOptions options;
  const Recording recording = Record(mixed, options);
  EXPECT_EQ(recording.num_steps(), 0);
  const std::vector<double> saved = {1, 2, 3};
  const std::vector<double> terminal = {10, 20, 30};
  const std::vector<double> times = {mixed.t0};
  const auto adjoint =
      DiscreteAdjoint(mixed.field, mixed.params, recording, {times, saved, terminal});
  ASSERT_TRUE(adjoint.ok()) << adjoint.status();
  EXPECT_THAT(adjoint->initial_state, ::testing::ElementsAre(11, 22, 33));
  EXPECT_THAT(adjoint->params, ::testing::Each(0.0));
}

TEST(DiscreteAdjoint, StopsWhenCancelledOrOutOfTime) {
  const MixedProblem mixed;
  const Recording recording = Record(mixed, MixedOptions(mixed, Method::kTsit5, Steps::kFixed));
  const std::vector<double> terminal = {1, 0, 0};
  const auto run = [&](const Cancellation* cancellation, absl::Time deadline) {
    return DiscreteAdjoint(mixed.field, mixed.params, recording, {{}, {}, terminal}, cancellation,
                           deadline)
        .status()
        .code();
  };
  Cancellation by_client, by_deadline, by_drain;
  by_client.Cancel(Cancellation::Reason::kClientCancelled);
  by_deadline.Cancel(Cancellation::Reason::kDeadlineExceeded);
  by_drain.Cancel(Cancellation::Reason::kShuttingDown);
  EXPECT_EQ(run(&by_client, absl::InfiniteFuture()), absl::StatusCode::kCancelled);
  EXPECT_EQ(run(&by_deadline, absl::InfiniteFuture()), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(run(&by_drain, absl::InfiniteFuture()), absl::StatusCode::kUnavailable);
  EXPECT_EQ(run(nullptr, absl::InfinitePast()), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(run(nullptr, absl::InfiniteFuture()), absl::StatusCode::kOk);
}

TEST(DiscreteAdjoint, RefusesSizesThatDoNotFit) {
  const MixedProblem mixed;
  const Recording recording = Record(mixed, MixedOptions(mixed, Method::kTsit5, Steps::kFixed));
  const std::vector<double> times = {1.0, 2.0};
  const std::vector<double> short_row = {1, 2, 3};
  EXPECT_EQ(
      DiscreteAdjoint(mixed.field, mixed.params, recording, {times, short_row, {}}).status().code(),
      absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace costate

// What every continuous adjoint has to keep, and its error against closed forms.
#include "engine/gradients/continuous_adjoint.h"

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/continuous_testing.h"

namespace costate {
namespace {

using ::costate::testing::Adjoint;
using ::costate::testing::Case;
using ::costate::testing::ClosedFormError;
using ::costate::testing::Cotangent;
using ::costate::testing::Flatten;
using ::costate::testing::Hum;
using ::costate::testing::kContinuous;
using ::costate::testing::MixedCotangent;
using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::NameOf;
using ::costate::testing::Steps;
using ::costate::testing::Tolerance;
using ::costate::testing::Weights;

class EveryContinuous : public ::testing::TestWithParam<GradientMethod> {};

// The error follows the tolerance, within a factor that stays the same over six decades.
template <typename F>
void ExpectFollowsTolerance(const Case<F>& c, GradientMethod method) {
  for (const double rtol : {1e-4, 1e-6, 1e-8, 1e-10}) {
    const double error = ClosedFormError(c, method, rtol);
    EXPECT_LT(error, 30 * rtol) << NameOf(method) << " at " << rtol;
  }
}

TEST_P(EveryContinuous, Decay) {
  ExpectFollowsTolerance<Decay>({.y0 = {1.5}, .p = {0.7}, .t1 = 2}, GetParam());
}
TEST_P(EveryContinuous, Oscillator) {
  ExpectFollowsTolerance<Oscillator>({.y0 = {1, 0.5}, .p = {1.3}, .t1 = 5}, GetParam());
}
TEST_P(EveryContinuous, Logistic) {
  ExpectFollowsTolerance<Logistic>({.y0 = {0.3}, .p = {1.1, 2.5}, .t1 = 3}, GetParam());
}
TEST_P(EveryContinuous, Driven) {
  ExpectFollowsTolerance<Driven>({.y0 = {1.2, 0.8}, .p = {0.9}, .t1 = 4}, GetParam());
}

TEST_P(EveryContinuous, TakesBackwardToleranceAndMethod) {
  const Case<Logistic> c = {.y0 = {0.3}, .p = {1.1, 2.5}, .t1 = 3};
  AdjointOptions loose;
  loose.backward_rtol = 1e-3;
  loose.backward_atol = 1e-6;
  AdjointOptions other;
  other.backward_method = Method::kDopri8;
  const double tight = ClosedFormError(c, GetParam(), 1e-10);
  EXPECT_GT(ClosedFormError(c, GetParam(), 1e-10, loose), 10 * tight);
  EXPECT_LT(ClosedFormError(c, GetParam(), 1e-10, loose), 1e-2);
  EXPECT_LT(ClosedFormError(c, GetParam(), 1e-10, other), 1e-8);
}

TEST_P(EveryContinuous, ParameterIntegralThatLambdaDoesNotSee) {
  EXPECT_LT(ClosedFormError<Hum>({.y0 = {0.3}, .p = {2.0}, .t1 = 3}, GetParam(), 1e-8), 1e-6);
}

// Properties every continuous adjoint has.

TEST_P(EveryContinuous, SolvesForwardsWithTheSameBits) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kAdaptive);
  const auto alone = Integrate(mixed.problem(), options);
  ASSERT_TRUE(alone.ok());
  Adjoint solved(GetParam(), mixed.problem(), options);
  EXPECT_EQ(solved.trajectory().states, (*alone)[0].states);
  EXPECT_EQ(solved.trajectory().grid, (*alone)[0].grid);
  EXPECT_THAT(solved.method().terminal_state(),
              ::testing::ElementsAreArray(absl::MakeConstSpan((*alone)[0].states).last(3)));
}

TEST_P(EveryContinuous, SameBitsAloneAndTogether) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kDopri5, Steps::kAdaptive);
  Adjoint solved(GetParam(), mixed.problem(), options);
  std::vector<std::vector<double>> saved, terminal;
  std::vector<StateCotangents> cotangents;
  for (int v = 0; v < 5; ++v) {
    saved.push_back(Weights(options.save.times.size() * 3, 0.1 * v));
    terminal.push_back(Weights(3, 0.7 * v));
  }
  for (int v = 0; v < 5; ++v) cotangents.push_back({options.save.times, saved[v], terminal[v]});
  const auto together = solved.method().PullBack(cotangents);
  ASSERT_TRUE(together.ok()) << together.status();
  for (int v = 0; v < 5; ++v) {
    Adjoint fresh(GetParam(), mixed.problem(), options);
    const auto alone = fresh.PullBack(options.save.times, saved[v], terminal[v]);
    ASSERT_TRUE(alone.ok());
    EXPECT_EQ(Flatten((*together)[v]), Flatten(*alone)) << v;
  }
}

TEST_P(EveryContinuous, ScalesWithTheLoss) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kAdaptive);
  Adjoint solved(GetParam(), mixed.problem(), options);
  Cotangent c = MixedCotangent(mixed);
  const auto full = solved.PullBack(c.times, c.saved, c.terminal);
  for (double& x : c.saved) x *= 0x1p-60;
  for (double& x : c.terminal) x *= 0x1p-60;
  const auto small = solved.PullBack(c.times, c.saved, c.terminal);
  ASSERT_TRUE(full.ok() && small.ok());
  const std::vector<double> expected = Flatten(*full), got = Flatten(*small);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(got[i] * 0x1p60, expected[i], 1e-6 * std::fabs(expected[i]) + 1e-12) << i;
  }
}

TEST_P(EveryContinuous, NoStepsLeaveTheCotangent) {
  MixedProblem mixed;
  mixed.t1 = mixed.t0;
  Adjoint solved(GetParam(), mixed.problem(), SolveOptions());
  const auto result = solved.PullBack({mixed.t0}, {1, 2, 3}, {10, 20, 30});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->initial_state, ::testing::ElementsAre(11, 22, 33));
  EXPECT_THAT(result->params, ::testing::Each(0.0));
  EXPECT_EQ(solved.method().stats().backward_steps, 0);
}

TEST_P(EveryContinuous, NothingIsSolvedForNothing) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kAdaptive);
  Adjoint solved(GetParam(), mixed.problem(), options);
  const auto result =
      solved.PullBack(options.save.times, std::vector<double>(options.save.times.size() * 3), {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Flatten(*result), ::testing::Each(0.0));
  EXPECT_EQ(solved.method().stats().backward_steps, 0);
}

TEST_P(EveryContinuous, CotangentThatIsNotFiniteGivesNaN) {
  const MixedProblem mixed;
  Adjoint solved(GetParam(), mixed.problem(), Tolerance(1e-6));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto result = solved.PullBack({}, {}, {1, nan, 0});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Flatten(*result), ::testing::Each(::testing::IsNan()));
}

TEST_P(EveryContinuous, StopsWhenCancelledOrOutOfTime) {
  const MixedProblem mixed;
  const auto run = [&](Cancellation::Reason reason, absl::Time deadline) {
    Cancellation cancellation;
    Adjoint solved(GetParam(), mixed.problem(), Tolerance(1e-6), {}, &cancellation, deadline);
    if (reason != Cancellation::Reason::kNone) cancellation.Cancel(reason);
    return solved.PullBack({}, {}, {1, 0, 0}).status().code();
  };
  using Reason = Cancellation::Reason;
  const absl::Time never = absl::InfiniteFuture();
  EXPECT_EQ(run(Reason::kClientCancelled, never), absl::StatusCode::kCancelled);
  EXPECT_EQ(run(Reason::kDeadlineExceeded, never), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(run(Reason::kShuttingDown, never), absl::StatusCode::kUnavailable);
  EXPECT_EQ(run(Reason::kNone, absl::InfinitePast()), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(run(Reason::kNone, never), absl::StatusCode::kOk);
}

// The field of Decay, which cancels after a number of evaluations.
class CancelsItself : public DifferentiableMap {
 public:
  CancelsItself(Cancellation* cancellation, int64_t* calls_left)
      : context_{inner_.Get(MapKernel::kVjp, 1).value(), cancellation, calls_left} {}
  int64_t num_states() const override { return 1; }
  int64_t num_params() const override { return 1; }
  int64_t num_values() const override { return 1; }
  int simd_lanes() const override { return 1; }
  absl::StatusOr<Kernel> Get(MapKernel kind, int lanes) const override {
    if (kind != MapKernel::kVjp) return inner_.Get(kind, lanes);
    return Kernel(&Run, &context_, nullptr, 1, context_.kernel.scratch_size());
  }

 private:
  struct Context {
    Kernel kernel;
    Cancellation* cancellation;
    int64_t* calls_left;
  };
  static void Run(const void* context, const double* const* in, double* const* out,
                  double* scratch) {
    const Context& c = *static_cast<const Context*>(context);
    if (--*c.calls_left == 0) c.cancellation->Cancel(Cancellation::Reason::kClientCancelled);
    c.kernel(in, out, scratch);
  }
  const GenericMap<Decay> inner_;
  const Context context_;
};

TEST_P(EveryContinuous, StopsWithinAStepWhenCancelledOnTheWay) {
  Cancellation cancellation;
  int64_t calls_left = 100;
  const CancelsItself field(&cancellation, &calls_left);
  const double t0 = 0, t1 = 5, y0 = 1, p = 1;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&t1, 1);
  problem.y0 = absl::MakeConstSpan(&y0, 1);
  problem.params = absl::MakeConstSpan(&p, 1);
  Adjoint solved(GetParam(), problem, Tolerance(1e-12), {}, &cancellation);
  EXPECT_EQ(solved.PullBack({}, {}, {1.0}).status().code(), absl::StatusCode::kCancelled);
  EXPECT_GT(calls_left, -100);
}

TEST_P(EveryContinuous, RefusesWhatDoesNotFit) {
  const MixedProblem mixed;
  Adjoint solved(GetParam(), mixed.problem(), Tolerance(1e-6));
  EXPECT_EQ(solved.PullBack({1.0, 2.0}, {1, 2, 3}, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  AdjointOptions adjoint;
  adjoint.backward_rtol = 1e-6;
  adjoint.backward_method = Method::kRk4;
  Adjoint refused(GetParam(), mixed.problem(), Tolerance(1e-6), adjoint);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(EveryContinuous, OutOfStepsIsAFailureWithAReason) {
  const MixedProblem mixed;
  SolveOptions options = Tolerance(1e-4);
  options.max_steps = 40;
  AdjointOptions adjoint;
  adjoint.backward_rtol = 1e-12;
  adjoint.backward_atol = 1e-14;
  Adjoint solved(GetParam(), mixed.problem(), options, adjoint);
  ASSERT_TRUE(solved.status().ok()) << solved.status();
  const auto result = solved.PullBack({}, {}, {1, 0, 0});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(BackwardEnd(result.status()), Termination::Reason::kMaxSteps);
  EXPECT_LE(solved.method().stats().backward_steps + solved.method().stats().backward_rejected, 40);
}

INSTANTIATE_TEST_SUITE_P(All, EveryContinuous, ::testing::ValuesIn(kContinuous),
                         [](const auto& info) { return NameOf(info.param); });

// Budgets: fewer states kept, the same bits.

class EveryDense : public ::testing::TestWithParam<GradientMethod> {};

TEST_P(EveryDense, SameBitsHoweverFewStatesAreKept) {
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kFixed);
  options.control.fixed_step = (mixed.t1 - mixed.t0) / 1000;
  const Cotangent c = MixedCotangent(mixed);
  Adjoint all(GetParam(), mixed.problem(), options);
  const auto expected = all.PullBack(c.times, c.saved, c.terminal);
  ASSERT_TRUE(expected.ok()) << expected.status();
  const int64_t full = all.method().stats().peak_stored_bytes;
  for (const int64_t every : {2, 7, 64, 5000}) {
    AdjointOptions adjoint;
    adjoint.checkpoint_every = every;
    Adjoint some(GetParam(), mixed.problem(), options, adjoint);
    const auto result = some.PullBack(c.times, c.saved, c.terminal);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(Flatten(*result), Flatten(*expected)) << every;
  }
  AdjointOptions adjoint;
  adjoint.memory_budget = full * 3 / 4;
  Adjoint tight(GetParam(), mixed.problem(), options, adjoint);
  ASSERT_TRUE(tight.status().ok()) << tight.status();
  const auto result = tight.PullBack(c.times, c.saved, c.terminal);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Flatten(*result), Flatten(*expected));
  EXPECT_LE(tight.method().stats().peak_stored_bytes, adjoint.memory_budget);
  EXPECT_GT(tight.method().stats().recomputed_steps, all.method().stats().recomputed_steps);
}

TEST_P(EveryDense, RefusesABudgetThatIsTooSmall) {
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kFixed);
  options.control.fixed_step = (mixed.t1 - mixed.t0) / 1000;
  AdjointOptions adjoint;
  adjoint.memory_budget = 9'000;
  Adjoint refused(GetParam(), mixed.problem(), options, adjoint);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()), ::testing::HasSubstr("no fewer than"));
}

INSTANTIATE_TEST_SUITE_P(All, EveryDense,
                         ::testing::Values(GradientMethod::kInterpolating,
                                           GradientMethod::kQuadrature, GradientMethod::kGauss),
                         [](const auto& info) { return NameOf(info.param); });

}  // namespace
}  // namespace costate

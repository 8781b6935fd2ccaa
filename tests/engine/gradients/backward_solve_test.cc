// Solves from one time to an earlier one: what chooses their steps, and how failure is told.
#include "engine/gradients/backward_solve.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

// Notes the steps taken.
class Steps : public StepCompanion {
 public:
  double TrialError(const StepRecord&, const double*) override { return 0; }
  absl::Status Accept(const StepRecord& step, const double*, absl::Span<const double>) override {
    ends.push_back(step.t_next);
    return absl::OkStatus();
  }
  std::vector<double> ends;
};

struct Setting {
  GenericMap<Decay> field;
  std::vector<double> y0 = {1.0}, p = {1.0};
  double t0 = 0, t1 = 2;
  Problem problem;
  SolveOptions options;
  AdjointOptions adjoint;
  Setting() {
    problem.field = &field;
    problem.t0 = absl::MakeConstSpan(&t0, 1);
    problem.t1 = absl::MakeConstSpan(&t1, 1);
    problem.y0 = y0;
    problem.params = p;
  }
  AdjointInput input() const {
    return {.problem = problem, .options = options, .adjoint = adjoint};
  }
};

TEST(BackwardEnd, IsReadBack) {
  using Reason = Termination::Reason;
  for (const Reason reason : {Reason::kMaxSteps, Reason::kStepUnderflow, Reason::kNonFinite}) {
    Termination end;
    end.reason = reason;
    end.detail = "what went wrong";
    const absl::Status status = BackwardFailure(end);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("what went wrong"));
    EXPECT_EQ(BackwardEnd(status), reason);
  }
  EXPECT_EQ(BackwardEnd(absl::FailedPreconditionError("something else")), std::nullopt);
}

TEST(BackwardSolve, ReversesTheGridBetweenTwoTimes) {
  Setting setting;
  setting.options.control.kind = StepControl::Kind::kGrid;
  setting.options.control.grid = {0, 0.25, 0.5, 1, 1.5, 2};
  auto solve = BackwardSolve::Create(setting.input());
  ASSERT_TRUE(solve.ok()) << solve.status();
  EXPECT_FALSE(solve->adaptive());
  const auto ends = [&](double from, double to) {
    Steps steps;
    std::vector<double> state = {1.0};
    solve->Begin({1e-6});
    EXPECT_TRUE(solve->Run(setting.field, from, to, &state, &steps).ok());
    return steps.ends;
  };
  EXPECT_THAT(ends(2, 0), ::testing::ElementsAre(1.5, 1, 0.5, 0.25, 0));
  EXPECT_THAT(ends(1, 0.5), ::testing::ElementsAre(0.5));
  EXPECT_THAT(ends(1.75, 0.3), ::testing::ElementsAre(1.5, 1, 0.5, 0.3));
  EXPECT_THAT(ends(0.7, 0.6), ::testing::ElementsAre(0.6));
}

TEST(BackwardSolve, StartsAnIntervalWithTheStepOfTheLast) {
  Setting setting;
  auto solve = BackwardSolve::Create(setting.input());
  ASSERT_TRUE(solve.ok());
  std::vector<double> state = {1.0};
  solve->Begin({1e-9});
  Steps first, second;
  ASSERT_TRUE(solve->Run(setting.field, 2, 1, &state, &first).ok());
  ASSERT_TRUE(solve->Run(setting.field, 1, 0, &state, &second).ok());
  EXPECT_NEAR(state[0], std::exp(2.0), 1e-4);
  const size_t count = first.ends.size();
  ASSERT_GE(count, 3u);
  const double last = std::max(first.ends[count - 2] - first.ends[count - 1],
                               first.ends[count - 3] - first.ends[count - 2]);
  EXPECT_DOUBLE_EQ(1 - second.ends[0], last);
}

TEST(BackwardSolve, ToleranceMakesFixedStepsAdaptive) {
  Setting setting;
  setting.options.control.kind = StepControl::Kind::kFixed;
  setting.options.control.fixed_step = 0.5;
  EXPECT_FALSE(BackwardSolve::Create(setting.input())->adaptive());
  setting.adjoint.backward_rtol = 1e-7;
  EXPECT_TRUE(BackwardSolve::Create(setting.input())->adaptive());
  EXPECT_EQ(BackwardSolve::Create(setting.input())->rtol(), 1e-7);
  setting.options.method = Method::kRk4;
  EXPECT_EQ(BackwardSolve::Create(setting.input()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// However many intervals a run has.
TEST(BackwardSolve, StepsOfAllIntervalsCount) {
  Setting setting;
  setting.options.control.kind = StepControl::Kind::kFixed;
  setting.options.control.fixed_step = 0.25;
  setting.options.max_steps = 3;
  auto solve = BackwardSolve::Create(setting.input());
  ASSERT_TRUE(solve.ok());
  std::vector<double> state = {1.0};
  solve->Begin({1e-9});
  for (const double from : {2.0, 1.75, 1.5}) {
    EXPECT_TRUE(solve->Run(setting.field, from, from - 0.25, &state).ok()) << from;
  }
  const absl::Status fourth = solve->Run(setting.field, 1.25, 1.0, &state);
  EXPECT_EQ(BackwardEnd(fourth), Termination::Reason::kMaxSteps) << fourth;
  EXPECT_THAT(std::string(fourth.message()), ::testing::HasSubstr("3 steps"));
  solve->Begin({1e-9});
  EXPECT_TRUE(solve->Run(setting.field, 1.25, 1.0, &state).ok());
}

// With one element out of control, the steps are those of the others alone.
TEST(BackwardSolve, InfiniteToleranceLeavesAnElementOut) {
  Setting setting;
  const GenericMap<Driven> field;
  const std::vector<double> y0 = {1.0, 0.5}, p = {0.5};
  setting.problem.field = &field;
  setting.problem.y0 = y0;
  setting.problem.params = p;
  auto solve = BackwardSolve::Create(setting.input());
  ASSERT_TRUE(solve.ok());
  const auto steps = [&](std::vector<double> atol) {
    std::vector<double> state = {1.0, 0.2};
    Steps taken;
    solve->Begin(std::move(atol));
    EXPECT_TRUE(solve->Run(field, 2, 0, &state, &taken).ok());
    return taken.ends.size();
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const size_t both = steps({1e-9, 1e-9});
  EXPECT_GT(both, steps({kInfinity, 1e-2}));
  EXPECT_GT(steps({1e-9, kInfinity}), steps({kInfinity, 1e-9}));
}

}  // namespace
}  // namespace costate

// Every way a solve can end early, and what it leaves behind: a typed reason with time, step,
// element and a sentence; NaN, never 0, for what was not reached.
#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "engine/solvers/integrate.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/solvers/solve_testing.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

using Reason = Termination::Reason;
using testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Termination, SingularityIsAStepUnderflow) {
  const GenericMap<BlowUp> field;
  const OwnedProblem problem{.t1 = {2}, .y0 = {1}};
  SolveOptions options = Adaptive(Method::kTsit5, 1e-6, 1e-9);
  SaveTimes(&options, {0, 0.5, 0.75, 1.5, 2});
  const Trajectory s = Solve(field, problem, options)[0];
  EXPECT_EQ(s.termination.reason, Reason::kStepUnderflow);
  EXPECT_NEAR(s.termination.t, 1, 1e-5);
  EXPECT_EQ(s.termination.state_index, 0);
  EXPECT_EQ(s.termination.step, s.stats.accepted_steps);
  EXPECT_THAT(s.termination.detail, HasSubstr("singularity"));
  // y = 1 / (1 - t) as far as it goes, NaN beyond.
  EXPECT_EQ(s.times.size(), 5u);
  EXPECT_EQ(s.num_reached, 3);
  EXPECT_EQ(s.states[0], 1);
  EXPECT_NEAR(s.states[1], 2, 1e-4);
  EXPECT_NEAR(s.states[2], 4, 1e-4);
  EXPECT_TRUE(std::isnan(s.states[3]));
  EXPECT_TRUE(std::isnan(s.states[4]));
}

TEST(Termination, LeavingTheDomainIsNonFinite) {
  const GenericMap<Torricelli> field;
  const OwnedProblem problem{.t1 = {5}, .y0 = {7, 1}};  // empty at t = 2
  const Trajectory s = Solve(field, problem, Adaptive(Method::kTsit5, 1e-6, 1e-9))[0];
  EXPECT_EQ(s.termination.reason, Reason::kNonFinite);
  EXPECT_NEAR(s.termination.t, 2, 0.01);
  EXPECT_THAT(s.termination.detail, HasSubstr("not finite"));
  EXPECT_EQ(s.times, std::vector<double>{5});
  EXPECT_TRUE(std::isnan(s.states[0]));
  EXPECT_TRUE(std::isnan(s.states[1]));
  EXPECT_EQ(s.num_reached, 0);
}

TEST(Termination, FixedStepsEndBeforeTheFirstBadState) {
  const GenericMap<BlowUp> field;
  const OwnedProblem problem{.t1 = {10}, .y0 = {1}};
  for (const Method method : RungeKuttaMethods()) {
    SolveOptions options = FixedSteps(method, 0.5);
    SaveSteps(&options);
    const Trajectory s = Solve(field, problem, options)[0];
    EXPECT_EQ(s.termination.reason, Reason::kNonFinite);
    EXPECT_EQ(s.termination.state_index, 0);
    EXPECT_EQ(s.termination.t, s.times.back());
    EXPECT_LT(s.termination.t, 10);
    for (const double y : s.states) EXPECT_TRUE(std::isfinite(y));
    EXPECT_THAT(s.termination.detail, HasSubstr("smaller fixed step"));
  }
}

TEST(Termination, BadStartIsNonFiniteAtT0) {
  const GenericMap<Lorenz> field;
  for (const double bad : {kNaN, kInfinity, -kInfinity}) {
    OwnedProblem problem{.t0 = {1}, .t1 = {2}, .y0 = {1, bad, 1}, .params = {10, 28, 2}};
    for (SolveOptions options :
         {Adaptive(Method::kTsit5, 1e-6, 1e-9), FixedSteps(Method::kRk4, 0.1)}) {
      SaveTimes(&options, {1, 2});
      const Trajectory s = Solve(field, problem, options)[0];
      EXPECT_EQ(s.termination.reason, Reason::kNonFinite);
      EXPECT_EQ(s.termination.t, 1);
      EXPECT_EQ(s.termination.step, 0);
      EXPECT_EQ(s.termination.state_index, 1);
      EXPECT_EQ(s.num_reached, 0);
      for (const double y : s.states) EXPECT_TRUE(std::isnan(y));
    }
  }
}

// Overflowing and bad parameters: the derivative is not finite at the start.
TEST(Termination, BadDerivativeIsNonFiniteAtT0) {
  const GenericMap<Lorenz> field;
  for (const double bad : {kNaN, kInfinity, 1e308}) {
    const OwnedProblem problem{.t1 = {2}, .y0 = {1, 10, 1}, .params = {1, 28, -bad}};
    OwnedProblem large = problem;
    large.y0[2] = 10;
    for (const SolveOptions& options :
         {Adaptive(Method::kDopri8, 1e-6, 1e-9), FixedSteps(Method::kMidpoint, 0.1)}) {
      const Trajectory s = Solve(field, large, options)[0];
      EXPECT_EQ(s.termination.reason, Reason::kNonFinite) << bad;
      EXPECT_EQ(s.termination.t, 0);
      EXPECT_EQ(s.termination.state_index, 2);
    }
  }
}

TEST(Termination, MaxSteps) {
  const GenericMap<Lorenz> field;
  const OwnedProblem problem{.t1 = {100}, .y0 = {1, 0, 0}, .params = {10, 28, 8.0 / 3}};
  SolveOptions options = Adaptive(Method::kTsit5, 1e-6, 1e-9);
  options.max_steps = 50;
  SaveSteps(&options);
  const Trajectory s = Solve(field, problem, options)[0];
  EXPECT_EQ(s.termination.reason, Reason::kMaxSteps);
  EXPECT_EQ(s.stats.accepted_steps + s.stats.rejected_steps, 50);
  EXPECT_EQ(s.termination.t, s.times.back());
  EXPECT_THAT(s.termination.detail, HasSubstr("implicit"));
  // Reaching the end with the last allowed step is reaching the end.
  options = FixedSteps(Method::kRk4, 1);
  options.max_steps = 100;
  EXPECT_EQ(Solve(field, {.t1 = {100}, .y0 = {0, 0, 0}, .params = {10, 28, 2}}, options)[0]
                .termination.reason,
            Reason::kReachedEnd);
  options.max_steps = 99;
  EXPECT_EQ(
      Solve(field, {.t1 = {100}, .y0 = {0, 0, 0}, .params = {10, 28, 2}}, options)[0].termination.t,
      99);
}

TEST(Termination, MinStep) {
  const GenericMap<Lorenz> field;
  const OwnedProblem problem{.t1 = {10}, .y0 = {1, 0, 0}, .params = {10, 28, 8.0 / 3}};
  SolveOptions options = Adaptive(Method::kTsit5, 1e-12, 1e-12);
  options.control.min_step = 0.05;
  const Trajectory s = Solve(field, problem, options)[0];
  EXPECT_EQ(s.termination.reason, Reason::kStepUnderflow);
  EXPECT_THAT(s.termination.detail, HasSubstr("below the minimum"));
  EXPECT_TRUE(std::isnan(s.states[0]));
}

// A right-hand side that jumps at every step of any size.
struct Noise {
  static constexpr int64_t kStates = 1, kParams = 0, kValues = 1;
  template <typename S>
  void operator()(const S& t, const S* y, const S* /*p*/, S* f) const {
    using std::sin;
    f[0] = 1e6 * sin(1e15 * t) + 0.0 * y[0];
  }
};

TEST(Termination, EndlessRefusalsEnd) {
  const GenericMap<Noise> field;
  const OwnedProblem problem{.t0 = {1}, .t1 = {2}, .y0 = {0}};
  SolveOptions options = Adaptive(Method::kTsit5, 1e-10, 1e-10);
  options.max_steps = 10000;
  const Trajectory s = Solve(field, problem, options)[0];
  EXPECT_TRUE(s.termination.reason == Reason::kStepUnderflow ||
              s.termination.reason == Reason::kMaxSteps);
  EXPECT_FALSE(s.termination.detail.empty());
}

TEST(Termination, WallBudget) {
  const GenericMap<Lorenz> field;
  OwnedProblem problem{.t1 = {1e9}, .y0 = {1, 0, 0}, .params = {10, 28, 8.0 / 3}};
  SolveOptions options = FixedSteps(Method::kRk4, 1e-2);
  options.max_steps = limits::kMaxSteps;
  options.wall_budget = absl::Milliseconds(20);
  const Trajectory s = Solve(field, problem, options)[0];
  EXPECT_EQ(s.termination.reason, Reason::kWallBudget);
  EXPECT_GT(s.termination.step, 0);
  EXPECT_GT(s.termination.t, 0);
  EXPECT_TRUE(std::isnan(s.states[0]));
  EXPECT_FALSE(s.termination.detail.empty());

  // Of a batch, those that never started end at t0.
  problem.batch = 20;
  for (int b = 1; b < 20; ++b) problem.y0.insert(problem.y0.end(), {1, 0, 0});
  const std::vector<Trajectory> batch = Solve(field, problem, options);
  for (const Trajectory& each : batch) {
    EXPECT_EQ(each.termination.reason, Reason::kWallBudget);
    EXPECT_TRUE(std::isnan(each.states[0]));
  }
  EXPECT_EQ(batch[19].termination.t, 0);
  EXPECT_EQ(batch[19].termination.step, 0);
}

TEST(Termination, CancelledFromAnotherThread) {
  const GenericMap<Lorenz> field;
  const OwnedProblem problem{.t1 = {1e9}, .y0 = {1, 0, 0}, .params = {10, 28, 8.0 / 3}};
  SolveOptions options = FixedSteps(Method::kRk4, 1e-2);
  options.max_steps = limits::kMaxSteps;
  const std::pair<Cancellation::Reason, Reason> cases[] = {
      {Cancellation::Reason::kClientCancelled, Reason::kCancelled},
      {Cancellation::Reason::kDeadlineExceeded, Reason::kDeadlineExceeded},
      {Cancellation::Reason::kShuttingDown, Reason::kShuttingDown}};
  for (const auto& [cancel, expected] : cases) {
    Cancellation cancellation;
    IntegrateHooks hooks;
    hooks.cancellation = &cancellation;
    std::thread other([&] { cancellation.Cancel(cancel); });
    const Trajectory s = Solve(field, problem, options, hooks)[0];
    other.join();
    EXPECT_EQ(s.termination.reason, expected);
    EXPECT_LT(s.termination.t, 1e9);
    EXPECT_FALSE(s.termination.detail.empty());
  }
}

// Polled every step: one that fires inside the right-hand side ends the solve after that step.
struct CancelsItself {
  static constexpr int64_t kStates = 1, kParams = 0, kValues = 1;
  template <typename S>
  void operator()(const S& t, const S* /*y*/, const S* /*p*/, S* f) const {
    if constexpr (std::is_same_v<S, double>) {
      if (t >= 0.5) cancellation->Cancel(Cancellation::Reason::kClientCancelled);
    }
    f[0] = S(1.0);
  }
  Cancellation* cancellation = nullptr;
};

TEST(Termination, CancellationIsSeenAfterTheStep) {
  Cancellation cancellation;
  const GenericMap<CancelsItself> field(CancelsItself{.cancellation = &cancellation});
  IntegrateHooks hooks;
  hooks.cancellation = &cancellation;
  const Trajectory s =
      Solve(field, {.t1 = {10}, .y0 = {0}}, FixedSteps(Method::kEuler, 0.125), hooks)[0];
  EXPECT_EQ(s.termination.reason, Reason::kCancelled);
  EXPECT_EQ(s.termination.t, 0.625);
}

// Counts rows, and cancels when it has had `at` of them.
class CancellingSink : public SaveSink {
 public:
  CancellingSink(Cancellation* cancellation, int at) : cancellation_(cancellation), at_(at) {}
  absl::Status Save(int64_t, double t, absl::Span<const double>) override {
    if (++rows_ == at_) cancellation_->Cancel(Cancellation::Reason::kClientCancelled);
    last_t_ = t;
    return absl::OkStatus();
  }
  int rows() const { return rows_; }
  double last_t() const { return last_t_; }

 private:
  Cancellation* const cancellation_;
  const int at_;
  int rows_ = 0;
  double last_t_ = 0;
};

std::vector<double> EqualTimes(int count, double from, double step) {
  std::vector<double> times(count);
  for (int i = 0; i < count; ++i) times[i] = from + i * step;
  return times;
}

// A step may hold very many saved values; they do not delay the end.
TEST(Termination, CancellationIsSeenBetweenTheRowsOfAStep) {
  const GenericMap<Lorenz> field;
  const OwnedProblem problem{.t1 = {1}, .y0 = {1, 0, 0}, .params = {10, 28, 8.0 / 3}};
  SolveOptions options = FixedSteps(Method::kRk4, 1);
  SaveTimes(&options, EqualTimes(10000, 0x1p-14, 0x1p-14));
  for (const int at : {3, 5000}) {
    Cancellation cancellation;
    CancellingSink sink(&cancellation, at);
    const Trajectory s = Solve(field, problem, options,
                               {.cancellation = &cancellation, .sink = &sink, .companions = {}})[0];
    EXPECT_EQ(s.termination.reason, Reason::kCancelled);
    EXPECT_EQ(sink.rows(), at);
    EXPECT_EQ(s.num_reached, at);
    EXPECT_EQ(s.termination.t, sink.last_t());
    EXPECT_EQ(s.termination.step, 0);
  }
}

TEST(Termination, CancellationIsSeenBetweenRowsAtTheStart) {
  const GenericMap<Lorenz> field;
  const OwnedProblem problem{.t1 = {1}, .y0 = {1, 0, 0}, .params = {10, 28, 8.0 / 3}};
  SolveOptions options = FixedSteps(Method::kRk4, 1);
  SaveTimes(&options, std::vector<double>(100, 0.0));
  Cancellation cancellation;
  CancellingSink sink(&cancellation, 2);
  const Trajectory s = Solve(field, problem, options,
                             {.cancellation = &cancellation, .sink = &sink, .companions = {}})[0];
  EXPECT_EQ(s.termination.reason, Reason::kCancelled);
  EXPECT_EQ(sink.rows(), 2);
}

// Trajectories without a step of their own are no reason to go on either.
TEST(Termination, CancellationIsSeenBetweenEmptySpans) {
  const GenericMap<Lorenz> field;
  OwnedProblem problem{.t1 = {0}, .y0 = {}, .params = {10, 28, 8.0 / 3}, .batch = 50};
  for (int b = 0; b < 50; ++b) problem.y0.insert(problem.y0.end(), {1, 0, 0});
  Cancellation cancellation;
  CancellingSink sink(&cancellation, 4);
  const std::vector<Trajectory> s =
      Solve(field, problem, FixedSteps(Method::kRk4, 1),
            {.cancellation = &cancellation, .sink = &sink, .companions = {}});
  EXPECT_EQ(sink.rows(), 4);
  for (int b = 0; b < 50; ++b) {
    EXPECT_EQ(s[b].termination.reason, b < 4 ? Reason::kReachedEnd : Reason::kCancelled);
  }
}

TEST(Termination, WallBudgetIsSeenBetweenTheRowsOfAStep) {
  const GenericMap<Lorenz> field;
  const OwnedProblem problem{.t1 = {1}, .y0 = {1, 0, 0}, .params = {10, 28, 8.0 / 3}};
  SolveOptions options = FixedSteps(Method::kRk4, 1);
  options.wall_budget = absl::Nanoseconds(1);  // spent at the first look
  SaveTimes(&options, EqualTimes(1000, 0x1p-10, 0x1p-10));
  const Trajectory s = Solve(field, problem, options)[0];
  EXPECT_EQ(s.termination.reason, Reason::kWallBudget);
  EXPECT_EQ(s.num_reached, 1);
  EXPECT_FALSE(std::isnan(s.states[0]));
  EXPECT_TRUE(std::isnan(s.states[3]));
}

// One bad trajectory does not touch the others of its batch.
TEST(Termination, IsPerTrajectory) {
  const GenericMap<BlowUp> field;
  OwnedProblem problem{.t1 = {0.9}, .y0 = {}, .batch = 32};
  for (int b = 0; b < 32; ++b) problem.y0.push_back(b % 3 == 0 ? 2 : b % 3 == 1 ? kNaN : 0.5);
  const std::vector<Trajectory> s = Solve(field, problem, Adaptive(Method::kTsit5, 1e-7, 1e-9));
  for (int b = 0; b < 32; ++b) {
    if (b % 3 == 0) {
      EXPECT_EQ(s[b].termination.reason, Reason::kStepUnderflow);
      EXPECT_NEAR(s[b].termination.t, 0.5, 1e-5);
    } else if (b % 3 == 1) {
      EXPECT_EQ(s[b].termination.reason, Reason::kNonFinite);
    } else {
      EXPECT_EQ(s[b].termination.reason, Reason::kReachedEnd);
      EXPECT_NEAR(s[b].states[0], 0.5 / (1 - 0.45), 1e-5);
    }
    EXPECT_EQ(std::isnan(s[b].states[0]), b % 3 != 2);
  }
}

// ---- arithmetic at the edges
// ---------------------------------------------------------------------

// A decay into the denormal numbers takes the steps of one that stays normal: no flush to zero, no
// storm of refusals.
TEST(Edges, DenormalsCostNoExtraSteps) {
  const GenericMap<Decay> field;
  const auto steps = [&](double y0) {
    const OwnedProblem problem{.t1 = {40}, .y0 = {y0}, .params = {1}};
    const Trajectory s = Solve(field, problem, Adaptive(Method::kTsit5, 1e-6, 1e-30))[0];
    EXPECT_EQ(s.termination.reason, Reason::kReachedEnd);
    return s.stats.accepted_steps + s.stats.rejected_steps;
  };
  EXPECT_LE(steps(1e-300), 3 * steps(1));

  OwnedProblem problem{.t1 = {20}, .y0 = {1e-305}, .params = {1}};
  SolveOptions options = FixedSteps(Method::kRk4, 0.01);
  const Trajectory s = Solve(field, problem, options)[0];
  const double exact = 1e-305 * std::exp(-20.0);
  EXPECT_GT(s.states[0], 0);
  EXPECT_LT(s.states[0], std::numeric_limits<double>::min());
  EXPECT_NEAR(s.states[0] / exact, 1, 1e-3);
}

TEST(Edges, ZeroToleranceAtAZeroState) {
  // The first state stays 0: its weight is 0 and so is its error.
  const GenericMap<Driven> field;
  const OwnedProblem problem{.t1 = {1}, .y0 = {0, 1}, .params = {1}};
  const Trajectory s = Solve(field, problem, Adaptive(Method::kTsit5, 1e-8, 0))[0];
  EXPECT_EQ(s.termination.reason, Reason::kReachedEnd);
  EXPECT_EQ(s.states[0], 0);
  EXPECT_NEAR(s.states[1], 0.5, 1e-7);
}

TEST(Edges, NegativeZeroIsKept) {
  const GenericMap<Decay> field;
  const OwnedProblem problem{.t1 = {1}, .y0 = {-0.0}, .params = {1}};
  SolveOptions options = Adaptive(Method::kTsit5, 1e-6, 1e-9);
  SaveTimes(&options, {0});
  EXPECT_TRUE(std::signbit(Solve(field, problem, options)[0].states[0]));
}

TEST(Edges, StiffProblemsEndByStepsNotByHanging) {
  const GenericMap<Decay> field;
  const OwnedProblem problem{.t1 = {1}, .y0 = {1}, .params = {1e9}};
  SolveOptions options = Adaptive(Method::kTsit5, 1e-6, 1e-9);
  options.max_steps = 1000;
  const Trajectory s = Solve(field, problem, options)[0];
  EXPECT_EQ(s.termination.reason, Reason::kMaxSteps);
}

}  // namespace
}  // namespace costate

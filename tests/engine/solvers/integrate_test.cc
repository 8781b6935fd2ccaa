// The driver: what is saved, batches, grids, step control, companions.
#include "engine/solvers/integrate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/solvers/solve_testing.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

const OwnedProblem kLogistic{.t1 = {4}, .y0 = {0.1}, .params = {1.5, 2}};

double LogisticAt(double t) {
  double y = 0;
  Logistic::Solution(t, kLogistic.y0.data(), kLogistic.params.data(), &y);
  return y;
}

TEST(Save, KeepsTheEnd) {
  const GenericMap<Logistic> field;
  const Trajectory s = Solve(field, kLogistic, Adaptive(Method::kTsit5, 1e-9, 1e-12))[0];
  EXPECT_EQ(s.times, std::vector<double>{4});
  ASSERT_EQ(s.states.size(), 1u);
  EXPECT_NEAR(s.states[0], LogisticAt(4), 1e-8);
  EXPECT_EQ(s.num_reached, 1);
  EXPECT_EQ(s.termination.reason, Termination::Reason::kReachedEnd);
  EXPECT_EQ(s.termination.t, 4);
  EXPECT_EQ(s.termination.step, s.stats.accepted_steps);
  EXPECT_EQ(s.termination.detail, "");
  EXPECT_TRUE(s.grid.empty());
}

TEST(Save, KeepsTimesWithEndsAndRepetitions) {
  const GenericMap<Logistic> field;
  for (const Method method : RungeKuttaMethods()) {
    if (GetMethodInfo(method).order < 3 || GetMethodInfo(method).error_order == 0) continue;
    SolveOptions options = Adaptive(method, 1e-8, 1e-10);
    SaveTimes(&options, {0, 0, 0.5, 0.5, 1.234, 3.9999, 4, 4});
    const Trajectory s = Solve(field, kLogistic, options)[0];
    EXPECT_EQ(s.times, options.save.times);
    EXPECT_EQ(s.num_reached, 8);
    EXPECT_EQ(s.states[0], 0.1);
    EXPECT_EQ(s.states[1], 0.1);
    EXPECT_EQ(s.states[2], s.states[3]);
    EXPECT_EQ(s.states[6], s.states[7]);
    for (int i = 0; i < 8; ++i) EXPECT_NEAR(s.states[i], LogisticAt(s.times[i]), 1e-5);
  }
}

// What is saved does not change the steps: the end is the same with and without.
TEST(Save, DoesNotChangeTheSteps) {
  const GenericMap<Lorenz> field;
  const OwnedProblem problem{.t1 = {10}, .y0 = {1, 0, 0}, .params = {10, 28, 8.0 / 3}};
  for (const Method method : {Method::kTsit5, Method::kDopri8, Method::kRalston3}) {
    SolveOptions options = Adaptive(method, 1e-6, 1e-9);
    const Trajectory plain = Solve(field, problem, options)[0];
    std::vector<double> times;
    for (int i = 0; i <= 100; ++i) times.push_back(i * 0.1);
    SaveTimes(&options, times);
    const Trajectory dense = Solve(field, problem, options)[0];
    EXPECT_TRUE(SameBits(plain.states, {dense.states.end() - 3, dense.states.end()}));
    SaveSteps(&options);
    const Trajectory steps = Solve(field, problem, options)[0];
    EXPECT_TRUE(SameBits(plain.states, {steps.states.end() - 3, steps.states.end()}));
  }
}

TEST(Save, KeepsEveryNthStepAndTheEnd) {
  const GenericMap<Logistic> field;
  SolveOptions options = FixedSteps(Method::kRk4, 0.5);
  SaveSteps(&options);
  EXPECT_EQ(Solve(field, kLogistic, options)[0].times,
            (std::vector<double>{0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4}));
  SaveSteps(&options, 3);
  EXPECT_EQ(Solve(field, kLogistic, options)[0].times, (std::vector<double>{0, 1.5, 3, 4}));
  SaveSteps(&options, 4);
  EXPECT_EQ(Solve(field, kLogistic, options)[0].times, (std::vector<double>{0, 2, 4}));
  SaveSteps(&options, 100);
  EXPECT_EQ(Solve(field, kLogistic, options)[0].times, (std::vector<double>{0, 4}));
}

TEST(Save, TakesNoTimes) {
  const GenericMap<Logistic> field;
  SolveOptions options = FixedSteps(Method::kRk4, 0.5);
  SaveTimes(&options, {});
  const Trajectory s = Solve(field, kLogistic, options)[0];
  EXPECT_TRUE(s.times.empty());
  EXPECT_EQ(s.termination.t, 4);
}

struct CollectingSink : SaveSink {
  absl::Status Save(int64_t trajectory, double t, absl::Span<const double> y) override {
    if (times.size() == refuse_after) {
      ++refusals;
      return absl::AbortedError("reader is gone");
    }
    trajectories.push_back(trajectory);
    times.push_back(t);
    states.insert(states.end(), y.begin(), y.end());
    return absl::OkStatus();
  }
  size_t refuse_after = std::numeric_limits<size_t>::max();
  int refusals = 0;
  std::vector<int64_t> trajectories;
  std::vector<double> times, states;
};

TEST(Save, GoesToTheSink) {
  const GenericMap<Logistic> field;
  SolveOptions options = Adaptive(Method::kTsit5, 1e-8, 1e-10);
  SaveTimes(&options, {0, 1, 2, 4});
  const Trajectory kept = Solve(field, kLogistic, options)[0];
  CollectingSink sink;
  IntegrateHooks hooks;
  hooks.sink = &sink;
  const Trajectory streamed = Solve(field, kLogistic, options, hooks)[0];
  EXPECT_TRUE(streamed.times.empty());
  EXPECT_TRUE(streamed.states.empty());
  EXPECT_EQ(streamed.num_reached, 4);
  EXPECT_EQ(sink.times, kept.times);
  EXPECT_TRUE(SameBits(sink.states, kept.states));
}

TEST(Save, ErrorOfTheSinkEndsTheSolve) {
  const GenericMap<Logistic> field;
  SolveOptions options = Adaptive(Method::kTsit5, 1e-8, 1e-10);
  SaveTimes(&options, {0, 1, 2, 4});
  CollectingSink sink;
  sink.refuse_after = 2;
  IntegrateHooks hooks;
  hooks.sink = &sink;
  const Problem problem = kLogistic.View(field);
  EXPECT_EQ(Integrate(problem, options, hooks).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(sink.times.size(), 2u);
  EXPECT_EQ(sink.refusals, 1);

  // Many rows of one step, and many at the start: the sink is not asked again.
  for (const double t : {0.0, 1e-7}) {
    SaveTimes(&options, std::vector<double>(50, t));
    sink = {};
    sink.refuse_after = 2;
    EXPECT_EQ(Integrate(problem, options, hooks).status().code(), absl::StatusCode::kAborted);
    EXPECT_EQ(sink.refusals, 1);
  }
}

// ---- steps
// ---------------------------------------------------------------------------------------

TEST(FixedStep, TimesAreMultiplesAndTheLastIsShortened) {
  const GenericMap<Logistic> field;
  OwnedProblem problem = kLogistic;
  problem.t1 = {1};
  SolveOptions options = FixedSteps(Method::kHeun, 0.3);
  options.return_grid = true;
  EXPECT_EQ(Solve(field, problem, options)[0].grid, (std::vector<double>{0, 0.3, 0.6, 3 * 0.3, 1}));
  // 0.1 does not divide 1 in floating point; still ten steps, at multiples.
  options.control.fixed_step = 0.1;
  const std::vector<double> grid = Solve(field, problem, options)[0].grid;
  ASSERT_EQ(grid.size(), 11u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(grid[i], i * 0.1);
  EXPECT_EQ(grid[10], 1);
  // A step longer than the span is the span.
  options.control.fixed_step = 5;
  EXPECT_EQ(Solve(field, problem, options)[0].grid, (std::vector<double>{0, 1}));
}

TEST(FixedStep, ManyStepsDoNotDrift) {
  const GenericMap<Decay> field;
  const OwnedProblem problem{.t1 = {1000}, .y0 = {1}, .params = {0.001}};
  SolveOptions options = FixedSteps(Method::kEuler, 0.01);
  options.return_grid = true;
  const std::vector<double> grid = Solve(field, problem, options)[0].grid;
  ASSERT_EQ(grid.size(), 100001u);
  for (int i = 0; i < 100000; ++i) ASSERT_EQ(grid[i], i * 0.01);
}

TEST(AdaptiveStep, EndsExactlyWithoutATinyStep) {
  const GenericMap<Oscillator> field;
  for (const double t1 : {0.7, 3.3, 10.0, -5.0}) {
    const OwnedProblem problem{.t1 = {t1}, .y0 = {1, 0}, .params = {2}};
    SolveOptions options = Adaptive(Method::kTsit5, 1e-7, 1e-9);
    options.return_grid = true;
    const std::vector<double> grid = Solve(field, problem, options)[0].grid;
    ASSERT_GT(grid.size(), 4u);
    EXPECT_EQ(grid.back(), t1);
    const size_t n = grid.size();
    const double last = std::abs(grid[n - 1] - grid[n - 2]);
    const double before = std::abs(grid[n - 2] - grid[n - 3]);
    EXPECT_GT(last, 0.3 * before);
  }
}

TEST(AdaptiveStep, KeepsItsBounds) {
  const GenericMap<Oscillator> field;
  const OwnedProblem problem{.t1 = {5}, .y0 = {1, 0}, .params = {2}};
  SolveOptions options = Adaptive(Method::kTsit5, 1e-4, 1e-6);
  options.return_grid = true;
  options.control.max_step = 0.02;
  const std::vector<double> grid = Solve(field, problem, options)[0].grid;
  EXPECT_GE(grid.size(), 251u);
  for (size_t i = 1; i < grid.size(); ++i) EXPECT_LE(grid[i] - grid[i - 1], 0.02 * (1 + 1e-13));

  options.control.max_step.reset();
  options.control.initial_step = 1e-3;
  EXPECT_EQ(Solve(field, problem, options)[0].grid[1], 1e-3);
}

// Tolerances per element: a state that is left alone (atol = infinity in effect) costs no steps.
TEST(AdaptiveStep, WeighsStatesByTheirOwnTolerance) {
  const GenericMap<Driven> field;
  const OwnedProblem problem{.t1 = {2}, .y0 = {1, 5}, .params = {3}};
  SolveOptions options = Adaptive(Method::kTsit5, 0, 1e-9);
  const int64_t both = Solve(field, problem, options)[0].stats.accepted_steps;
  options.control.atol = {1e3, 1e-9};
  const int64_t second = Solve(field, problem, options)[0].stats.accepted_steps;
  options.control.atol = {1e3, 1e3};
  const int64_t none = Solve(field, problem, options)[0].stats.accepted_steps;
  EXPECT_LT(second, both);
  EXPECT_LT(none, second / 4);
}

TEST(AdaptiveStep, EveryControllerSolves) {
  const GenericMap<Kepler> field;
  OwnedProblem problem{.t1 = {20}, .y0 = {0, 0, 0, 0}, .params = {1}};
  Kepler::Orbit(0, 0.7, problem.y0.data());
  double exact[4];
  Kepler::Orbit(20, 0.7, exact);
  std::vector<int64_t> steps;
  for (const auto controller :
       {StepControl::Controller::kI, StepControl::Controller::kPI, StepControl::Controller::kPID}) {
    SolveOptions options = Adaptive(Method::kTsit5, 1e-9, 1e-11);
    options.control.controller = controller;
    const Trajectory s = Solve(field, problem, options)[0];
    for (int e = 0; e < 4; ++e) EXPECT_NEAR(s.states[e], exact[e], 1e-5);
    steps.push_back(s.stats.accepted_steps + s.stats.rejected_steps);
  }
  EXPECT_LT(*std::max_element(steps.begin(), steps.end()),
            2 * *std::min_element(steps.begin(), steps.end()));
}

// ---- grids
// ---------------------------------------------------------------------------------------

TEST(Grid, ReplaysATrajectoryBitForBit) {
  const GenericMap<Tangle> field;
  // Times of both signs and sizes, so that t + h and t_next - t round.
  const OwnedProblem problem{
      .t0 = {-0.7}, .t1 = {2.1}, .y0 = {0.9, -0.4, 0.7}, .params = {1.1, 0.6, -0.8, 0.5}};
  for (const Method method : RungeKuttaMethods()) {
    SolveOptions options = GetMethodInfo(method).error_order > 0 ? Adaptive(method, 1e-5, 1e-7)
                                                                 : FixedSteps(method, 0.07);
    options.return_grid = true;
    SaveTimes(&options, {-0.7, -0.3, 1e-20, 1, 2.1});
    const Trajectory first = Solve(field, problem, options)[0];
    SolveOptions again = options;
    again.control = StepControl();
    again.control.kind = StepControl::Kind::kGrid;
    again.control.grid = first.grid;
    const Trajectory second = Solve(field, problem, again)[0];
    EXPECT_TRUE(SameBits(first.states, second.states)) << GetMethodInfo(method).name;
    EXPECT_TRUE(SameBits(first.grid, second.grid)) << GetMethodInfo(method).name;
    EXPECT_EQ(second.stats.accepted_steps, first.stats.accepted_steps);
    EXPECT_EQ(second.stats.rejected_steps, 0);
  }
}

TEST(Grid, OfOneTimeTakesNoStep) {
  const GenericMap<Logistic> field;
  OwnedProblem problem = kLogistic;
  problem.t1 = {0};
  SolveOptions options;
  options.control.kind = StepControl::Kind::kGrid;
  options.control.grid = {0};
  EXPECT_EQ(Solve(field, problem, options)[0].states, std::vector<double>{0.1});
}

TEST(EmptySpan, TakesNoStep) {
  const GenericMap<Logistic> field;
  OwnedProblem problem = kLogistic;
  problem.t0 = problem.t1 = {3};
  for (SolveOptions options : {Adaptive(Method::kTsit5, 1e-6, 1e-9), FixedSteps(Method::kRk4, 1)}) {
    options.return_grid = true;
    for (const auto kind : {SaveAt::Kind::kEnd, SaveAt::Kind::kTimes, SaveAt::Kind::kSteps}) {
      options.save.kind = kind;
      options.save.times = {3};
      const Trajectory s = Solve(field, problem, options)[0];
      EXPECT_EQ(s.times, std::vector<double>{3});
      EXPECT_EQ(s.states, std::vector<double>{0.1});
      EXPECT_EQ(s.num_reached, 1);
      EXPECT_EQ(s.grid, std::vector<double>{3});
      EXPECT_EQ(s.stats.accepted_steps, 0);
      EXPECT_EQ(s.termination.reason, Termination::Reason::kReachedEnd);
    }
  }
}

// ---- batches
// -------------------------------------------------------------------------------------

// Lorenz trajectories of very different lengths and stiffness, so that lanes end and are refilled
// at different times.
OwnedProblem UnevenBatch(int64_t batch) {
  OwnedProblem problem{.t0 = {}, .t1 = {}, .y0 = {}, .params = {}, .batch = batch};
  std::mt19937 random(7);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int64_t b = 0; b < batch; ++b) {
    const double t0 = uniform(random);
    problem.t0.push_back(t0);
    problem.t1.push_back(b % 5 == 0 ? t0 : t0 + 3 * std::pow(uniform(random), 3));
    for (int i = 0; i < 3; ++i) problem.y0.push_back(uniform(random));
    problem.params.insert(problem.params.end(), {10 * uniform(random), 50 * uniform(random), 2});
  }
  return problem;
}

OwnedProblem Single(const OwnedProblem& batch, int64_t b) {
  const auto row = [b](const std::vector<double>& values, int64_t size) {
    return std::vector<double>(values.begin() + b * size, values.begin() + (b + 1) * size);
  };
  return {.t0 = row(batch.t0, 1),
          .t1 = row(batch.t1, 1),
          .y0 = row(batch.y0, 3),
          .params = row(batch.params, 3)};
}

class BatchTest : public testing::TestWithParam<Method> {};

// Contract: a trajectory has the same bits alone, in a batch, in any lane, at any width.
TEST_P(BatchTest, EqualsSinglesBitForBit) {
  const OwnedProblem batch = UnevenBatch(37);
  SolveOptions options = GetMethodInfo(GetParam()).error_order > 0
                             ? Adaptive(GetParam(), 1e-4, 1e-6)
                             : FixedSteps(GetParam(), 0.013);
  options.return_grid = true;
  SaveSteps(&options, 2);
  for (const int width : {1, 2, 4, 8}) {
    const GenericMap<Lorenz> field(Lorenz(), width);
    const std::vector<Trajectory> together = Solve(field, batch, options);
    for (int64_t b = 0; b < batch.batch; ++b) {
      const Trajectory alone = Solve(field, Single(batch, b), options)[0];
      SCOPED_TRACE(absl::StrCat("trajectory ", b, ", width ", width));
      ExpectSameBits(alone, together[b]);
    }
  }
}

TEST_P(BatchTest, DoesNotDependOnItsOrder) {
  const OwnedProblem batch = UnevenBatch(19);
  OwnedProblem reversed{.t0 = {}, .t1 = {}, .y0 = {}, .params = {}, .batch = 19};
  for (int64_t b = 18; b >= 0; --b) {
    const OwnedProblem one = Single(batch, b);
    reversed.t0.push_back(one.t0[0]);
    reversed.t1.push_back(one.t1[0]);
    reversed.y0.insert(reversed.y0.end(), one.y0.begin(), one.y0.end());
    reversed.params.insert(reversed.params.end(), one.params.begin(), one.params.end());
  }
  const GenericMap<Lorenz> field;
  SolveOptions options = GetMethodInfo(GetParam()).error_order > 0
                             ? Adaptive(GetParam(), 1e-4, 1e-6)
                             : FixedSteps(GetParam(), 0.013);
  const std::vector<Trajectory> a = Solve(field, batch, options);
  const std::vector<Trajectory> b = Solve(field, reversed, options);
  for (int64_t i = 0; i < 19; ++i) ExpectSameBits(a[i], b[18 - i]);
}

INSTANTIATE_TEST_SUITE_P(All, BatchTest,
                         testing::ValuesIn(RungeKuttaMethods().begin(), RungeKuttaMethods().end()),
                         [](const auto& info) {
                           return std::string(GetMethodInfo(info.param).name);
                         });

TEST(Batch, SharesTimesParametersAndSavedTimes) {
  const GenericMap<Decay> field;
  OwnedProblem problem{.t1 = {1}, .y0 = {}, .params = {0.7}, .batch = 20};
  for (int b = 0; b < 20; ++b) problem.y0.push_back(b);
  SolveOptions options = Adaptive(Method::kDopri5, 1e-8, 1e-10);
  SaveTimes(&options, {0, 0.25, 1});
  const std::vector<Trajectory> s = Solve(field, problem, options);
  for (int b = 0; b < 20; ++b) {
    for (int i = 0; i < 3; ++i) {
      EXPECT_NEAR(s[b].states[i], b * std::exp(-0.7 * options.save.times[i]), 1e-6);
    }
  }
}

TEST(Batch, SavesToTheSinkInOrderForEachTrajectory) {
  const OwnedProblem batch = UnevenBatch(20);
  const GenericMap<Lorenz> field;
  SolveOptions options = Adaptive(Method::kTsit5, 1e-4, 1e-6);
  SaveSteps(&options);
  const std::vector<Trajectory> kept = Solve(field, batch, options);
  CollectingSink sink;
  IntegrateHooks hooks;
  hooks.sink = &sink;
  Solve(field, batch, options, hooks);
  std::vector<std::vector<double>> times(20);
  for (size_t i = 0; i < sink.times.size(); ++i) {
    times[sink.trajectories[i]].push_back(sink.times[i]);
  }
  for (int b = 0; b < 20; ++b) EXPECT_EQ(times[b], kept[b].times);
}

TEST(Batch, RefusesMoreOutputThanTheLimit) {
  const GenericMap<Decay> field;
  const std::vector<double> y0(1000000, 1.0), t0 = {0}, t1 = {1}, p = {1};
  Problem problem;
  problem.field = &field;
  problem.num_trajectories = 1000000;
  problem.t0 = t0;
  problem.t1 = t1;
  problem.y0 = y0;
  problem.params = p;
  SolveOptions options;
  SaveTimes(&options, std::vector<double>(1000, 0.5));
  EXPECT_EQ(Integrate(problem, options).status().code(), absl::StatusCode::kResourceExhausted);
}

// ---- companions
// ----------------------------------------------------------------------------------

struct Watcher : StepCompanion {
  absl::Status Begin(double t0, const double* y0) override {
    times = {t0};
    first = y0[0];
    return absl::OkStatus();
  }
  double TrialError(const StepRecord& step, const double* y_new) override {
    ++trials;
    EXPECT_TRUE(std::isfinite(y_new[0]));
    return step.h > longest ? 10 : 0;
  }
  absl::Status Accept(const StepRecord& step, const double* /*y_new*/,
                      absl::Span<const double> saved) override {
    EXPECT_EQ(step.t, times.back());
    EXPECT_EQ(step.h, step.t_next - step.t);
    times.push_back(step.t_next);
    thetas.insert(thetas.end(), saved.begin(), saved.end());
    return absl::OkStatus();
  }
  double longest = 1e300, first = 0;
  int64_t trials = 0;
  std::vector<double> times, thetas;
};

TEST(Companion, SeesEveryStepAndSavedValue) {
  const GenericMap<Logistic> field;
  SolveOptions options = Adaptive(Method::kTsit5, 1e-6, 1e-8);
  options.return_grid = true;
  SaveTimes(&options, {0, 1, 1, 4});
  Watcher watcher;
  IntegrateHooks hooks;
  hooks.companions = {&watcher};
  const Trajectory s = Solve(field, kLogistic, options, hooks)[0];
  EXPECT_EQ(watcher.first, 0.1);
  EXPECT_EQ(watcher.times, s.grid);
  EXPECT_EQ(watcher.trials, s.stats.accepted_steps + s.stats.rejected_steps);
  ASSERT_EQ(watcher.thetas.size(), 3u);  // not the one at t0
  EXPECT_EQ(watcher.thetas[0], watcher.thetas[1]);
  EXPECT_EQ(watcher.thetas[2], 1);
  ExpectSameBits(s, Solve(field, kLogistic, options)[0]);
}

TEST(Companion, ErrorRefusesSteps) {
  const GenericMap<Logistic> field;
  SolveOptions options = Adaptive(Method::kTsit5, 1e-3, 1e-3);
  options.return_grid = true;
  Watcher watcher;
  watcher.longest = 0.05;
  IntegrateHooks hooks;
  hooks.companions = {&watcher};
  const Trajectory s = Solve(field, kLogistic, options, hooks)[0];
  EXPECT_GT(s.stats.rejected_steps, 0);
  for (size_t i = 1; i < s.grid.size(); ++i) EXPECT_LE(s.grid[i] - s.grid[i - 1], 0.05);
  // Fixed steps are not judged.
  options.control.kind = StepControl::Kind::kFixed;
  options.control.fixed_step = 1;
  EXPECT_EQ(Solve(field, kLogistic, options, hooks)[0].stats.accepted_steps, 4);
}

}  // namespace
}  // namespace costate

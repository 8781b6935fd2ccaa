// Solves through the door against closed forms, and the contracts of a result.
#include "engine/solve.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::Batch;
using ::costate::testing::CompileProblem;
using ::costate::testing::CompileText;
using ::costate::testing::SaveTimes;
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using ::costate::testing::TestEngine;

// y = a exp(-k (t - t0)), and two outputs.
constexpr char kDecay[] =
    "model decay\nparam a = 3\nparam k = 0.7\nstate y = a\ny' = -k*y\n"
    "output twice = 2*y + t\noutput one = 1\n";

SolveResult MustSolve(const SolveRequest& request) {
  auto result = TestEngine().Solve(request);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

TEST(Solve, ExponentialDecayWithOutputs) {
  SolveRequest request = {.simulation = Simulate(CompileText(kDecay), 1, 3, 1e-10, 1e-12)};
  SaveTimes(&request.simulation, {1, 1.5, 2.25, 3});
  const SolveResult result = MustSolve(request);
  const Trajectory& trajectory = result.trajectories.at(0);
  ASSERT_EQ(trajectory.times.size(), 4u);
  EXPECT_EQ(trajectory.termination.reason, Termination::Reason::kReachedEnd);
  for (size_t r = 0; r < 4; ++r) {
    const double y = 3 * std::exp(-0.7 * (trajectory.times[r] - 1));
    EXPECT_NEAR(trajectory.states[r], y, 1e-9);
    EXPECT_NEAR(result.outputs[0][2 * r], 2 * y + trajectory.times[r], 2e-9);
    EXPECT_EQ(result.outputs[0][2 * r + 1], 1);
  }
  EXPECT_GT(result.timing.engine, absl::ZeroDuration());
}

TEST(Solve, DampedOscillator) {
  SolveRequest request = {
      .simulation = Simulate(CompileProblem("damped_oscillator.ode"), 0, 10, 1e-10, 1e-12)};
  request.simulation.params = {Scalar("v0", 0.5)};
  const SolveResult result = MustSolve(request);
  const double a = 0.1 * 2, w = std::sqrt(4 - a * a);
  const double x = std::exp(-a * 10) * (std::cos(w * 10) + (0.5 + a) / w * std::sin(w * 10));
  EXPECT_NEAR(result.trajectories[0].states[0], x, 1e-9);
}

TEST(Solve, ATrajectoryHasTheSameBitsAloneAndInABatch) {
  const std::vector<double> rates = {0.1, 0.2, 0.3, 0.5, 0.8, 1.3, 2.1, 3.4, 5.5, 8.9, 14.4};
  SolveRequest batch = {.simulation = Simulate(CompileText(kDecay), 0, 2)};
  batch.simulation.params = {Batch("k", rates)};
  SaveTimes(&batch.simulation, {0.5, 2});
  const SolveResult together = MustSolve(batch);
  EXPECT_TRUE(together.resolution.batched);
  ASSERT_EQ(together.trajectories.size(), rates.size());
  for (size_t b = 0; b < rates.size(); ++b) {
    SolveRequest one = batch;
    one.simulation.params = {Scalar("k", rates[b])};
    const SolveResult alone = MustSolve(one);
    EXPECT_EQ(alone.trajectories[0].states, together.trajectories[b].states);
    EXPECT_EQ(alone.outputs[0], together.outputs[b]);
  }
}

TEST(Solve, SpansMayBeBatched) {
  SolveRequest request = {.simulation = Simulate(CompileText(kDecay), 0, 0, 1e-10, 1e-12)};
  request.simulation.t0 = {0, 1, 2};
  request.simulation.t1 = {1, 3, 1};
  const SolveResult result = MustSolve(request);
  const double lengths[] = {1, 2, -1};
  for (size_t b = 0; b < 3; ++b) {
    EXPECT_NEAR(result.trajectories[b].states[0], 3 * std::exp(-0.7 * lengths[b]), 1e-8);
  }
}

TEST(Solve, TheEchoGivesTheSameSolveAgain) {
  SolveRequest request = {.simulation = Simulate(CompileProblem("lorenz.ode"), 0, 5)};
  request.simulation.options.return_grid = true;
  const SolveResult first = MustSolve(request);
  request.simulation.options = first.resolution.options;
  request.simulation.method_auto = false;
  const SolveResult second = MustSolve(request);
  EXPECT_EQ(first.trajectories[0].grid, second.trajectories[0].grid);
  EXPECT_EQ(first.trajectories[0].states, second.trajectories[0].states);
}

TEST(Solve, EarlyEndLeavesNaNInStatesAndOutputs) {
  // y' = y^2, y(0) = 1 has a pole at t = 1.
  SolveRequest request = {
      .simulation =
          Simulate(CompileText("model pole\nstate y = 1\ny' = y^2\noutput one = 1\n"), 0, 2)};
  SaveTimes(&request.simulation, {0.5, 1.5});
  const SolveResult result = MustSolve(request);
  const Trajectory& trajectory = result.trajectories[0];
  EXPECT_NE(trajectory.termination.reason, Termination::Reason::kReachedEnd);
  EXPECT_NEAR(trajectory.termination.t, 1, 1e-3);
  EXPECT_EQ(trajectory.num_reached, 1);
  EXPECT_NEAR(trajectory.states[0], 2, 1e-5);
  EXPECT_TRUE(std::isnan(trajectory.states[1]));
  EXPECT_EQ(result.outputs[0][0], 1);
  EXPECT_TRUE(std::isnan(result.outputs[0][1]));
}

TEST(Solve, CancelledBeforeItStartsIsAnError) {
  Cancellation cancellation;
  cancellation.Cancel(Cancellation::Reason::kDeadlineExceeded);
  const SolveRequest request = {.simulation = Simulate(CompileText(kDecay), 0, 1)};
  EXPECT_EQ(TestEngine().Solve(request, &cancellation).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

// Cancels when the solve is about to start.
class CancelAtBegin : public SolveSink {
 public:
  explicit CancelAtBegin(Cancellation* cancellation) : cancellation_(cancellation) {}
  absl::Status Begin(const Resolution&, int64_t) override {
    cancellation_->Cancel(Cancellation::Reason::kDeadlineExceeded);
    return absl::OkStatus();
  }
  absl::Status Save(int64_t, double, absl::Span<const double>, absl::Span<const double>) override {
    return absl::OkStatus();
  }

 private:
  Cancellation* const cancellation_;
};

TEST(Solve, CancellationIsATermination) {
  Cancellation cancellation;
  CancelAtBegin sink(&cancellation);
  const SolveRequest request = {.simulation = Simulate(CompileText(kDecay), 0, 1)};
  const auto result = TestEngine().Solve(request, &cancellation, &sink);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->trajectories[0].termination.reason, Termination::Reason::kDeadlineExceeded);
}

// The solve has no step to take; its outputs come too late.
TEST(Solve, WallBudgetEndsTheOutputs) {
  SolveRequest request = {.simulation = Simulate(CompileText(kDecay), 1, 1)};
  const auto untimed = TestEngine().Solve(request);
  ASSERT_TRUE(untimed.ok()) << untimed.status();
  EXPECT_EQ(untimed->trajectories[0].termination.reason, Termination::Reason::kReachedEnd);
  EXPECT_FALSE(std::isnan(untimed->outputs[0][0]));
  request.simulation.options.wall_budget = absl::Nanoseconds(1);
  const auto result = TestEngine().Solve(request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->trajectories[0].termination.reason, Termination::Reason::kWallBudget);
  EXPECT_THAT(result->trajectories[0].termination.detail, ::testing::HasSubstr("outputs"));
  EXPECT_FALSE(std::isnan(result->trajectories[0].states[0]));
  EXPECT_TRUE(std::isnan(result->outputs[0][0]));
}

TEST(Solve, NamesTheStateThatEndedIt) {
  const SolveRequest request = {
      .simulation = Simulate(CompileText("model m\nstate a = 1\nstate v[2] = [0, 1]\n"
                                         "a' = 0\nv' = [0, v[1]^2]\n"),
                             0, 2)};
  const auto result = TestEngine().Solve(request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->trajectories[0].termination.state_index, 2);
  EXPECT_THAT(result->trajectories[0].termination.detail, ::testing::HasSubstr("state v[1]"));
}

class Collect : public SolveSink {
 public:
  absl::Status Begin(const Resolution& resolution, int64_t num_trajectories) override {
    EXPECT_TRUE(rows.empty());
    batched = resolution.batched;
    trajectories = num_trajectories;
    return absl::OkStatus();
  }
  absl::Status Save(int64_t trajectory, double t, absl::Span<const double> y,
                    absl::Span<const double> outputs) override {
    if (trajectory == fail_at) return absl::DataLossError("full");
    rows.push_back({trajectory, t, y[0], outputs.empty() ? -1 : outputs[0]});
    return absl::OkStatus();
  }
  struct Row {
    int64_t trajectory;
    double t, y, output;
  };
  std::vector<Row> rows;
  int64_t fail_at = -1;
  int64_t trajectories = 0;
  bool batched = false;
};

TEST(Solve, ASinkSeesTheSameRows) {
  SolveRequest request = {.simulation = Simulate(CompileText(kDecay), 0, 2)};
  request.simulation.params = {Batch("a", {1, 2, 3})};
  request.simulation.options.save.kind = SaveAt::Kind::kSteps;
  const SolveResult collected = MustSolve(request);
  Collect sink;
  const auto streamed = TestEngine().Solve(request, nullptr, &sink);
  ASSERT_TRUE(streamed.ok()) << streamed.status();
  EXPECT_EQ(sink.trajectories, 3);
  EXPECT_TRUE(sink.batched);
  size_t used = 0;
  for (int64_t b = 0; b < 3; ++b) {
    const Trajectory& trajectory = collected.trajectories[b];
    size_t r = 0;
    for (const Collect::Row& row : sink.rows) {
      if (row.trajectory != b) continue;
      EXPECT_EQ(row.t, trajectory.times.at(r));
      EXPECT_EQ(row.y, trajectory.states[r]);
      EXPECT_EQ(row.output, collected.outputs[b][2 * r]);
      ++r;
    }
    EXPECT_EQ(r, trajectory.times.size());
    used += r;
  }
  EXPECT_EQ(used, sink.rows.size());
  EXPECT_EQ(streamed->trajectories[2].termination.reason, Termination::Reason::kReachedEnd);
}

TEST(Solve, AFailingSinkStopsTheSolve) {
  SolveRequest request = {.simulation = Simulate(CompileText(kDecay), 0, 2), .want_outputs = false};
  Collect sink;
  sink.fail_at = 0;
  EXPECT_EQ(TestEngine().Solve(request, nullptr, &sink).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(CheckTrajectory, RefusesWhatDoesNotFit) {
  Trajectory trajectory;
  trajectory.times = {0, 1};
  trajectory.states = {1, 2};
  trajectory.num_reached = 2;
  EXPECT_TRUE(CheckTrajectory(trajectory, 1).ok());
  EXPECT_EQ(CheckTrajectory(trajectory, 2).code(), absl::StatusCode::kInternal);
  trajectory.states[1] = INFINITY;
  EXPECT_EQ(CheckTrajectory(trajectory, 1).code(), absl::StatusCode::kInternal);
  trajectory.num_reached = 1;
  EXPECT_TRUE(CheckTrajectory(trajectory, 1).ok());
}

}  // namespace
}  // namespace costate

// A batch differentiated in lanes: each trajectory has the bits it has alone.
#include "engine/batch_pass.h"

#include <cmath>
#include <limits>
#include <optional>
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
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;
using ::costate::testing::TestEngine;

// An output of a parameter and of time, initial values from a parameter, and all kinds of columns.
constexpr char kModel[] =
    "model m\nparam a = 1.5\nparam k = 1\nstate y = a\nstate z = 0.5\n"
    "y' = -k*y*z + sin(t)\nz' = y - a*z\noutput u = k*y + t*z\n";

GradientRequest Request(int64_t batch) {
  GradientRequest request;
  request.simulation = Simulate(CompileText(kModel), 0, 2, 1e-7, 1e-9);
  std::vector<double> rates, starts, ends;
  for (int64_t b = 0; b < batch; ++b) {
    rates.push_back(0.5 + 0.1 * static_cast<double>(b));
    starts.push_back(0.02 * static_cast<double>(b));
    ends.push_back(2 + 0.3 * static_cast<double>((b * 7) % 5));
  }
  request.simulation.params = {Batch("k", rates)};
  request.simulation.t0 = starts;
  request.simulation.t1 = ends;
  request.loss = Squares({Channel::Kind::kOutput, 0}, {0.9, 1.2, 1.2, 1.9}, {0.3, 0.2, 0.1, 0.5});
  request.loss.terms.emplace_back(Terminal{.state = {1, -2}, .output = {0.5}});
  request.wrt = {"k", "a", "z", "t0", "t1"};
  request.gradient.method = GradientMethod::kBackprop;
  request.gradient.want_times = true;
  return request;
}

GradientRequest Only(const GradientRequest& batch, int64_t b) {
  GradientRequest one = batch;
  one.simulation.params = {Scalar("k", batch.simulation.params[0].values[b])};
  one.simulation.t0 = {batch.simulation.t0[b]};
  one.simulation.t1 = {batch.simulation.t1[b]};
  return one;
}

void ExpectEachAsAlone(const GradientRequest& request, int64_t batch) {
  const auto together = TestEngine().Differentiate(request);
  ASSERT_TRUE(together.ok()) << together.status();
  ASSERT_EQ(together->trajectories.size(), static_cast<size_t>(batch));
  for (int64_t b = 0; b < batch; ++b) {
    const auto alone = TestEngine().Differentiate(Only(request, b));
    ASSERT_TRUE(alone.ok()) << alone.status();
    const auto& mine = together->trajectories[b];
    const auto& own = alone->trajectories[0];
    EXPECT_EQ(mine.loss, own.loss) << b;
    EXPECT_EQ(mine.gradient, own.gradient) << b;
    EXPECT_EQ(mine.times, own.times) << b;
    EXPECT_EQ(mine.saved.states, own.saved.states) << b;
    EXPECT_EQ(mine.saved.outputs, own.saved.outputs) << b;
    EXPECT_EQ(mine.stats.solve.accepted_steps, own.stats.solve.accepted_steps) << b;
    EXPECT_EQ(mine.stats.adjoint.replayed_steps, own.stats.adjoint.replayed_steps) << b;
    EXPECT_EQ(mine.stats.adjoint.recomputed_steps, own.stats.adjoint.recomputed_steps) << b;
    EXPECT_EQ(mine.stats.adjoint.peak_stored_bytes, own.stats.adjoint.peak_stored_bytes) << b;
  }
}

// A discrete adjoint and a scheme it fits.
struct Way {
  const char* name;
  GradientMethod method;
  Method solver;
  std::optional<double> coupling;
};

class EveryWay : public ::testing::TestWithParam<Way> {
 protected:
  void Choose(GradientRequest* request) const {
    request->gradient.method = GetParam().method;
    request->simulation.options.method = GetParam().solver;
    request->simulation.options.coupling = GetParam().coupling;
    request->simulation.method_auto = false;
    if (GetParam().method == GradientMethod::kCheckpointed) {
      request->gradient.adjoint.checkpoints = 4;
    }
  }
};

TEST_P(EveryWay, EachTrajectoryAsAlone) {
  GradientRequest request = Request(37);
  Choose(&request);
  ExpectEachAsAlone(request, 37);
}

// Not enough for full lanes, and enough for one of them at least.
TEST_P(EveryWay, FewTrajectoriesToo) {
  for (const int64_t batch : {2, 5}) {
    GradientRequest request = Request(batch);
    Choose(&request);
    ExpectEachAsAlone(request, batch);
  }
}

TEST_P(EveryWay, OneThatEndsEarlyLeavesTheOthers) {
  GradientRequest request;
  request.simulation = Simulate(CompileText("model b\nparam a = 1\nstate y = a\ny' = y^2\n"), 0, 1);
  request.simulation.params = {
      Batch("a", {0.5, 0.25, 2.0, 0.1, 0.9, 0.3, 1.5, 0.2, 0.4, 0.6, 3.0, 0.7})};
  request.loss.terms.emplace_back(Terminal{.state = {1}, .output = {}});
  Choose(&request);
  const auto result = TestEngine().Differentiate(request);
  ASSERT_TRUE(result.ok()) << result.status();
  for (size_t b = 0; b < result->trajectories.size(); ++b) {
    const double a = request.simulation.params[0].values[b];
    const auto& one = result->trajectories[b];
    if (a > 1) {
      EXPECT_NE(one.termination.reason, Termination::Reason::kReachedEnd) << a;
      EXPECT_TRUE(std::isnan(one.loss) && std::isnan(one.gradient[0])) << a;
    } else {
      EXPECT_NEAR(one.gradient[0], 1 / ((1 - a) * (1 - a)), 2e-3 / ((1 - a) * (1 - a))) << a;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    BatchPass, EveryWay,
    ::testing::Values(
        Way{"backprop", GradientMethod::kBackprop, Method::kTsit5, {}},
        Way{"backprop_coupled", GradientMethod::kBackprop, Method::kTsit5, 0.999},
        Way{"backprop_alf", GradientMethod::kBackprop, Method::kAlf, {}},
        Way{"checkpointed", GradientMethod::kCheckpointed, Method::kTsit5, {}},
        Way{"checkpointed_heun", GradientMethod::kCheckpointed, Method::kReversibleHeun, {}},
        Way{"segmented", GradientMethod::kSegmented, Method::kBosh3, {}},
        Way{"reversible_coupled", GradientMethod::kReversible, Method::kTsit5, 0.99},
        Way{"reversible_heun", GradientMethod::kReversible, Method::kReversibleHeun, {}},
        Way{"reversible_leapfrog", GradientMethod::kReversible, Method::kLeapfrogMidpoint, {}},
        Way{"reversible_ees25", GradientMethod::kReversible, Method::kEes25, {}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(BatchPass, EachAsAloneWhenTheBudgetHoldsFew) {
  GradientRequest request = Request(37);
  const auto all = TestEngine().Differentiate(request);
  ASSERT_TRUE(all.ok()) << all.status();
  int64_t largest = 0;
  for (const auto& one : all->trajectories) {
    largest = std::max(largest, one.stats.adjoint.peak_stored_bytes);
  }
  request.gradient.adjoint.memory_budget = 3 * largest;
  ExpectEachAsAlone(request, 37);
  request.gradient.adjoint.memory_budget = largest / 2;
  EXPECT_EQ(TestEngine().Differentiate(request).status().code(),
            absl::StatusCode::kResourceExhausted);
}

// Reports are made of trajectories by themselves; the others share lanes around them.
TEST(BatchPass, ReportsLeaveTheBitsOfAll) {
  GradientRequest request = Request(37);
  const auto without = TestEngine().Differentiate(request);
  ASSERT_TRUE(without.ok()) << without.status();
  for (const int64_t every : {0, 1, 5}) {
    request.gradient.report = {.wanted = true, .every = every};
    const auto with = TestEngine().Differentiate(request);
    ASSERT_TRUE(with.ok()) << with.status();
    for (int64_t b = 0; b < 37; ++b) {
      const auto& one = with->trajectories[b];
      EXPECT_EQ(one.report.has_value(), b % (every == 0 ? 16 : every) == 0) << b;
      EXPECT_EQ(one.loss, without->trajectories[b].loss) << b;
      EXPECT_EQ(one.gradient, without->trajectories[b].gradient) << b;
      EXPECT_EQ(one.times, without->trajectories[b].times) << b;
      EXPECT_EQ(one.saved.states, without->trajectories[b].saved.states) << b;
      EXPECT_EQ(one.stats.solve.accepted_steps,
                without->trajectories[b].stats.solve.accepted_steps);
      EXPECT_GT(one.stats.adjoint.peak_stored_bytes, 0);
    }
  }
}

// Also where no trajectory runs in lanes.
TEST(BatchPass, ReportsOnSomeByEveryMethod) {
  GradientRequest request = Request(5);
  request.gradient.want_times = false;
  request.gradient.method = GradientMethod::kForward;
  request.gradient.report = {.wanted = true, .every = 3};
  const auto result = TestEngine().Differentiate(request);
  ASSERT_TRUE(result.ok()) << result.status();
  for (int64_t b = 0; b < 5; ++b) {
    EXPECT_EQ(result->trajectories[b].report.has_value(), b % 3 == 0) << b;
  }
  request.gradient.report.wanted = false;
  EXPECT_FALSE(TestEngine().Differentiate(request)->trajectories[0].report.has_value());
}

}  // namespace
}  // namespace costate

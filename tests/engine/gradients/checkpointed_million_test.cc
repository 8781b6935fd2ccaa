// A million steps of a hundred states, differentiated in 64 MB; backprop would hold 6.5 GB.
#include <cmath>

#include "engine/gradients/adjoint.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/ring_field.h"

namespace costate {
namespace {

using ::costate::testing::RingProblem;

class Million : public ::testing::TestWithParam<bool> {};

// The states' sum is invariant, under every Runge-Kutta method: its gradient is one in each initial
// value and zero in the rate.
TEST_P(Million, GradientOfAnInvariant) {
  const bool adaptive = GetParam();
  const RingProblem ring(100, 20'000);
  const Problem problem = ring.problem();
  SolveOptions options;
  options.max_steps = 2'000'000;
  options.control.kind = adaptive ? StepControl::Kind::kAdaptive : StepControl::Kind::kFixed;
  options.control.fixed_step = 0.02;
  options.control.max_step = 0.02;
  const AdjointOptions adjoint = {.memory_budget = 64'000'000};
  auto method = MakeAdjointMethod(GradientMethod::kCheckpointed,
                                  {.problem = problem, .options = options, .adjoint = adjoint})
                    .value();
  const auto trajectory = method->Solve();
  ASSERT_TRUE(trajectory.ok()) << trajectory.status();
  ASSERT_EQ(trajectory->termination.reason, Termination::Reason::kReachedEnd);
  const std::vector<double> ones(100, 1.0);
  const StateCotangents cotangents = {{}, {}, ones};
  const auto results = method->PullBack(absl::MakeConstSpan(&cotangents, 1));
  ASSERT_TRUE(results.ok()) << results.status();
  for (const double value : (*results)[0].initial_state) EXPECT_NEAR(value, 1, 1e-9);
  EXPECT_NEAR((*results)[0].params[0], 0, 1e-6);
  const AdjointStats stats = method->stats();
  EXPECT_GE(stats.replayed_steps, 1'000'000);
  EXPECT_LE(stats.peak_stored_bytes, 64'000'000);
  EXPECT_LE(stats.recomputed_steps, stats.replayed_steps);
}

INSTANTIATE_TEST_SUITE_P(All, Million, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "adaptive" : "fixed"; });

}  // namespace
}  // namespace costate

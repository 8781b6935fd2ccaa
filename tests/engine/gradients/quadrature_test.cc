// The parameter integral by adaptive quadrature after the solve of lambda.
#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/gradients/continuous_testing.h"

namespace costate {
namespace {

using ::costate::testing::Adjoint;
using ::costate::testing::Hum;
using ::costate::testing::MixedProblem;
using ::costate::testing::Tolerance;

// lambda is constant: panels as long as its steps miss the integrand, and have to be halved.
TEST(Quadrature, HalvesPanelsUntilTheIntegralIsSeen) {
  const GenericMap<Hum> field;
  const std::vector<double> y0 = {0.3}, p = {2.0};
  const double t0 = 0, t1 = 3;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&t1, 1);
  problem.y0 = y0;
  problem.params = p;
  const auto evaluations = [&](double rtol) {
    AdjointOptions adjoint;
    adjoint.backward_rtol = rtol;
    adjoint.backward_atol = rtol * 1e-3;
    Adjoint solved(GradientMethod::kQuadrature, problem, Tolerance(1e-10), adjoint);
    const auto result = solved.PullBack({}, {}, {1.0});
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_NEAR(result->params[0], (1 - std::cos(120.0)) / 40, 0.1 * rtol + 1e-9);
    return solved.method().stats().vjp_evaluations;
  };
  EXPECT_GT(evaluations(1e-10), evaluations(1e-4));
}

TEST(Quadrature, CountsWhatItKeepsOfLambda) {
  const MixedProblem mixed;
  Adjoint solved(GradientMethod::kQuadrature, mixed.problem(), Tolerance(1e-8));
  const int64_t forward = solved.method().stats().peak_stored_bytes;
  ASSERT_TRUE(solved.PullBack({}, {}, {1, 2, 3}).ok());
  const AdjointStats stats = solved.method().stats();
  EXPECT_GE(stats.peak_stored_bytes, forward + 8 * (1 + 3) * stats.backward_steps);
}

}  // namespace
}  // namespace costate

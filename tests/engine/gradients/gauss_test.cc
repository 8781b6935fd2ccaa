// The parameter integral by nodes in each backward step.
#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/gradients/continuous_testing.h"

namespace costate {
namespace {

using ::costate::testing::Adjoint;
using ::costate::testing::Case;
using ::costate::testing::ClosedFormError;
using ::costate::testing::Hum;
using ::costate::testing::MixedProblem;
using ::costate::testing::Tolerance;

// lambda is constant, so few backward steps span many forward ones: the nodes follow the latter.
TEST(Gauss, CutsBackwardStepsWhereForwardStepsMeet) {
  const GenericMap<Hum> field;
  const std::vector<double> y0 = {0.3}, p = {2.0};
  const double t0 = 0, t1 = 3;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&t1, 1);
  problem.y0 = y0;
  problem.params = p;
  Adjoint solved(GradientMethod::kGauss, problem, Tolerance(1e-8));
  const auto result = solved.PullBack({}, {}, {1.0});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NEAR(result->params[0], (1 - std::cos(120.0)) / 40, 1e-8);
  const AdjointStats stats = solved.method().stats();
  const int64_t forward = solved.trajectory().stats.accepted_steps;
  EXPECT_LT(4 * stats.backward_steps, forward);
  EXPECT_GE(stats.vjp_evaluations, 3 * forward);  // three nodes in each piece
}

// The backward method's dense output needs stages that its steps do not have.
TEST(Gauss, TakesStepsAgainForADenseOutputWithExtraStages) {
  AdjointOptions adjoint;
  adjoint.backward_method = Method::kDopri8;
  const Case<Logistic> c = {.y0 = {0.3}, .p = {1.1, 2.5}, .t1 = 3};
  EXPECT_LT(ClosedFormError(c, GradientMethod::kGauss, 1e-11, adjoint), 1e-9);
}

TEST(Gauss, KeepsNothingOfLambda) {
  const MixedProblem mixed;
  Adjoint gauss(GradientMethod::kGauss, mixed.problem(), Tolerance(1e-8));
  const int64_t forward = gauss.method().stats().peak_stored_bytes;
  ASSERT_TRUE(gauss.PullBack({}, {}, {1, 2, 3}).ok());
  EXPECT_EQ(gauss.method().stats().peak_stored_bytes, forward);
}

}  // namespace
}  // namespace costate

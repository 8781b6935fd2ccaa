// The parameter integral inside the solve, in and out of its step control.
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/gradients/continuous_testing.h"

namespace costate {
namespace {

using ::costate::testing::Adjoint;
using ::costate::testing::Case;
using ::costate::testing::ClosedFormError;
using ::costate::testing::Hum;
using ::costate::testing::Tolerance;

TEST(Interpolating, SeminormTakesFewerStepsForTheSameState) {
  const Case<Hum> c = {.y0 = {0.3}, .p = {2.0}, .t1 = 3};
  const GenericMap<Hum> field;
  const double t0 = 0;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&c.t1, 1);
  problem.y0 = c.y0;
  problem.params = c.p;
  const auto steps = [&](bool seminorm) {
    AdjointOptions adjoint;
    adjoint.seminorm = seminorm;
    Adjoint solved(GradientMethod::kInterpolating, problem, Tolerance(1e-8), adjoint);
    const auto result = solved.PullBack({}, {}, {1.0});
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->initial_state[0], 1.0);  // lambda is constant
    return solved.method().stats().backward_steps;
  };
  EXPECT_LT(4 * steps(true), steps(false));
  AdjointOptions adjoint;
  adjoint.seminorm = true;
  const Case<Logistic> logistic = {.y0 = {0.3}, .p = {1.1, 2.5}, .t1 = 3};
  for (const GradientMethod method : {GradientMethod::kInterpolating, GradientMethod::kBacksolve}) {
    EXPECT_LT(ClosedFormError(logistic, method, 1e-8, adjoint), 1e-6);
  }
}

}  // namespace
}  // namespace costate

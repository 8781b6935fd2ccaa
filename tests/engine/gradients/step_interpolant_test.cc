// Dense output of a step in hand against that of the stepper that took it.
#include "engine/gradients/step_interpolant.h"

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

class StepInterpolantTest : public ::testing::TestWithParam<Method> {};

TEST_P(StepInterpolantTest, MatchesTheStepper) {
  const testing::MixedProblem mixed;
  for (const double h : {0.125, -0.125}) {
    const auto stepper = MakeStepper(GetParam(), mixed.field, 1).value();
    stepper->Reset(0, 1.0, mixed.y0.data(), mixed.params.data(), nullptr);
    const double end = 1.0 + h;
    stepper->Step(&end);
    const StepRecord step = {
        .t = 1.0, .h = h, .t_next = end, .y = stepper->y(), .stages = stepper->stages()};
    const std::vector<double> y_new(stepper->y_new(), stepper->y_new() + 3);
    auto interpolant = StepInterpolant::Create(GetParam(), mixed.field, mixed.params);
    ASSERT_TRUE(interpolant.ok()) << interpolant.status();
    interpolant->Load(step, y_new.data());
    for (const double theta : {0.0, 0.25, 0.5, 0.875, 1.0}) {
      std::vector<double> expected(3), y(3);
      stepper->Interpolate(0, theta, expected.data());
      interpolant->Evaluate(1.0 + theta * h, y.data());
      for (int e = 0; e < 3; ++e) EXPECT_NEAR(y[e], expected[e], 1e-14) << theta;
      if (theta == 1) {
        EXPECT_EQ(y, y_new);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, StepInterpolantTest,
                         ::testing::ValuesIn(RungeKuttaMethods().begin(),
                                             RungeKuttaMethods().end()),
                         [](const auto& info) {
                           return std::string(GetMethodInfo(info.param).name);
                         });

}  // namespace
}  // namespace costate

#include "engine/solvers/step_controller.h"

#include <cmath>

#include "engine/solvers/stepper.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

TEST(FastLog2, AgreesWithTheLibrary) {
  for (double x = 1e-300; x < 1e300; x *= 1.37) {
    EXPECT_NEAR(FastLog2(x), std::log2(x), 2e-10);
  }
  for (double x = 0.5; x < 2; x += 1e-3) EXPECT_NEAR(FastLog2(x), std::log2(x), 2e-10);
  EXPECT_EQ(FastLog2(1), 0);
  EXPECT_EQ(FastLog2(8), 3);
}

TEST(FastExp2, AgreesWithTheLibrary) {
  for (double x = -900; x < 900; x += 0.37) {
    EXPECT_NEAR(FastExp2(x) / std::exp2(x), 1, 2e-10) << x;
  }
  EXPECT_EQ(FastExp2(0), 1);
  EXPECT_EQ(FastExp2(-3), 0.125);
}

TEST(ResolveGains, GivesTheCustomaryValues) {
  StepControl control;
  control.controller = StepControl::Controller::kI;
  EXPECT_EQ(ResolveGains(control, Method::kTsit5).beta1, 1.0 / 5);
  EXPECT_EQ(ResolveGains(control, Method::kTsit5).beta2, 0);
  EXPECT_EQ(ResolveGains(control, Method::kDopri8).beta1, 1.0 / 8);
  EXPECT_EQ(ResolveGains(control, Method::kHeun).beta1, 1.0 / 2);
  control.controller = StepControl::Controller::kPI;
  EXPECT_EQ(ResolveGains(control, Method::kBosh3).beta1, 0.7 / 3);
  EXPECT_EQ(ResolveGains(control, Method::kBosh3).beta2, 0.4 / 3);
  EXPECT_EQ(ResolveGains(control, Method::kBosh3).beta3, 0);
  control.controller = StepControl::Controller::kPID;
  EXPECT_EQ(ResolveGains(control, Method::kTsit5).beta1, 0.58 / 5);
  EXPECT_EQ(ResolveGains(control, Method::kTsit5).beta2, 0.21 / 5);
  EXPECT_EQ(ResolveGains(control, Method::kTsit5).beta3, 0.10 / 5);
  control.beta2 = 0.5;
  EXPECT_EQ(ResolveGains(control, Method::kTsit5).beta2, 0.5);
}

// safety e_n^-b1 e_{n-1}^b2 e_{n-2}^-b3 with the library's pow.
TEST(ControllerState, FollowsItsFormula) {
  const ControllerGains gains = {.beta1 = 0.2, .beta2 = 0.1, .beta3 = 0.05, .rejected = 0.25};
  ControllerState state;
  const double errors[] = {0.5, 0.03, 0.9, 0.2};
  double previous = 1, before = 1;
  for (const double e : errors) {
    const double expected =
        0.9 * std::pow(e, -0.2) * std::pow(previous, 0.1) * std::pow(before, -0.05);
    EXPECT_NEAR(state.Accepted(gains, e * e), expected, 1e-9);
    before = previous;
    previous = e;
  }
}

TEST(ControllerState, ShrinksAfterARejectionAndDoesNotGrowAtOnce) {
  const ControllerGains gains = {.beta1 = 0.2, .rejected = 0.25};
  ControllerState state;
  EXPECT_NEAR(state.Rejected(gains, 16.0), 0.9 * std::pow(4.0, -0.25), 1e-9);
  EXPECT_EQ(state.Rejected(gains, 1e40), 0.2);
  EXPECT_EQ(state.Rejected(gains, INFINITY), 0.2);
  EXPECT_EQ(state.Rejected(gains, NAN), 0.2);
  EXPECT_EQ(state.Accepted(gains, 1e-20), 1);
  EXPECT_EQ(state.Accepted(gains, 1e-20), 10);
}

TEST(ControllerState, IsClamped) {
  const ControllerGains gains = {.beta1 = 0.2, .rejected = 0.2};
  ControllerState state;
  EXPECT_EQ(state.Accepted(gains, 0), 10);
  EXPECT_LT(state.Accepted(gains, 1), 1);
}

}  // namespace
}  // namespace costate

#include "engine/gradients/stability.h"

#include "gtest/gtest.h"

namespace costate {
namespace {

// Real stability limits as published: Hairer and Wanner II, IV.2 (Euler, RK4, dopri5).
TEST(RealStabilityLimit, OfKnownMethods) {
  EXPECT_NEAR(RealStabilityLimit(Method::kEuler), 2, 2e-3);
  EXPECT_NEAR(RealStabilityLimit(Method::kMidpoint), 2, 2e-3);
  EXPECT_NEAR(RealStabilityLimit(Method::kBosh3), 2.513, 2e-3);
  EXPECT_NEAR(RealStabilityLimit(Method::kRk4), 2.785, 2e-3);
  EXPECT_NEAR(RealStabilityLimit(Method::kDopri5), 3.306, 2e-3);
  EXPECT_NEAR(RealStabilityLimit(Method::kTsit5), 3.47, 0.05);  // numerics.md D.1
}

}  // namespace
}  // namespace costate

#include "engine/stability/step_matrix.h"

#include <array>
#include <cmath>

#include <gtest/gtest.h>

namespace costate::stability {
namespace {

// The stability function of RK4 is the Taylor polynomial of exp.
TEST(StepMatrixTest, MeasuresRungeKutta) {
  auto probe = StepMatrixProbe::Create(Method::kRk4);
  ASSERT_TRUE(probe.ok());
  const Complex z(-0.7, 1.9);
  const StepMatrix matrix = (*probe)->Measure(z);
  ASSERT_EQ(matrix.size, 1);
  const Complex taylor = 1.0 + z * (1.0 + z / 2.0 * (1.0 + z / 3.0 * (1.0 + z / 4.0)));
  EXPECT_LT(std::abs(matrix.at(0, 0) - taylor), 1e-14);
}

// Leapfrog-midpoint: y_2 = y_0 + 2 z y_1 from the Euler start y_1 = (1 + z) y_0.
TEST(StepMatrixTest, StepsCarryEverything) {
  auto probe = StepMatrixProbe::Create(Method::kLeapfrogMidpoint);
  ASSERT_TRUE(probe.ok());
  EXPECT_EQ((*probe)->carried(), 2);
  const Complex z(0.3, -0.4);
  std::array<Complex, 3> state = {1, z};
  (*probe)->Step(z, state.data());
  EXPECT_LT(std::abs(state[0] - (1.0 + z)), 1e-15);
  (*probe)->Step(z, state.data());
  EXPECT_LT(std::abs(state[0] - (1.0 + 2.0 * z * (1.0 + z))), 1e-15);
}

// The matrix acts as the step does.
TEST(StepMatrixTest, MatrixTimesStateIsTheStep) {
  auto probe = StepMatrixProbe::Create(Scheme(Method::kBosh3, 0.9, 1));
  ASSERT_TRUE(probe.ok());
  const Complex z(-1.1, 0.6);
  const StepMatrix m = (*probe)->Measure(z);
  std::array<Complex, 3> state = {Complex(0.2, 0.5), Complex(-0.8, 0.3)};
  const Complex y = m.at(0, 0) * state[0] + m.at(0, 1) * state[1];
  const Complex w = m.at(1, 0) * state[0] + m.at(1, 1) * state[1];
  (*probe)->Step(z, state.data());
  EXPECT_LT(std::abs(state[0] - y), 1e-14);
  EXPECT_LT(std::abs(state[1] - w), 1e-14);
}

TEST(StepMatrixTest, FieldHasValuesOnly) {
  const LinearTestField field;
  EXPECT_TRUE(field.Get(MapKernel::kValue, 1).ok());
  EXPECT_FALSE(field.Get(MapKernel::kVjp, 1).ok());
}

}  // namespace
}  // namespace costate::stability

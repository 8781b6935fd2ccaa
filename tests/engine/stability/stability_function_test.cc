#include "engine/stability/stability_function.h"

#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "engine/stability/step_matrix.h"
#include "tests/engine/stability/scheme_testing.h"

namespace costate::stability {
namespace {

constexpr int kPoints = 10'000;

Complex RandomPoint(std::mt19937_64* random) {
  std::uniform_real_distribution<double> real(-4, 2), imag(-4, 4);
  const double x = real(*random);
  return {x, imag(*random)};
}

double LargestEntry(const StepMatrix& matrix) {
  double largest = 1;
  for (const Complex entry : matrix.entries) largest = std::max(largest, std::abs(entry));
  return largest;
}

// Two routes to the same matrix: formulas, and the steps of the solver itself.
TEST(StabilityFunctionTest, ClosedFormIsWhatTheStepperDoes) {
  for (const Scheme& scheme : AllSchemes()) {
    SCOPED_TRACE(Describe(scheme));
    const StabilityFunction function(scheme);
    auto probe = StepMatrixProbe::Create(scheme);
    ASSERT_TRUE(probe.ok()) << probe.status();
    std::mt19937_64 random(20'240);
    double entries = 0, radius = 0;
    for (int i = 0; i < kPoints; ++i) {
      const Complex z = RandomPoint(&random);
      const StepMatrix closed = function.Matrix(z), measured = (*probe)->Measure(z);
      ASSERT_EQ(closed.size, measured.size);
      const double scale = LargestEntry(closed);
      for (int k = 0; k < closed.size * closed.size; ++k) {
        entries = std::max(entries, std::abs(closed.entries[k] - measured.entries[k]) / scale);
      }
      const double expected = SpectralRadius(measured);
      radius = std::max(radius, std::abs(function.SpectralRadius(z) - expected) / expected);
    }
    EXPECT_LT(entries, 1e-12);
    EXPECT_LT(radius, 1e-7);  // the square root of rounding where both eigenvalues meet
  }
}

// Simulated: the state after 400 steps of the solver has grown or died as the spectral radius says,
// for every point that is not within 5 % of the border.
TEST(StabilityFunctionTest, SimulatedGrowthIsTheSpectralRadius) {
  constexpr int kSteps = 400;
  for (const Scheme& scheme : AllSchemes()) {
    SCOPED_TRACE(Describe(scheme));
    const StabilityFunction function(scheme);
    auto probe = StepMatrixProbe::Create(scheme);
    ASSERT_TRUE(probe.ok()) << probe.status();
    std::mt19937_64 random(410'112'648);
    int judged = 0, wrong = 0;
    for (int i = 0; i < kPoints; ++i) {
      const Complex z = RandomPoint(&random);
      const double rho = function.SpectralRadius(z);
      if (rho > 0.95 && rho < 1.05) continue;
      ++judged;
      std::array<Complex, 3> state = {Complex(0.3, -0.7), Complex(-0.2, 0.4), Complex(0.9, 0.1)};
      double size = 1;
      for (int step = 0; step < kSteps && size > 1e-6 && size < 1e6; ++step) {
        (*probe)->Step(z, state.data());
        size = 0;
        for (int c = 0; c < function.carried(); ++c) size = std::max(size, std::abs(state[c]));
      }
      if ((rho < 1) != (size < 1e-3)) ++wrong;
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_GT(judged, kPoints / 2);
  }
}

TEST(StabilityFunctionTest, TraceAndDeterminantAreThoseOfTheMatrix) {
  std::mt19937_64 random(7);
  for (const Scheme& scheme : AllSchemes()) {
    SCOPED_TRACE(Describe(scheme));
    const StabilityFunction function(scheme);
    for (int i = 0; i < 100; ++i) {
      const Complex z = RandomPoint(&random);
      const StepMatrix m = function.Matrix(z);
      Complex trace = 0;
      for (int k = 0; k < m.size; ++k) trace += m.at(k, k);
      const double scale = LargestEntry(m) * LargestEntry(m);
      EXPECT_LT(std::abs(trace - Evaluate(function.trace(), z)), 1e-12 * scale);
      if (m.size != 2) continue;
      const Complex determinant = m.at(0, 0) * m.at(1, 1) - m.at(0, 1) * m.at(1, 0);
      EXPECT_LT(std::abs(determinant - function.determinant()), 1e-12 * scale);
    }
  }
}

// Foster and McCallum's talk: asynchronous leapfrog and reversible Heun are unstable everywhere off
// the imaginary segment [-i, i].
TEST(StabilityFunctionTest, UndampedSchemesAreUnstableOffTheSegment) {
  std::mt19937_64 random(11);
  for (const Method method : {Method::kAlf, Method::kReversibleHeun, Method::kLeapfrogMidpoint}) {
    const StabilityFunction function{Scheme(method)};
    EXPECT_TRUE(function.undamped());
    for (int i = 0; i < kPoints; ++i) {
      const Complex z = RandomPoint(&random);
      EXPECT_GT(function.SpectralRadius(z), 1 + 1e-6) << z;
      const Complex on(0, std::fmod(z.imag(), 1.0));
      EXPECT_NEAR(function.SpectralRadius(on), 1, 1e-12) << on;
      const Complex beyond(0, z.imag() < 0 ? z.imag() - 1 : z.imag() + 1);
      EXPECT_GT(function.SpectralRadius(beyond), 1) << beyond;
    }
  }
}

// Power-bounded inside the segment, linear growth at its ends, where both eigenvalues are one.
TEST(StabilityFunctionTest, EndsOfTheSegmentGrowLinearly) {
  auto probe = StepMatrixProbe::Create(Method::kAlf);
  ASSERT_TRUE(probe.ok());
  std::array<Complex, 3> inside = {1, Complex(0, 0.9)}, end = {1, Complex(0, 1)};
  double bounded = 0;
  for (int i = 0; i < 10'000; ++i) {
    (*probe)->Step(Complex(0, 0.9), inside.data());
    (*probe)->Step(Complex(0, 1), end.data());
    bounded = std::max(bounded, std::abs(inside[0]));
  }
  EXPECT_LT(bounded, 10);
  EXPECT_GT(std::abs(end[0]), 100);
  EXPECT_NEAR(StabilityFunction(Method::kAlf).SpectralRadius(Complex(0, 1)), 1, 1e-7);
}

// The published plotting script of the construction has another entry (2, 2); the recursion decides
// (midpoint, coupling 0.8, x = -1.8: growth 0.899 simulated over 40 steps or so, 0.894 in the
// limit).
TEST(StabilityFunctionTest, ConstructionFollowsTheRecursion) {
  const StabilityFunction function(Scheme(Method::kMidpoint, 0.8, 1));
  EXPECT_NEAR(function.SpectralRadius(-1.8), std::sqrt(0.8), 5e-3);
}

// Near 0 the order star's level is of the size |z|^(order + 1): the coefficient is that of the
// first term in which R and exp differ.
TEST(StabilityFunctionTest, OrderStarIsExactNearTheOrigin) {
  for (const Method method : RungeKuttaMethods()) {
    SCOPED_TRACE(Describe(method));
    const StabilityFunction function{Scheme(method)};
    const int p = GetMethodInfo(method).order;
    const double small = std::fabs(function.LogOrderStar(Complex(1e-4, 0.3e-4)));
    const double smaller = std::fabs(function.LogOrderStar(Complex(0.5e-4, 0.15e-4)));
    EXPECT_NEAR(std::log2(small / smaller), p + 1, 0.01);
  }
  for (const Scheme& scheme : AllSchemes()) {
    SCOPED_TRACE(Describe(scheme));
    const StabilityFunction function(scheme);
    for (const Complex z : {Complex(0.55, 0.7), Complex(-0.4, 0.8), Complex(0.2, -0.9)}) {
      EXPECT_NEAR(function.LogOrderStar(z), std::log(function.SpectralRadius(z)) - z.real(), 1e-11);
    }
  }
}

// In the limit of high order the eigenvalues are e^z and lambda e^-z, so the step back grows by
// max(-ln lambda, |Re z|) at least.
TEST(StabilityFunctionTest, ReverseGrowthOfTheConstruction) {
  const StabilityFunction function(Scheme(Method::kDopri8, 0.99, 1));
  const double floor = -std::log(0.99);
  EXPECT_NEAR(function.LogReverseGrowth(0), floor, 1e-12);
  EXPECT_NEAR(function.LogReverseGrowth(-0.3), 0.3, 1e-9);
  EXPECT_NEAR(function.LogReverseGrowth(0.3), floor + 0.3, 1e-9);
  EXPECT_NEAR(function.LogReverseGrowth(Complex(0, 0.3)), floor, 1e-9);
  const StabilityFunction alf(Scheme(Method::kAlf, std::nullopt, 0.9));
  EXPECT_NEAR(alf.LogReverseGrowth(0), -std::log(0.8), 1e-12);
}

TEST(StabilityFunctionTest, OverflowIsUnstable) {
  const StabilityFunction function(Scheme(Method::kDopri8, 0.999, 1));
  EXPECT_EQ(function.SpectralRadius(1e200), std::numeric_limits<double>::infinity());
  StepMatrix matrix;
  matrix.entries[0] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(SpectralRadius(matrix), std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace costate::stability

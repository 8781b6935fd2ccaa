#include "engine/stability/intervals.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/engine/stability/scheme_testing.h"

namespace costate::stability {
namespace {

double Left(const Scheme& scheme) { return RealIntervalLeft(StabilityFunction(scheme)); }
double Imag(const Scheme& scheme) { return ImaginaryInterval(StabilityFunction(scheme)); }

TEST(IntervalsTest, ClassicalMethods) {
  // Hairer, Wanner, "Solving Ordinary Differential Equations II", IV.2.
  EXPECT_NEAR(Left(Method::kEuler), -2, 1e-13);
  EXPECT_NEAR(Left(Method::kHeun), -2, 1e-12);
  EXPECT_NEAR(Left(Method::kBosh3), -2.512745326618329, 1e-12);
  EXPECT_NEAR(Left(Method::kRk4), -2.785293563405282, 1e-12);
  EXPECT_NEAR(Left(Method::kDopri5), -3.306567892634421, 1e-10);
  EXPECT_NEAR(Left(Method::kEes25), -3.087, 1e-3);
  EXPECT_EQ(Imag(Method::kEuler), 0);
  EXPECT_EQ(Imag(Method::kMidpoint), 0);
  EXPECT_NEAR(Imag(Method::kBosh3), std::sqrt(3), 1e-12);
  EXPECT_NEAR(Imag(Method::kRk4), 2 * std::sqrt(2), 1e-12);
}

// The intervals ending at 0 of the construction, to the digits of the table; Euler's is exactly
// -(1 - coupling).
TEST(IntervalsTest, TableOfTheConstruction) {
  const double couplings[] = {0.5, 0.8, 0.9, 0.99, 0.999};
  const struct {
    Method method;
    double left[5];
  } rows[] = {
      {Method::kMidpoint, {0, -0.225, -0.106, -0.0101, -0.0010}},
      {Method::kBosh3, {-0.678, -0.223, -0.105, -0.0101, -0.0010}},
      {Method::kRalston3, {-0.678, -0.223, -0.105, -0.0101, -0.0010}},
      {Method::kRk4, {-0.696, -0.223, -0.105, -0.0101, -0.0010}},
      {Method::kDopri5, {-0.693, -0.223, -0.105, -0.0101, -0.0010}},
  };
  for (int i = 0; i < 5; ++i) {
    EXPECT_NEAR(Left({Method::kEuler, couplings[i], 1}), -(1 - couplings[i]), 1e-14);
    for (const auto& row : rows) {
      if (row.left[i] == 0) continue;
      const double digits = couplings[i] < 0.95 ? 0.5e-3 + 1e-9 : 0.5e-4 + 1e-9;
      EXPECT_NEAR(Left({row.method, couplings[i], 1}), row.left[i], digits)
          << Describe(Scheme(row.method, couplings[i], 1));
    }
  }
}

// Midpoint at coupling 1/2: the spectral radius only touches 1 at -1, so that the interval to -1
// and the island from there to -2.16 are one.
TEST(IntervalsTest, TouchingDoesNotEndAnInterval) {
  const Scheme scheme(Method::kMidpoint, 0.5, 1);
  const StabilityFunction function(scheme);
  EXPECT_NEAR(function.SpectralRadius(-1), 1, 1e-12);
  EXPECT_LT(function.SpectralRadius(-0.9), 1);
  EXPECT_LT(function.SpectralRadius(-1.1), 1);
  EXPECT_NEAR(Left(scheme), -2.16, 5e-3);
}

// High order: Re z > ln(coupling).
TEST(IntervalsTest, HighOrderLimit) {
  for (const double coupling : {0.7, 0.9, 0.999, 1 - 1e-6, 1 - 1e-9}) {
    const double expected = std::log(coupling);
    EXPECT_NEAR(Left({Method::kDopri8, coupling, 1}) / expected, 1, 1e-3) << coupling;
  }
  EXPECT_EQ(Left({Method::kDopri8, 1.0, 1}), 0);
}

TEST(IntervalsTest, OneEvaluationSchemes) {
  for (const Method method : {Method::kAlf, Method::kReversibleHeun, Method::kLeapfrogMidpoint}) {
    EXPECT_EQ(Left(method), 0);
    EXPECT_NEAR(Imag(method), 1, 1e-14);
  }
  // The region of damped ALF is the ellipse around -(1 - e) / e with half axes (1 - e) / e and 1.
  for (const double eta : {0.9, 0.6, 0.2}) {
    const Scheme scheme(Method::kAlf, std::nullopt, eta);
    EXPECT_NEAR(Left(scheme), -2 * (1 - eta) / eta, 1e-12);
    EXPECT_EQ(Imag(scheme), 0);
  }
}

// Every interval against a scan of the spectral radius: at most 1 inside, above 1 beyond.
TEST(IntervalsTest, AgreeWithAScan) {
  for (const Scheme& scheme : AllSchemes()) {
    SCOPED_TRACE(Describe(scheme));
    const StabilityFunction function(scheme);
    const double left = RealIntervalLeft(function), imag = ImaginaryInterval(function);
    // Where both eigenvalues meet on the circle, the radius is known to the root of rounding.
    const double rounding = function.undamped() ? 1e-5 : 1e-11;
    constexpr int kScan = 2000;
    double beyond = 0;
    for (int i = 0; i <= kScan; ++i) {
      const double share = static_cast<double>(i) / kScan;
      ASSERT_LE(function.SpectralRadius(left * share), 1 + rounding) << left * share;
      ASSERT_LE(function.SpectralRadius(Complex(0, imag * share)), 1 + rounding) << imag * share;
      beyond = std::max(beyond, function.SpectralRadius(Complex(0, imag + 4 * share)));
    }
    EXPECT_GT(function.SpectralRadius(left - 1e-3), 1);
    EXPECT_GT(beyond, 1 + 1e-6);
  }
}

}  // namespace
}  // namespace costate::stability

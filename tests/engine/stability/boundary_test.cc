#include "engine/stability/boundary.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <random>

#include <gtest/gtest.h>

#include "tests/engine/stability/scheme_testing.h"

namespace costate::stability {
namespace {

double TotalArea(const std::vector<Curve>& curves) {
  double sum = 0;
  for (const Curve& curve : curves) sum += SignedDoubleArea(curve.points) / 2;
  return sum;
}

// Turns of the curves around a point, together: 1 inside the region, 0 outside.
double Winding(const std::vector<Curve>& curves, Complex z) {
  double turns = 0;
  for (const Curve& curve : curves) {
    for (size_t i = 0; i + 1 < curve.points.size(); ++i) {
      turns += std::arg((curve.points[i + 1] - z) / (curve.points[i] - z));
    }
  }
  return turns / (2 * std::numbers::pi);
}

TEST(BoundaryTest, PointsLieOnTheLevel) {
  for (const Scheme& scheme : AllSchemes()) {
    SCOPED_TRACE(Describe(scheme));
    const StabilityFunction function(scheme);
    const std::vector<Curve> curves = TraceBoundary(function);
    ASSERT_FALSE(curves.empty());
    // Where both eigenvalues meet, the radius itself is known to the root of rounding only.
    const double tolerance =
        function.undamped() ? 1e-5 : 1e-11 / (1 - std::fabs(function.determinant()));
    for (const Curve& curve : curves) {
      EXPECT_EQ(curve.closed(), !function.undamped());
      for (const Complex z : curve.points) {
        ASSERT_NEAR(function.SpectralRadius(z), 1, tolerance) << z;
      }
    }
  }
}

// Every random point is enclosed exactly if it is stable: no island is missed, however thin.
TEST(BoundaryTest, EnclosesWhatIsStable) {
  std::mt19937_64 random(3);
  for (const Scheme& scheme : AllSchemes()) {
    const StabilityFunction function(scheme);
    if (function.undamped()) continue;
    SCOPED_TRACE(Describe(scheme));
    const std::vector<Curve> curves = TraceBoundary(function);
    std::uniform_real_distribution<double> real(-6, 5), imag(-7, 7), turn(0, 2 * std::numbers::pi);
    int inside = 0;
    // Not at the border itself: between the points of a curve there are straight pieces.
    const auto judge = [&](Complex z) {
      const double rho = function.SpectralRadius(z);
      if (std::fabs(rho - 1) < 3e-3 * (1 - std::fabs(function.determinant()))) return;
      inside += rho < 1 ? 1 : 0;
      ASSERT_NEAR(Winding(curves, z), rho < 1 ? 1 : 0, 1e-6) << z << " radius " << rho;
    };
    for (int i = 0; i < 200; ++i) judge({real(random), imag(random)});
    // Both sides of the curves too: thin regions are seldom hit by chance.
    for (const Curve& curve : curves) {
      for (int i = 0; i < 10; ++i) {
        const size_t k = random() % curve.points.size();
        judge(curve.points[k] +
              std::polar(0.1 * (1 - std::fabs(function.determinant())), turn(random)));
      }
    }
    EXPECT_GT(inside, 0);
  }
}

TEST(BoundaryTest, KnownShapes) {
  // Euler: the disc of radius 1 around -1.
  const std::vector<Curve> disc = TraceBoundary(StabilityFunction(Method::kEuler));
  ASSERT_EQ(disc.size(), 1u);
  for (const Complex z : disc[0].points) EXPECT_NEAR(std::abs(z + 1.0), 1, 1e-14);
  EXPECT_NEAR(TotalArea(disc), std::numbers::pi, 1e-4);
  // Damped ALF: an ellipse.
  const double eta = 0.8;
  const std::vector<Curve> ellipse =
      TraceBoundary(StabilityFunction(Scheme(Method::kAlf, std::nullopt, eta)));
  EXPECT_NEAR(TotalArea(ellipse), std::numbers::pi * (1 - eta) / eta, 1e-4);
  // Undamped: the segment from -i to i.
  for (const Method method : {Method::kAlf, Method::kReversibleHeun, Method::kLeapfrogMidpoint}) {
    const std::vector<Curve> segment = TraceBoundary(StabilityFunction(method));
    ASSERT_EQ(segment.size(), 1u);
    EXPECT_LT(std::abs(segment[0].points.front() - Complex(0, -1)), 1e-14);
    EXPECT_LT(std::abs(segment[0].points.back() - Complex(0, 1)), 1e-14);
    for (const Complex z : segment[0].points) EXPECT_LT(std::fabs(z.real()), 1e-15);
  }
}

// The outer islands of the construction on the real axis, of the table of intervals.
TEST(BoundaryTest, IslandsOfTheTable) {
  const struct {
    Scheme scheme;
    double left, right;
  } rows[] = {
      {{Method::kMidpoint, 0.8, 1}, -2.40, -1.77},  {{Method::kMidpoint, 0.9, 1}, -2.47, -1.89},
      {{Method::kMidpoint, 0.99, 1}, -2.54, -1.99}, {{Method::kMidpoint, 0.999, 1}, -2.54, -2.00},
      {{Method::kRk4, 0.5, 1}, -2.62, -2.32},       {{Method::kRk4, 0.8, 1}, -2.83, -2.64},
      {{Method::kDopri5, 0.5, 1}, -3.07, -2.93},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(Describe(row.scheme));
    double error = 1;
    for (const Curve& curve : TraceBoundary(StabilityFunction(row.scheme))) {
      double left = 0, right = -10;
      for (const Complex z : curve.points) {
        left = std::min(left, z.real());
        right = std::max(right, z.real());
      }
      error = std::min(error, std::fabs(left - row.left) + std::fabs(right - row.right));
    }
    EXPECT_LT(error, 0.013);
  }
}

TEST(BoundaryTest, FocusMakesPointsFinerThere) {
  const StabilityFunction function{Scheme(Method::kRk4)};
  const Rectangle window = {-2.79, -2.78, -0.01, 0.01};
  const BoundaryOptions options = {1e-5, &window};
  size_t pieces = 0;
  for (const Curve& curve : TraceBoundary(function, options)) {
    for (const Curve& piece : ClipCurve(curve, window)) {
      ++pieces;
      EXPECT_GT(piece.points.size(), 500u);
      for (size_t i = 0; i + 1 < piece.points.size(); ++i) {
        EXPECT_LT(std::abs(piece.points[i + 1] - piece.points[i]), 1.1e-5);
      }
    }
  }
  EXPECT_EQ(pieces, 1u);
}

TEST(BoundaryTest, ClippingKeepsAreaAndCutsCurves) {
  const std::vector<Curve> disc = TraceBoundary(StabilityFunction(Method::kEuler));
  const Rectangle left_half = {-3, -1, -2, 2}, around = {-3, 1, -2, 2}, away = {1, 2, 1, 2};
  const auto area = [&](const Rectangle& window) {
    return SignedDoubleArea(ClipPolygon(disc[0].points, window)) / 2;
  };
  EXPECT_NEAR(area(left_half), std::numbers::pi / 2, 1e-4);
  EXPECT_NEAR(area(around), std::numbers::pi, 1e-4);
  EXPECT_EQ(area(away), 0);

  EXPECT_EQ(ClipCurve(disc[0], around).size(), 1u);
  EXPECT_TRUE(ClipCurve(disc[0], around)[0].closed());
  EXPECT_TRUE(ClipCurve(disc[0], away).empty());
  for (const Rectangle& half : {left_half, Rectangle{-1, 1, -2, 2}, Rectangle{-3, 1, 0, 2}}) {
    const std::vector<Curve> arcs = ClipCurve(disc[0], half);
    ASSERT_EQ(arcs.size(), 1u);
    EXPECT_FALSE(arcs[0].closed());
    double length = 0;
    for (size_t i = 0; i + 1 < arcs[0].points.size(); ++i) {
      length += std::abs(arcs[0].points[i + 1] - arcs[0].points[i]);
    }
    EXPECT_NEAR(length, std::numbers::pi, 1e-4);
  }
}

}  // namespace
}  // namespace costate::stability

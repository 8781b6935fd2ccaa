#include "engine/stability/level_curve.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "engine/stability/step_matrix.h"

namespace costate::stability {
namespace {

double TotalArea(const std::vector<Curve>& curves) {
  double sum = 0;
  for (const Curve& curve : curves) sum += SignedDoubleArea(curve.points) / 2;
  return sum;
}

TEST(LevelCurveTest, CircleIsClosedAndOnTheLevel) {
  const auto circle = [](Complex z) { return std::norm(z) - 1; };
  auto curves = TraceLevel(circle, {{-2, 2, -2, 2}, 15, 15}, kNeverStops);
  ASSERT_TRUE(curves.ok());
  ASSERT_EQ(curves->size(), 1u);
  EXPECT_TRUE((*curves)[0].closed());
  for (const Complex z : (*curves)[0].points) EXPECT_NEAR(std::abs(z), 1, 1e-14);
  EXPECT_NEAR(TotalArea(*curves), std::numbers::pi, 0.01);  // inside on the left: positive
}

// Fifteen cells of a circle are refined where they bend.
TEST(LevelCurveTest, BentPiecesAreRefined) {
  const auto circle = [](Complex z) { return std::norm(z) - 1; };
  auto coarse = TraceLevel(circle, {{-2, 2, -2, 2}, 3, 3}, kNeverStops);
  ASSERT_TRUE(coarse.ok());
  EXPECT_GT((*coarse)[0].points.size(), 20u);
  EXPECT_NEAR(TotalArea(*coarse), std::numbers::pi, 0.1);
}

TEST(LevelCurveTest, HolesRunTheOtherWay) {
  const auto ring = [](Complex z) { return (std::abs(z) - 1) * (std::abs(z) - 0.5); };
  auto curves = TraceLevel(ring, {{-2, 2, -2, 2}, 40, 40}, kNeverStops);
  ASSERT_TRUE(curves.ok());
  ASSERT_EQ(curves->size(), 2u);
  EXPECT_NEAR(TotalArea(*curves), std::numbers::pi * 0.75, 0.01);
}

TEST(LevelCurveTest, LinesThatLeaveTheWindowAreOpen) {
  const auto half = [](Complex z) { return z.real() - 0.3; };
  auto curves = TraceLevel(half, {{-1, 1, -1, 1}, 7, 5}, kNeverStops);
  ASSERT_TRUE(curves.ok());
  ASSERT_EQ(curves->size(), 1u);
  const std::vector<Complex>& points = (*curves)[0].points;
  EXPECT_LT(std::abs(points.front() - Complex(0.3, -1)), 1e-12);
  EXPECT_LT(std::abs(points.back() - Complex(0.3, 1)), 1e-12);
}

// x y < 0 in one cell: the value in the middle decides which corners belong together.
TEST(LevelCurveTest, SaddlesAreResolvedByTheirMiddle) {
  const auto lines_for = [](double shift) {
    const auto saddle = [shift](Complex z) { return z.real() * z.imag() + shift; };
    auto curves = TraceLevel(saddle, {{-1, 1, -1, 1}, 1, 1}, kNeverStops);
    EXPECT_TRUE(curves.ok());
    EXPECT_EQ(curves->size(), 2u);
    return *std::move(curves);
  };
  // Positive middle: a line around each inside corner, so no line passes the centre.
  for (const Curve& curve : lines_for(0.2)) {
    const Complex end = curve.points.front();
    for (const Complex z : curve.points) EXPECT_LE(z.real() * z.imag(), 1e-9) << end;
  }
  for (const Curve& curve : lines_for(-0.2)) {
    const Complex end = curve.points.front();
    for (const Complex z : curve.points) EXPECT_GE(z.real() * z.imag(), -1e-9) << end;
  }
}

// The numerical route for any scheme, level lines of the spectral radius measured on the stepper,
// against the traced boundary: the same area, and no point off the other's level.
TEST(LevelCurveTest, MeasuredRegionIsTheTracedOne) {
  for (const Scheme& scheme : {Scheme(Method::kRk4), Scheme(Method::kTsit5), Scheme(Method::kEes27),
                               Scheme(Method::kMidpoint, 0.5, 1), Scheme(Method::kRk4, 0.8, 1),
                               Scheme(Method::kAlf, std::nullopt, 0.7)}) {
    const StabilityFunction function(scheme);
    auto probe = StepMatrixProbe::Create(scheme);
    ASSERT_TRUE(probe.ok());
    const auto measured = [&](Complex z) { return SpectralRadius((*probe)->Measure(z)) - 1; };
    auto curves = TraceLevel(measured, {{-6.01, 4.02, -6.01, 6.04}, 350, 350}, kNeverStops);
    ASSERT_TRUE(curves.ok());
    const double expected = TotalArea(TraceBoundary(function));
    EXPECT_NEAR(TotalArea(*curves), expected, 0.01 * expected);
    for (const Curve& curve : *curves) {
      EXPECT_TRUE(curve.closed());
      for (const Complex z : curve.points) EXPECT_NEAR(function.SpectralRadius(z), 1, 1e-10) << z;
    }
  }
}

TEST(LevelCurveTest, StopsWhenCancelled) {
  Cancellation cancellation;
  cancellation.Cancel(Cancellation::Reason::kClientCancelled);
  const StopSource stop = {&cancellation};
  const auto circle = [](Complex z) { return std::norm(z) - 1; };
  EXPECT_TRUE(absl::IsCancelled(TraceLevel(circle, {{-2, 2, -2, 2}}, stop).status()));
}

}  // namespace
}  // namespace costate::stability

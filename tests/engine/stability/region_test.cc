#include "engine/stability/region.h"

#include <cmath>
#include <numbers>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/field_error.h"
#include "engine/solvers/stepper.h"
#include "tests/engine/stability/scheme_testing.h"

namespace costate::stability {
namespace {

using ::testing::HasSubstr;

RegionRequest Of(const Scheme& scheme) {
  RegionRequest request;
  request.scheme = scheme;
  return request;
}

TEST(RegionTest, RasterIsTheSpectralRadiusOnTheGrid) {
  RegionRequest request = Of({Method::kRk4, 0.8, 1});
  request.window = Rectangle{-2, 1, -3, 2};
  request.real_points = 7;
  request.imag_points = 11;
  request.want_raster = true;
  auto region = ComputeRegion(request, kNeverStops);
  ASSERT_TRUE(region.ok()) << region.status();
  ASSERT_EQ(region->raster.size(), 77u);
  const StabilityFunction function(request.scheme);
  for (int row = 0; row < 11; ++row) {
    for (int i = 0; i < 7; ++i) {
      const Complex z(-2 + 0.5 * i, -3 + 0.5 * row);
      EXPECT_NEAR(region->raster[row * 7 + i], function.SpectralRadius(z), 1e-12);
    }
  }
}

TEST(RegionTest, StreamedRowsAreTheRaster) {
  RegionRequest request = Of(Method::kTsit5);
  request.real_points = 3000;
  request.imag_points = 50;
  request.want_raster = true;
  auto whole = ComputeRegion(request, kNeverStops);
  ASSERT_TRUE(whole.ok());
  std::vector<double> rows;
  int64_t blocks = 0;
  const RasterSink sink = [&](int64_t first, absl::Span<const double> values) {
    EXPECT_EQ(first * 3000, static_cast<int64_t>(rows.size()));
    rows.insert(rows.end(), values.begin(), values.end());
    ++blocks;
    return absl::OkStatus();
  };
  auto streamed = ComputeRegion(request, kNeverStops, &sink);
  ASSERT_TRUE(streamed.ok());
  EXPECT_TRUE(streamed->raster.empty());
  EXPECT_EQ(rows, whole->raster);
  EXPECT_GT(blocks, 1);
}

TEST(RegionTest, DefaultWindowShowsTheWholeRegion) {
  for (const Scheme& scheme : AllSchemes()) {
    SCOPED_TRACE(Describe(scheme));
    const StabilityFunction function(scheme);
    const Rectangle window = DefaultWindow(function);
    EXPECT_TRUE(window.Contains(0));
    EXPECT_EQ(window.imag_min, -window.imag_max);
    for (const Curve& curve : TraceBoundary(function)) {
      for (const Complex z : curve.points) ASSERT_TRUE(window.Contains(z)) << z;
    }
  }
}

TEST(RegionTest, AreaAndIntervals) {
  auto disc = ComputeRegion(Of(Method::kEuler), kNeverStops);
  ASSERT_TRUE(disc.ok());
  EXPECT_NEAR(disc->area, std::numbers::pi, 1e-4 * std::numbers::pi);
  EXPECT_NEAR(disc->real_interval_left, -2, 1e-12);
  EXPECT_EQ(disc->imag_interval, 0);
  ASSERT_EQ(disc->boundary.size(), 1u);
  EXPECT_TRUE(disc->boundary[0].closed());

  RegionRequest quarter = Of(Method::kEuler);
  quarter.window = Rectangle{-1, 3, 0, 3};
  auto part = ComputeRegion(quarter, kNeverStops);
  ASSERT_TRUE(part.ok());
  EXPECT_NEAR(part->area, std::numbers::pi / 4, 1e-4);
  ASSERT_EQ(part->boundary.size(), 1u);
  EXPECT_FALSE(part->boundary[0].closed());

  auto segment = ComputeRegion(Of(Method::kAlf), kNeverStops);
  ASSERT_TRUE(segment.ok());
  EXPECT_EQ(segment->area, 0);
  EXPECT_NEAR(segment->imag_interval, 1, 1e-12);
}

// Counted on a fine raster.
TEST(RegionTest, AreaIsTheShareOfStablePoints) {
  for (const Scheme& scheme : {Scheme(Method::kRk4), Scheme(Method::kDopri5),
                               Scheme(Method::kBosh3, 0.5, 1), Scheme(Method::kDopri8, 0.5, 1)}) {
    RegionRequest request = Of(scheme);
    request.want_raster = true;
    request.real_points = request.imag_points = 1000;
    auto region = ComputeRegion(request, kNeverStops);
    ASSERT_TRUE(region.ok());
    const Rectangle& w = region->window;
    const double cell = (w.real_max - w.real_min) * (w.imag_max - w.imag_min) / (999.0 * 999.0);
    double count = 0;
    for (const double rho : region->raster) count += rho < 1 ? 1 : 0;
    EXPECT_NEAR(region->area, count * cell, 3e-3 * region->area) << Describe(scheme);
  }
}

// A. Iserles, G. Strang: near 0 the order star has order + 1 sectors, so a small circle crosses its
// boundary 2 (order + 1) times.
TEST(RegionTest, OrderStarHasItsSectors) {
  RegionRequest request = Of(Method::kRk4);
  request.order_star = true;
  request.want_raster = true;
  auto region = ComputeRegion(request, kNeverStops);
  ASSERT_TRUE(region.ok());
  const StabilityFunction function{request.scheme};
  ASSERT_FALSE(region->boundary.empty());
  int crossings = 0;
  for (const Curve& curve : region->boundary) {
    for (size_t i = 0; i + 1 < curve.points.size(); ++i) {
      if ((std::abs(curve.points[i]) < 0.5) != (std::abs(curve.points[i + 1]) < 0.5)) ++crossings;
    }
    for (const Complex z : curve.points) EXPECT_NEAR(function.LogOrderStar(z), 0, 1e-10);
  }
  EXPECT_EQ(crossings, 10);
  const Rectangle& w = region->window;
  EXPECT_NEAR(region->raster[0],
              function.SpectralRadius({w.real_min, w.imag_min}) / std::exp(w.real_min),
              1e-9 * region->raster[0]);
}

TEST(RegionTest, RefusesWhatIsOutOfRange) {
  const auto expect = [](const RegionRequest& request, const char* field, const char* range) {
    const absl::Status status = ComputeRegion(request, kNeverStops).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_EQ(FieldOf(status), field);
    EXPECT_THAT(std::string(status.message()), HasSubstr(range));
  };
  const double kNaN = std::numeric_limits<double>::quiet_NaN();
  for (const double coupling : {0.0, -0.5, 1.5, kNaN}) {
    expect(Of({Method::kRk4, coupling, 1}), "method.coupling", "(0, 1]");
  }
  expect(Of({Method::kAlf, 0.9, 1}), "method.coupling", "reversible by itself");
  for (const double eta : {0.0, 0.5, 2.0, kNaN}) {
    expect(Of({Method::kAlf, std::nullopt, eta}), "method.eta", "(0, 1]");
  }
  RegionRequest request = Of(Method::kRk4);
  request.window = Rectangle{-1, kNaN, -1, 1};
  expect(request, "window.real_max", "finite");
  request.window = Rectangle{-1, 1, -1, std::numeric_limits<double>::infinity()};
  expect(request, "window.imag_max", "finite");
  request.window = Rectangle{-1, 1, 2, 1};
  expect(request, "window.imag_max", "above window.imag_min");
  request.window = Rectangle{1, 1, 0, 1};
  expect(request, "window.real_max", "above window.real_min");
  request.window.reset();
  request.imag_points = 1;
  expect(request, "window.imag_points", "at least 2");
}

TEST(RegionTest, HugeRastersAreRefusedAtOnce) {
  RegionRequest request = Of(Method::kRk4);
  request.want_raster = true;
  request.real_points = request.imag_points = 100'000;
  const absl::Status status = ComputeRegion(request, kNeverStops).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("100000 x 100000"));
  request.real_points = request.imag_points = std::numeric_limits<int64_t>::max();
  EXPECT_TRUE(absl::IsResourceExhausted(ComputeRegion(request, kNeverStops).status()));
}

TEST(RegionTest, CancellationStopsBetweenRows) {
  Cancellation cancellation;
  RegionRequest request = Of(Method::kRk4);
  request.real_points = 1 << 15;
  request.imag_points = 1000;
  int64_t rows = 0;
  const RasterSink sink = [&](int64_t, absl::Span<const double>) {
    if (++rows == 3) cancellation.Cancel(Cancellation::Reason::kDeadlineExceeded);
    return absl::OkStatus();
  };
  const StopSource stop = {&cancellation};
  EXPECT_TRUE(absl::IsDeadlineExceeded(ComputeRegion(request, stop, &sink).status()));
  EXPECT_EQ(rows, 3);
}

TEST(RegionTest, CostGrowsWithTheRaster) {
  RegionRequest request = Of(Method::kRk4);
  const double bare = EstimateRegionCost(request);
  request.want_raster = true;
  const double small = EstimateRegionCost(request);
  request.real_points *= 100;
  EXPECT_GT(small, bare);
  EXPECT_GT(EstimateRegionCost(request), 10 * small);
}

}  // namespace
}  // namespace costate::stability

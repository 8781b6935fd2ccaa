#include "engine/stability/region.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/stepper.h"
#include "engine/stability/intervals.h"
#include "engine/stability/level_curve.h"
#include "engine/stability/poll.h"

namespace costate::stability {
namespace {

constexpr double kMargin = 0.08;           // around a region, of its extent
constexpr double kSpacings = 800;          // points of a curve along the longer side of a window
constexpr int64_t kMostCells = 400;        // along each side, for level lines
constexpr int64_t kSinkDoubles = 1 << 15;  // rows are handed on in blocks of about this size

absl::Status CheckWindow(const Rectangle& window) {
  struct Bound {
    const char* name;
    double value;
  };
  const Bound bounds[] = {{"real_min", window.real_min},
                          {"real_max", window.real_max},
                          {"imag_min", window.imag_min},
                          {"imag_max", window.imag_max}};
  for (const Bound& bound : bounds) {
    if (!std::isfinite(bound.value) || std::fabs(bound.value) > limits::kMaxWindow) {
      return FieldError(absl::StrCat("window.", bound.name), absl::StrCat(bound.value),
                        absl::StrCat("a finite number within +-", limits::kMaxWindow));
    }
  }
  for (int side = 0; side < 2; ++side) {
    const Bound& low = bounds[2 * side];
    const Bound& high = bounds[2 * side + 1];
    if (!(low.value < high.value)) {
      return FieldError(absl::StrCat("window.", high.name), absl::StrCat(high.value),
                        absl::StrCat("a number above window.", low.name, ", ", low.value));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPoints(const RegionRequest& request) {
  for (const auto& [name, points] : {std::pair("real_points", request.real_points),
                                     std::pair("imag_points", request.imag_points)}) {
    if (points < 2) {
      return FieldError(absl::StrCat("window.", name), absl::StrCat(points), "at least 2");
    }
  }
  const double points =
      static_cast<double>(request.real_points) * static_cast<double>(request.imag_points);
  if (points <= static_cast<double>(limits::kMaxRasterPoints)) return absl::OkStatus();
  return FieldStatus(
      absl::StatusCode::kResourceExhausted, "window.real_points",
      absl::StrCat("a raster of ", request.real_points, " x ", request.imag_points, " = ", points,
                   " points passes the limit of ", limits::kMaxRasterPoints,
                   "; the boundary does not need a fine raster, and a smaller window shows more"));
}

double Coordinate(double low, double high, int64_t i, int64_t points) {
  if (i == points - 1) return high;
  return low + (high - low) * (static_cast<double>(i) / static_cast<double>(points - 1));
}

void FillRow(const StabilityFunction& function, const Region& region, bool order_star, int64_t row,
             double* values) {
  const Rectangle& w = region.window;
  const double y = Coordinate(w.imag_min, w.imag_max, row, region.imag_points);
  for (int64_t i = 0; i < region.real_points; ++i) {
    const Complex z(Coordinate(w.real_min, w.real_max, i, region.real_points), y);
    values[i] = order_star ? std::exp(function.LogOrderStar(z)) : function.SpectralRadius(z);
  }
}

absl::Status FillRaster(const StabilityFunction& function, const RegionRequest& request,
                        const StopSource& stop, const RasterSink* sink, Region* region) {
  const int64_t width = region->real_points;
  const int64_t block =
      sink == nullptr ? region->imag_points : std::max<int64_t>(1, kSinkDoubles / width);
  std::vector<double> rows(std::min(block, region->imag_points) * width);
  for (int64_t first = 0; first < region->imag_points; first += block) {
    const int64_t count = std::min(block, region->imag_points - first);
    for (int64_t row = 0; row < count; ++row) {
      RETURN_IF_ERROR(Poll(stop, "the raster was computed"));
      FillRow(function, *region, request.order_star, first + row, rows.data() + row * width);
    }
    if (sink != nullptr) {
      RETURN_IF_ERROR((*sink)(first, absl::MakeConstSpan(rows.data(), count * width)));
    }
  }
  if (sink == nullptr) region->raster = std::move(rows);
  return absl::OkStatus();
}

absl::Status AddOrderStar(const StabilityFunction& function, const StopSource& stop,
                          Region* region) {
  const LevelGrid grid = {region->window, std::min(region->real_points - 1, kMostCells),
                          std::min(region->imag_points - 1, kMostCells)};
  ASSIGN_OR_RETURN(region->boundary,
                   TraceLevel([&](Complex z) { return function.LogOrderStar(z); }, grid, stop));
  return absl::OkStatus();
}

}  // namespace

Rectangle DefaultWindow(const StabilityFunction& function) {
  Rectangle box;
  for (const Curve& curve : TraceBoundary(function)) {
    for (const Complex z : curve.points) {
      box.real_min = std::min(box.real_min, z.real());
      box.real_max = std::max(box.real_max, z.real());
      box.imag_max = std::max(box.imag_max, std::fabs(z.imag()));
    }
  }
  double extent = std::max(box.real_max - box.real_min, 2 * box.imag_max);
  if (extent == 0) extent = 1;
  // Thin regions get some width too.
  const double room =
      std::max(kMargin * extent, (0.25 * extent - (box.real_max - box.real_min)) / 2);
  box.real_min -= room;
  box.real_max += room;
  box.imag_max += std::max(kMargin * extent, 0.125 * extent - box.imag_max);
  box.imag_min = -box.imag_max;
  return box;
}

absl::Status ValidateRegion(const RegionRequest& request) {
  RETURN_IF_ERROR(WithFieldPrefix("method", ValidateScheme(request.scheme)));
  RETURN_IF_ERROR(CheckPoints(request));
  if (request.window.has_value()) RETURN_IF_ERROR(CheckWindow(*request.window));
  return absl::OkStatus();
}

absl::StatusOr<Region> ComputeRegion(const RegionRequest& request, const StopSource& stop,
                                     const RasterSink* sink) {
  RETURN_IF_ERROR(ValidateRegion(request));
  const StabilityFunction function(request.scheme);
  Region region;
  region.window = request.window.value_or(DefaultWindow(function));
  region.real_points = request.real_points;
  region.imag_points = request.imag_points;
  if (request.order_star && !request.window.has_value()) {
    region.window.real_max = -region.window.real_min;  // half of the star is on the right
  }
  const Rectangle& w = region.window;
  const double side = std::max(w.real_max - w.real_min, w.imag_max - w.imag_min);
  const std::vector<Curve> curves = TraceBoundary(function, {side / kSpacings, &w});
  for (const Curve& curve : curves) {
    if (!request.order_star) {
      for (Curve& piece : ClipCurve(curve, w)) region.boundary.push_back(std::move(piece));
    }
    if (!function.undamped()) region.area += SignedDoubleArea(ClipPolygon(curve.points, w)) / 2;
  }
  region.area = std::max(region.area, 0.0);  // thin ones are all rounding
  region.real_interval_left = RealIntervalLeft(function);
  region.imag_interval = ImaginaryInterval(function);
  if (request.order_star) RETURN_IF_ERROR(AddOrderStar(function, stop, &region));
  if (request.want_raster || sink != nullptr) {
    RETURN_IF_ERROR(FillRaster(function, request, stop, sink, &region));
  }
  return region;
}

double EstimateRegionCost(const RegionRequest& request) {
  constexpr double kBoundary = 2e7;
  constexpr double kOfAPoint = 100;
  const double cells = static_cast<double>(kMostCells) * static_cast<double>(kMostCells);
  double points = request.order_star ? cells : 0;
  if (request.want_raster) {
    points += static_cast<double>(request.real_points) * static_cast<double>(request.imag_points);
  }
  return kBoundary + kOfAPoint * points;
}

}  // namespace costate::stability

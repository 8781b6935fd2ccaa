// The region of a scheme over a window of the plane of z = h lambda.
//
//   ASSIGN_OR_RETURN(Region region, ComputeRegion({.scheme = Method::kTsit5}, stop));
#ifndef COSTATE_ENGINE_STABILITY_REGION_H_
#define COSTATE_ENGINE_STABILITY_REGION_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/stop_source.h"
#include "engine/solvers/problem.h"
#include "engine/stability/boundary.h"
#include "engine/stability/stability_function.h"

namespace costate::stability {

struct RegionRequest {
  Scheme scheme = Method::kTsit5;
  std::optional<Rectangle> window;  // unset: DefaultWindow, of an order star as far to the right
  int64_t real_points = 400;        // samples along each axis, edges included; >= 2, their product
  int64_t imag_points = 400;        // at most limits::kMaxRasterPoints
  bool want_raster = false;
  // The raster, and the curves with it, compare with |exp(z)| instead of 1 (Wanner, Hairer,
  // Norsett 1978, "Order stars and stability theorems"). Intervals and area are as without.
  bool order_star = false;
};

struct Region {
  Rectangle window;  // in force
  int64_t real_points = 0, imag_points = 0;
  std::vector<double> raster;   // [imag_points, real_points], rows from imag_min up
  std::vector<Curve> boundary;  // inside the window
  double real_interval_left = 0;
  double imag_interval = 0;
  double area = 0;  // of the region inside the window; to 1e-4 of it, 0 if undamped
};

// Rows of the raster as they are made: [rows, real_points] from `first_row`. An error ends the work
// and is its status.
using RasterSink = std::function<absl::Status(int64_t first_row, absl::Span<const double> rows)>;

// Shows the whole region and the origin, with a margin; symmetric about the real axis.
Rectangle DefaultWindow(const StabilityFunction& function);

// INVALID_ARGUMENT, with field paths of the wire (method.coupling, method.eta, window.real_min,
// window.real_points, ...), for what is out of range; RESOURCE_EXHAUSTED for a raster past the
// limit, before anything is allocated.
absl::Status ValidateRegion(const RegionRequest& request);

// Validates first. `stop` is polled every row. With a sink, rows go there and `raster` stays empty.
absl::StatusOr<Region> ComputeRegion(const RegionRequest& request, const StopSource& stop,
                                     const RasterSink* sink = nullptr);

// Operations of a raster in the measure of admission: multiplications and additions.
double EstimateRegionCost(const RegionRequest& request);

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_REGION_H_

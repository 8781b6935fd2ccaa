// Level lines of any function of the plane, by marching squares.
#ifndef COSTATE_ENGINE_STABILITY_LEVEL_CURVE_H_
#define COSTATE_ENGINE_STABILITY_LEVEL_CURVE_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/base/stop_source.h"
#include "engine/stability/boundary.h"

namespace costate::stability {

struct LevelGrid {
  Rectangle window;
  int64_t real_cells = 400;  // >= 1; their product is bounded by the caller
  int64_t imag_cells = 400;
};

// Lines where `function` changes sign, with negative values on their left. Crossings of the edges
// of the grid are found by bisection on the function, to the last bits, and pieces that bend are
// refined by points found the same way, so every point is on the level line; what is thinner than a
// cell may be missed. Closed curves repeat their first point; others end at the window's edge.
// Values that are not finite count as positive.
absl::StatusOr<std::vector<Curve>> TraceLevel(absl::FunctionRef<double(Complex)> function,
                                              const LevelGrid& grid, const StopSource& stop);

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_LEVEL_CURVE_H_

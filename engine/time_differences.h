// Saved values as functions of their own times, by differences of dense output: for checks.
#ifndef COSTATE_ENGINE_TIME_DIFFERENCES_H_
#define COSTATE_ENGINE_TIME_DIFFERENCES_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradient_pass.h"
#include "engine/gradients/loss.h"

namespace costate {

// d(saved.states)/dt and d(saved.outputs)/dt, each row by its own time, of saved values of a solve
// with the accepted steps `grid` [N + 1]. One more solve on that grid saves two neighbours of every
// time inside the step that made its value (at t0 the first); the slope is that of the parabola
// through the three. Neighbours are `step` times the span away, at most a quarter of their step;
// unset: 1e-4 of their step. Rounding counts more than truncation there where the coefficients of a
// dense output are large, as those of dopri8.
//
// NaN where the solve has no steps or the neighbours are not there. RESOURCE_EXHAUSTED when twice
// the saved values do not fit. Adds the evaluations of the solve to *rhs_evaluations.
struct TimeSlopes {
  std::vector<double> states;   // [K, n]
  std::vector<double> outputs;  // [K, k]
};
absl::StatusOr<TimeSlopes> DifferenceTimes(const PassInput& input, const SavedValues& saved,
                                           const std::vector<double>& grid,
                                           std::optional<double> step, int64_t* rhs_evaluations);

// dL/d(times), [K]: the cotangents of a loss applied to the slopes, and its own dependence.
void ApplyTimeSlopes(const TimeSlopes& slopes, const Cotangents& cotangents,
                     absl::Span<double> times);

}  // namespace costate

#endif  // COSTATE_ENGINE_TIME_DIFFERENCES_H_

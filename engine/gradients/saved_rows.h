// Which saved values a step made, on the way back through a trajectory.
#ifndef COSTATE_ENGINE_GRADIENTS_SAVED_ROWS_H_
#define COSTATE_ENGINE_GRADIENTS_SAVED_ROWS_H_

#include <algorithm>
#include <cstdint>

#include "absl/types/span.h"
#include "engine/solvers/stepper.h"

namespace costate {

// The first of the rows saved by step i, whose last one is `end` - 1: those in (t, t_next], and at
// t0 too for the first step.
inline int64_t FirstSavedRow(absl::Span<const double> times, int64_t end, int64_t i,
                             const StepRecord& step) {
  const auto after = [&step](double t) { return step.h < 0 ? t < step.t : t > step.t; };
  while (end > 0 && (i == 0 || after(times[end - 1]))) --end;
  return end;
}

// Where in the step a saved time lies, in [0, 1].
inline double SavedTheta(double t, const StepRecord& step) {
  return t == step.t_next ? 1.0 : std::min((t - step.t) / step.h, 1.0);
}

inline bool AllZero(const double* values, int64_t count) {
  return std::all_of(values, values + count, [](double x) { return x == 0; });
}

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_SAVED_ROWS_H_

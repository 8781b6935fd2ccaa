// Where estimated sigmas, scales and offsets start, and what bounds them: both from the data.
//
// With channel values c of the model at the start point and measurements y of all series of the
// group that are there (weights w = series weight / sigma^2, for log noise / y^2; sigma 1 where it
// is estimated):
//
//   scale, offset  minimise sum w (scale c + offset - y)^2. For log noise without an offset
//                  ln scale is the mean of ln y - ln c.
//   sigma          root mean square of the residuals (mean absolute value for the Laplace models),
//                  of logarithms where the noise is
//
// or 1, 0 and the spread of the data where the model cannot be solved there or that is not finite.
//
//   bounds  sigma   [1e-6, 10] rms(y); for log noise [1e-6, 10 max(1, sd(ln y))]. Searched in log.
//           scale   [1e-6, 1e6] rms(y) / rms(c), searched in log, if the start is positive and no y
//                   negative; else +-1e6 rms(y) / rms(c), linear
//           offset  from min(y) - 10 (max(y) - min(y)) to max(y) + 10 (max(y) - min(y)), linear
//
// A start outside is moved onto its bound. Where a figure would be 0, 1 stands for it.
#ifndef COSTATE_ENGINE_FIT_NUISANCE_H_
#define COSTATE_ENGINE_FIT_NUISANCE_H_

#include "absl/status/status.h"
#include "engine/base/stop_source.h"
#include "engine/fit/bound_fit.h"

namespace costate::fit {

// Fills starts, bounds and scales of nuisance elements. Solves each condition once, if there are
// any. A failed solve is no error, one that `stop` ended is.
absl::Status SettleNuisance(const StopSource& stop, BoundFit* fit);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_NUISANCE_H_

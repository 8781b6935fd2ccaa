// Differences of noisy functions of one variable: how large the noise is, which step suits it.
#ifndef COSTATE_ENGINE_GRADIENTS_DIFFERENCE_H_
#define COSTATE_ENGINE_GRADIENTS_DIFFERENCE_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace costate {

// f(x) around 0; NaN where it has no value. Errors end the estimate.
using LineFunction = absl::FunctionRef<absl::StatusOr<double>(double x)>;

// Standard deviation of the noise in equally spaced values (7 or more), from their difference
// table: level k gives sigma_k^2 = (k!)^2/(2k)! mean(delta_k^2); the first of three consecutive
// levels that agree within a factor 4, with a change of sign in the first of them (More and Wild
// 2011, "Estimating computational noise", SIAM J. Sci. Comput. 33(3), algorithm ECNoise). Where no
// level settles: the smallest. Not below the rounding of the values.
double NoiseOf(absl::Span<const double> values);

// Seven values at distance `spacing` about 0.
absl::StatusOr<double> MeasureNoise(LineFunction f, double spacing);

struct LineDerivative {
  double value = 0;  // NaN where f has no values
  double step = 0;   // that was taken
  double error = 0;  // truncation and noise at that step, estimated
  double third = 0;  // |f'''|, NaN where noise hides it
};

// Central difference at the step that balances truncation and noise, (3 noise / |f'''|)^(1/3)
// (More and Wild 2012, "Estimating derivatives of noisy simulations", ACM TOMS 38(3)); f''' is
// found by steps that shrink from `largest` until two central differences agree. With `side` +1
// or -1, by differences of second order to that side only.
absl::StatusOr<LineDerivative> DifferentiateLine(LineFunction f, double noise, double largest,
                                                 int side = 0);

// The difference at one given step.
absl::StatusOr<double> DifferenceAt(LineFunction f, double step, int side = 0);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_DIFFERENCE_H_

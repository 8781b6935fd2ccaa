// The stable intervals on the axes, from the roots of polynomials.
#ifndef COSTATE_ENGINE_STABILITY_INTERVALS_H_
#define COSTATE_ENGINE_STABILITY_INTERVALS_H_

#include "engine/stability/stability_function.h"

namespace costate::stability {

// The smallest a <= 0 with spectral radius at most 1 on all of [a, 0]; -infinity if there is none.
// Isolated points where the spectral radius only touches 1 do not end it.
double RealIntervalLeft(const StabilityFunction& function);

// The largest b >= 0 with spectral radius at most 1 on the segment from -ib to ib. It is 0 as well
// where the radius passes 1 near 0 by no more than O(z^(order + 1)), as it does for many methods.
double ImaginaryInterval(const StabilityFunction& function);

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_INTERVALS_H_

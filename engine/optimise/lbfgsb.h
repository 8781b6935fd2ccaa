// L-BFGS-B: limited-memory quasi-Newton steps within bounds (Byrd, Lu, Nocedal and Zhu 1995, SIAM
// J. Sci. Comput. 16, 1190-1208; version 3.0: Morales and Nocedal 2011, ACM TOMS 38, 7), by reverse
// communication with liblbfgsb, whose whole state is in arrays of the caller. Memory of 10 steps.
//
// Its line search cannot take an infinite value. Where one is met at x + e from the last iterate x
// with value f and slope m = g'e, the search is told of the parabola along e with that value and
// slope whose minimum lies at x + r e, r = 1/10: value f - m (1 / (2 r) - 1) and gradient
// m (1 - 1 / r) e / |e|^2. So its next trial is at x + r e, and the parabola, being higher than f,
// is never taken for an iterate.
#ifndef COSTATE_ENGINE_OPTIMISE_LBFGSB_H_
#define COSTATE_ENGINE_OPTIMISE_LBFGSB_H_

#include <memory>
#include <vector>

#include "engine/optimise/optimiser.h"
#include "engine/optimise/state_bytes.h"

namespace costate::optimise {

// Starts at `start`, which is in the box.
std::unique_ptr<Optimiser> MakeLbfgsb(const OptimiserOptions& options, Box box,
                                      std::vector<double> start);

// Null if what follows in `reader` is not its state.
std::unique_ptr<Optimiser> RestoreLbfgsb(const OptimiserOptions& options, Box box,
                                         StateReader& reader);

}  // namespace costate::optimise

#endif  // COSTATE_ENGINE_OPTIMISE_LBFGSB_H_

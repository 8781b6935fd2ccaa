// L-BFGS-B: limited-memory quasi-Newton steps within bounds (Byrd, Lu, Nocedal and Zhu 1995, SIAM
// J. Sci. Comput. 16, 1190-1208; version 3.0: Morales and Nocedal 2011, ACM TOMS 38, 7), by reverse
// communication with liblbfgsb, whose whole state is in arrays of the caller.
//
// Its line search cannot take an infinite value. Where one is met at x + d from the last iterate x,
// the search starts again from x with the memory of curvature dropped and the objective divided by
// a growing power of 16, so that its first step, which has the length min(1, 1 / |projected
// gradient|), becomes shorter by 16 each time.
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

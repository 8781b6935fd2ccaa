// Levenberg-Marquardt: Gauss-Newton steps within a trust region and bounds.
//
// The model of the objective at x is g'd + |J d|^2 / 2 with J'J the (expected) Hessian. A step d
// minimises it over the box and |D d| <= radius, both exactly (box_least_squares.h), with the
// scaling D_j = largest |J_j| so far (More 1978, "The Levenberg-Marquardt algorithm: implementation
// and theory"), which makes the course invariant to the units of x. So a bound that is active at
// the solution is found and kept to the bit, and convergence is that of Gauss-Newton in what is
// free. No element moves by more than a tenth of the distance of its bounds in one step:
// Gauss-Newton steps from far away otherwise end on bounds where a model does not respond any more.
// Directions along which J is noise (the product of two elements matters, not each) are not moved
// along: steps have minimum norm.
// The gain ratio compares with the decrease of the true value, since for noise that is not Gaussian
// the value is not |s|^2 / 2.
#ifndef COSTATE_ENGINE_OPTIMISE_LEVENBERG_MARQUARDT_H_
#define COSTATE_ENGINE_OPTIMISE_LEVENBERG_MARQUARDT_H_

#include <memory>
#include <vector>

#include "engine/optimise/optimiser.h"
#include "engine/optimise/state_bytes.h"

namespace costate::optimise {

// Starts at `start`, which is in the box.
std::unique_ptr<Optimiser> MakeLevenbergMarquardt(const OptimiserOptions& options, Box box,
                                                  std::vector<double> start);

// Null if what follows in `reader` is not its state.
std::unique_ptr<Optimiser> RestoreLevenbergMarquardt(const OptimiserOptions& options, Box box,
                                                     StateReader& reader);

}  // namespace costate::optimise

#endif  // COSTATE_ENGINE_OPTIMISE_LEVENBERG_MARQUARDT_H_

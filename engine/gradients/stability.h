// How far a method's steps may go on stiff problems.
#ifndef COSTATE_ENGINE_GRADIENTS_STABILITY_H_
#define COSTATE_ENGINE_GRADIENTS_STABILITY_H_

#include "engine/solvers/problem.h"

namespace costate {

// The largest x with |R(-z)| <= 1 for all z in [0, x], R the stability function of the Runge-Kutta
// method, R(z) = 1 + z b' (I - z A)^-1 1: the step limit h |lambda| for decaying modes. To 1e-3.
// NaN for a method that carries more than the state and has no such limit.
double RealStabilityLimit(Method method);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_STABILITY_H_

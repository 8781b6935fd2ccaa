// Products with the Hessian of a loss, behind the door.
//
// All of it is taken on the steps of the plain solve, so it is the second derivative of the
// discrete solution on those steps, to rounding.
//
// Hessian: phi = dL/dq . v is a loss of the model with tangents, y' = f, s' = f_y s + f_p v, solved
// on the same steps; H v is its gradient, by the discrete adjoint (tangent over adjoint in the
// other order). A Runge-Kutta step of that model is the step of y and its derivative along v.
//
// Gauss-Newton: J' H_L J v, where J is the derivative of saved values and parameters, and H_L the
// second derivative of the loss by those: tangents forward, H_L by saved values, cotangents back.
#ifndef COSTATE_ENGINE_HVP_H_
#define COSTATE_ENGINE_HVP_H_

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace costate {

// Errors, besides those of a gradient: `wrt` names t0 or t1; a batch; `vectors` that are not rows
// of finite values; a running loss with gauss_newton, which has no saved values to take H_L by.
absl::StatusOr<HvpResult> HvpOfSimulation(const HvpRequest& request,
                                          const Cancellation* cancellation);

}  // namespace costate

#endif  // COSTATE_ENGINE_HVP_H_

// Several gradient methods against each other, behind the door.
#ifndef COSTATE_ENGINE_CHECK_GRADIENT_H_
#define COSTATE_ENGINE_CHECK_GRADIENT_H_

#include "absl/status/statusor.h"
#include "engine/base/cancellation.h"
#include "engine/engine.h"

namespace costate {

// Each method with those choices of request.gradient that it has a use for. A method that cannot
// run gives a row of NaN whose termination says why; an error of the request itself is one for all.
// Cost counts calls of kernels (KernelCalls) against those of a plain solve.
absl::StatusOr<CheckResult> CheckGradientOfSimulation(const CheckRequest& request,
                                                      const Cancellation* cancellation);

}  // namespace costate

#endif  // COSTATE_ENGINE_CHECK_GRADIENT_H_

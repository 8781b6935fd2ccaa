// Vector-Jacobian and Jacobian-vector products of a solve, behind the door.
#ifndef COSTATE_ENGINE_PRODUCTS_H_
#define COSTATE_ENGINE_PRODUCTS_H_

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace costate {

absl::StatusOr<VjpResult> VjpOfSimulation(const VjpRequest& request,
                                          const Cancellation* cancellation);
absl::StatusOr<JvpResult> JvpOfSimulation(const JvpRequest& request,
                                          const Cancellation* cancellation);
absl::StatusOr<SensitivityResult> SensitivitiesOfSimulation(const SensitivityRequest& request,
                                                            const Cancellation* cancellation);

}  // namespace costate

#endif  // COSTATE_ENGINE_PRODUCTS_H_

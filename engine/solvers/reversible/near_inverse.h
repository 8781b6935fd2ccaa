// The way back of a nearly symmetric Runge-Kutta method: a step of -h.
#ifndef COSTATE_ENGINE_SOLVERS_REVERSIBLE_NEAR_INVERSE_H_
#define COSTATE_ENGINE_SOLVERS_REVERSIBLE_NEAR_INVERSE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/solvers/stepper.h"

namespace costate::reversible {

absl::StatusOr<std::unique_ptr<StepInverse>> MakeNearInverse(Method method,
                                                             const VectorField& field, int lanes);

}  // namespace costate::reversible

#endif  // COSTATE_ENGINE_SOLVERS_REVERSIBLE_NEAR_INVERSE_H_

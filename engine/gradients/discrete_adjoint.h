// The discrete adjoint of a solve over any way of getting its steps back.
#ifndef COSTATE_ENGINE_GRADIENTS_DISCRETE_ADJOINT_H_
#define COSTATE_ENGINE_GRADIENTS_DISCRETE_ADJOINT_H_

#include <memory>

#include "engine/gradients/adjoint.h"
#include "engine/gradients/step_store.h"

namespace costate {

// `input` refers to things that outlive the method. O(steps) replays of one step and its transpose.
std::unique_ptr<AdjointMethod> MakeDiscreteAdjoint(const AdjointInput& input,
                                                   std::unique_ptr<StepStore> store);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_DISCRETE_ADJOINT_H_

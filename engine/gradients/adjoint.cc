#include "engine/gradients/adjoint.h"

#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/continuous_adjoint.h"
#include "engine/gradients/discrete_adjoint.h"
#include "engine/gradients/step_store.h"

namespace costate {
absl::StatusOr<std::unique_ptr<AdjointMethod>> MakeAdjointMethod(GradientMethod method,
                                                                 const AdjointInput& input) {
  switch (method) {
    case GradientMethod::kBackprop:
    case GradientMethod::kCheckpointed:
    case GradientMethod::kSegmented:
    case GradientMethod::kReversible: {
      ASSIGN_OR_RETURN(std::unique_ptr<StepStore> store, MakeStepStore(method, input));
      return MakeDiscreteAdjoint(input, std::move(store));
    }
    case GradientMethod::kBacksolve:
      return MakeBacksolve(input);
    case GradientMethod::kInterpolating:
      return MakeInterpolating(input);
    case GradientMethod::kQuadrature:
      return MakeQuadrature(input);
    case GradientMethod::kGauss:
      return MakeGauss(input);
    case GradientMethod::kAuto:
    case GradientMethod::kForward:
    case GradientMethod::kFiniteDifference:
    case GradientMethod::kComplexStep:
      break;
  }
  return absl::InternalError("not a method in reverse");
}

}  // namespace costate

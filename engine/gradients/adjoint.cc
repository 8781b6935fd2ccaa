#include "engine/gradients/adjoint.h"

#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/continuous_adjoint.h"
#include "engine/gradients/discrete_adjoint.h"
#include "engine/gradients/step_store.h"

namespace costate {
namespace {

absl::StatusOr<std::unique_ptr<AdjointMethod>> OverStore(
    const AdjointInput& input, absl::StatusOr<std::unique_ptr<StepStore>> store) {
  RETURN_IF_ERROR(store.status());
  return MakeDiscreteAdjoint(input, *std::move(store));
}

}  // namespace

absl::StatusOr<std::unique_ptr<AdjointMethod>> MakeAdjointMethod(GradientMethod method,
                                                                 const AdjointInput& input) {
  switch (method) {
    case GradientMethod::kBackprop:
      return OverStore(input, MakeFullStore(input));
    case GradientMethod::kCheckpointed:
      return OverStore(input, MakeCheckpointedStore(input));
    case GradientMethod::kSegmented:
      return OverStore(input, MakeSegmentedStore(input));
    case GradientMethod::kReversible:
      return OverStore(input, MakeReversibleStore(input));
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

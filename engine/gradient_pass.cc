#include "engine/gradient_pass.h"

#include "engine/adjoint_pass.h"
#include "engine/complex_pass.h"
#include "engine/difference_pass.h"
#include "engine/tangent_pass.h"

namespace costate {

std::unique_ptr<GradientPass> MakeGradientPass(GradientMethod method, const PassInput& input) {
  if (method == GradientMethod::kForward) return MakeForwardPass(input);
  if (method == GradientMethod::kFiniteDifference) return MakeFiniteDifferencePass(input);
  if (method == GradientMethod::kComplexStep) return MakeComplexPass(input);
  return MakeAdjointPass(method, input);
}

}  // namespace costate

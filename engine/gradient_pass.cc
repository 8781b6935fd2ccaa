#include "engine/gradient_pass.h"

#include "engine/adjoint_pass.h"
#include "engine/tangent_pass.h"

namespace costate {

std::unique_ptr<GradientPass> MakeGradientPass(GradientMethod method, const PassInput& input) {
  if (method == GradientMethod::kForward) return MakeForwardPass(input);
  return MakeAdjointPass(method, input);
}

}  // namespace costate

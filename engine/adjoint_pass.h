// A gradient in reverse, from a bound simulation to its columns.
#ifndef COSTATE_ENGINE_ADJOINT_PASS_H_
#define COSTATE_ENGINE_ADJOINT_PASS_H_

#include <memory>

#include "engine/gradient_pass.h"

namespace costate {

// `method` is of one of the adjoint families.
std::unique_ptr<GradientPass> MakeAdjointPass(GradientMethod method, const PassInput& input);

}  // namespace costate

#endif  // COSTATE_ENGINE_ADJOINT_PASS_H_

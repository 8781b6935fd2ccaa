// Which gradient method to use, and which choices fit it.
#ifndef COSTATE_ENGINE_GRADIENT_OPTIONS_H_
#define COSTATE_ENGINE_GRADIENT_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "engine/bind.h"
#include "engine/engine.h"
#include "engine/solvers/problem.h"

namespace costate {

// Columns up to which `auto` carries tangents forward, for the sake of their error control.
// Measured (gradient_bench, "method auto"): with full control that takes the time of 1.6 backprop
// gradients at 8 columns, 3.6 at 13, 4.7 at 24 and 10 at 48.
inline constexpr int64_t kMaxForwardColumns = 24;

// kAuto resolved; `reason` is set if it was, and names what decided. Forward for few columns,
// unless the tangents do not fit; else backprop, or where the steps that are forecast
// (step_probe.h) would not fit in the memory budget, checkpointed, or reversible if the scheme is.
// Where the solve is stiff the reason says so.
GradientMethod ChooseGradientMethod(const GradientOptions& gradient, const BoundSimulation& bound,
                                    const SolveOptions& options, int64_t columns,
                                    std::string* reason);

// INVALID_ARGUMENT for a choice that `method`, which is in force, has no use for, or that it needs:
// gradient.checkpoints and so on, with what works instead.
absl::Status CheckGradientOptions(const GradientOptions& gradient, GradientMethod method,
                                  const Scheme& scheme);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENT_OPTIONS_H_

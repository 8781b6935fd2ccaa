// Gradients of several trajectories of a batch together, in lanes.
#ifndef COSTATE_ENGINE_BATCH_PASS_H_
#define COSTATE_ENGINE_BATCH_PASS_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/gradient_pass.h"
#include "engine/gradients/loss.h"

namespace costate {

// Whether the trajectories of a batch can share lanes: backprop, and enough of them.
bool RunsInLanes(GradientMethod method, const BoundSimulation& bound);

// Backprop of every trajectory of the batch, with the bits that each has alone. As many run
// together as the memory budget holds; one that is too large by itself goes to `alone`.
// input.trajectory is not looked at. `loss` is prepared.
using DifferentiateAlone =
    absl::FunctionRef<absl::StatusOr<GradientResult::PerTrajectory>(int64_t trajectory)>;
absl::StatusOr<std::vector<GradientResult::PerTrajectory>> DifferentiateInLanes(
    const Loss& loss, const PassInput& input, DifferentiateAlone alone);

}  // namespace costate

#endif  // COSTATE_ENGINE_BATCH_PASS_H_

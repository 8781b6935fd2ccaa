// Gradients of several trajectories of a batch together, in lanes.
#ifndef COSTATE_ENGINE_BATCH_PASS_H_
#define COSTATE_ENGINE_BATCH_PASS_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/engine.h"
#include "engine/gradient_pass.h"
#include "engine/gradients/loss.h"

namespace costate {

// Whether `count` trajectories can share lanes to advantage: a discrete adjoint, and enough of
// them.
bool RunsInLanes(GradientMethod method, const AdjointOptions& adjoint, const BoundSimulation& bound,
                 int64_t count);

// Some trajectories of a batch, `members` by index, by a discrete adjoint, each with the bits that
// it has alone; results[b] receives that of b. As many run together as the memory budget holds; one
// that is too large by itself goes to `alone`. input.trajectory is not looked at. `loss` is
// prepared.
using DifferentiateAlone =
    absl::FunctionRef<absl::StatusOr<GradientResult::PerTrajectory>(int64_t trajectory)>;
absl::Status DifferentiateInLanes(GradientMethod method, const Loss& loss, const PassInput& input,
                                  absl::Span<const int64_t> members, DifferentiateAlone alone,
                                  absl::Span<GradientResult::PerTrajectory> results);

}  // namespace costate

#endif  // COSTATE_ENGINE_BATCH_PASS_H_

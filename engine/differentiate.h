// Gradients of losses, behind the door.
#ifndef COSTATE_ENGINE_DIFFERENTIATE_H_
#define COSTATE_ENGINE_DIFFERENTIATE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/bind.h"
#include "engine/engine.h"
#include "engine/gradient_options.h"
#include "engine/resolve_options.h"

namespace costate {

absl::StatusOr<GradientResult> DifferentiateSimulation(const GradientRequest& request,
                                                       const Cancellation* cancellation);

// Saves at the union of the losses' times, or the end if they have none.
SaveAt SaveAtLossTimes(const std::vector<const Loss*>& losses, bool backwards);

// RESOURCE_EXHAUSTED if states and outputs at all save times pass limits::kMaxSavedBytes.
absl::Status CheckSavedRoom(const BoundSimulation& bound, const SaveAt& save);

// Builds what a gradient by `method` needs; returns the time it took, that of `bound` included.
absl::StatusOr<absl::Duration> PrepareGradientKernels(const BoundSimulation& bound,
                                                      GradientMethod method, int64_t save_times,
                                                      int64_t num_cotangents = 1);

// The wall budget of a call that starts now.
absl::Time DeadlineOf(const SolveOptions& options);

}  // namespace costate

#endif  // COSTATE_ENGINE_DIFFERENTIATE_H_

// Gradients of losses, behind the door.
#ifndef COSTATE_ENGINE_DIFFERENTIATE_H_
#define COSTATE_ENGINE_DIFFERENTIATE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/bind.h"
#include "engine/engine.h"
#include "engine/resolve_options.h"

namespace costate {

absl::StatusOr<GradientResult> DifferentiateSimulation(const GradientRequest& request,
                                                       const Cancellation* cancellation);

// Columns up to which `auto` carries tangents forward, for the sake of their error control.
// Measured (gradient_bench, "method auto"): with full control that takes the time of 1.6 backprop
// gradients at 8 columns, 3.6 at 13, 4.7 at 24 and 10 at 48.
inline constexpr int64_t kMaxForwardColumns = 24;

// kAuto resolved; `reason` is set if it was.
GradientMethod ChooseGradientMethod(GradientMethod wanted, const BoundSimulation& bound,
                                    int64_t columns, int64_t save_times, std::string* reason);

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

// Solve, behind the door.
#ifndef COSTATE_ENGINE_SOLVE_H_
#define COSTATE_ENGINE_SOLVE_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/cancellation.h"
#include "engine/engine.h"

namespace costate {

absl::StatusOr<SolveResult> SolveSimulation(const SolveRequest& request,
                                            const Cancellation* cancellation, SolveSink* sink);

// outputs [k, num_outputs] of a trajectory's saved rows, NaN where not reached. `params` is [m].
// A cancellation is an error only for a trajectory that reached its end: others say so themselves,
// and keep NaN. ABORTED when `budget`, of wall-clock time, is spent; outputs not come to are NaN.
absl::Status EvaluateOutputs(const Model& model, const Trajectory& trajectory,
                             absl::Span<const double> params, const Cancellation* cancellation,
                             std::vector<double>* outputs,
                             absl::Duration budget = absl::InfiniteDuration());

// INTERNAL unless the arrays fit each other and reached values are finite.
absl::Status CheckTrajectory(const Trajectory& trajectory, int64_t num_states);

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVE_H_

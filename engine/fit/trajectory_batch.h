// Trajectories of several points and conditions of one bundle, solved together in lanes.
#ifndef COSTATE_ENGINE_FIT_TRAJECTORY_BATCH_H_
#define COSTATE_ENGINE_FIT_TRAJECTORY_BATCH_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/stop_source.h"
#include "engine/bind.h"
#include "engine/fit/bound_fit.h"
#include "engine/fit/likelihood.h"
#include "engine/solvers/problem.h"

namespace costate::fit {

// A trajectory to solve: a condition at a point.
struct TrajectoryRequest {
  const BoundCondition* condition = nullptr;
  const SearchPoint* point = nullptr;
};

// Parameters, spans and initial values of all of them. Not finite where an initial expression is
// not: the trajectory then ends at once.
absl::StatusOr<BoundSimulation> GatherTrajectories(const BoundFit& fit, const Bundle& bundle,
                                                   absl::Span<const TrajectoryRequest> requests,
                                                   const StopSource& stop);

// The model at the bundle's times. Widest lanes from a few trajectories on; the bits are the same.
absl::StatusOr<std::vector<Trajectory>> SolveTrajectories(const BoundSimulation& bound,
                                                          const SolveOptions& options,
                                                          const StopSource& stop);

// The same with forward tangents under full control: states [K, n] and their tangents [K, n, C].
struct TangentTrajectory {
  Trajectory trajectory;
  std::vector<double> tangents;
};
absl::StatusOr<std::vector<TangentTrajectory>> SolveWithColumns(const Bundle& bundle,
                                                                const BoundSimulation& bound,
                                                                const StopSource& stop);

// Whether the above steps several trajectories in lanes, or one after another with their columns in
// lanes: what is faster.
bool TrajectoriesShareLanes(const Bundle& bundle);

inline bool ReachedEnd(const Termination& termination) {
  return termination.reason == Termination::Reason::kReachedEnd;
}

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_TRAJECTORY_BATCH_H_

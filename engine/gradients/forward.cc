#include "engine/gradients/forward.h"

#include <memory>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/tangent_companion.h"

namespace costate {
namespace {

absl::Status CheckSeeds(const Problem& problem, const TangentSeeds& seeds) {
  const size_t columns = static_cast<size_t>(seeds.num_columns);
  const size_t n = static_cast<size_t>(problem.field->num_states());
  const size_t m = static_cast<size_t>(problem.field->num_params());
  const bool fits = problem.num_trajectories == 1 && seeds.initial.size() == n * columns &&
                    (seeds.params.empty() || seeds.params.size() == m * columns) &&
                    (seeds.t0.empty() || seeds.t0.size() == columns) &&
                    (seeds.t1.empty() || seeds.t1.size() == columns) &&
                    seeds.scale.size() == columns;
  return fits ? absl::OkStatus()
              : absl::InvalidArgumentError("tangent seeds do not fit the problem");
}

}  // namespace

absl::StatusOr<TangentResult> SolveWithTangents(const Problem& problem, const SolveOptions& options,
                                                const TangentSeeds& seeds, TangentControl control,
                                                const IntegrateHooks& hooks) {
  RETURN_IF_ERROR(CheckSeeds(problem, seeds));
  ASSIGN_OR_RETURN(std::unique_ptr<TangentCompanion> companion,
                   TangentCompanion::Create(problem, options, seeds, control, hooks.cancellation));
  IntegrateHooks with_tangents = hooks;
  with_tangents.companions.push_back(companion.get());
  ASSIGN_OR_RETURN(std::vector<Trajectory> trajectories,
                   Integrate(problem, options, with_tangents));
  return std::move(*companion).Take(std::move(trajectories[0]));
}

}  // namespace costate

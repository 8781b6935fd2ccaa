// The discrete adjoint of many trajectories, which run forwards and backwards in lanes.
#ifndef COSTATE_ENGINE_GRADIENTS_ENSEMBLE_ADJOINT_H_
#define COSTATE_ENGINE_GRADIENTS_ENSEMBLE_ADJOINT_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradients/adjoint.h"
#include "engine/gradients/method.h"

namespace costate {

// What AdjointMethod is for one trajectory; per trajectory the bits are those of the method alone.
// The memory budget is shared out evenly among all. Thread-safety: one thread.
class EnsembleAdjoint {
 public:
  virtual ~EnsembleAdjoint() = default;

  // Once, and first: B trajectories.
  virtual absl::StatusOr<std::vector<Trajectory>> Solve() = 0;

  // [n] at the end of a trajectory's last accepted step.
  virtual absl::Span<const double> terminal_state(int64_t trajectory) const = 0;

  // One cotangent for each trajectory with wanted[b], which reached its end; the other results stay
  // empty. Errors as AdjointMethod::PullBack.
  virtual absl::StatusOr<std::vector<AdjointResult>> PullBack(
      absl::Span<const StateCotangents> cotangents, const std::vector<bool>& wanted) = 0;

  // Of one trajectory; a kernel call for several lanes counts for each of them, and checkpoints by
  // budget are those of its share.
  virtual AdjointStats stats(int64_t trajectory) const = 0;
};

// `method` is of the discrete adjoints. `input` refers to things that outlive the ensemble; B is
// any. INVALID_ARGUMENT unless the field has more than one lane.
absl::StatusOr<std::unique_ptr<EnsembleAdjoint>> MakeEnsembleAdjoint(GradientMethod method,
                                                                     const AdjointInput& input);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_ENSEMBLE_ADJOINT_H_

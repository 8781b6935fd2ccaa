// How a discrete adjoint gets its steps back: what is kept on the way forward, and each step in
// turn on the way back. Methods differ in nothing else.
#ifndef COSTATE_ENGINE_GRADIENTS_STEP_STORE_H_
#define COSTATE_ENGINE_GRADIENTS_STEP_STORE_H_

#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradients/adjoint.h"
#include "engine/solvers/integrate.h"

namespace costate {

// Rides along with the forward solve. Never adds an error of its own.
class StepStore : public StepCompanion {
 public:
  double TrialError(const StepRecord& /*step*/, const double* /*y_new*/) final { return 0; }

  // Accepted step times, [N + 1], t0 first.
  virtual absl::Span<const double> times() const = 0;
  int64_t num_steps() const { return static_cast<int64_t>(times().size()) - 1; }

  // [n] at the end of the last step.
  virtual absl::Span<const double> last_state() const = 0;

  // Calls visit(i, step) for i = N - 1 .. 0, after the solve; any number of times. The values of a
  // step have the bits they had on the way forward (nearly, where steps are taken back); its stages
  // may be null. An error of `visit`
  // ends the walk and is returned.
  using Visitor = absl::FunctionRef<absl::Status(int64_t i, const StepRecord& step)>;
  virtual absl::Status VisitBackwards(Visitor visit) = 0;

  // After a walk: its states were too far from those of the way forward. Another walk, for which
  // the store keeps more, has better ones.
  virtual bool AsksAgain() const { return false; }

  // Adds recomputed steps and evaluations to `stats`, and raises its sizes to those seen here.
  virtual void AddStats(AdjointStats* stats) const = 0;
};

// One for each method; `input` outlives the store.
absl::StatusOr<std::unique_ptr<StepStore>> MakeFullStore(const AdjointInput& input);
absl::StatusOr<std::unique_ptr<StepStore>> MakeCheckpointedStore(const AdjointInput& input);
absl::StatusOr<std::unique_ptr<StepStore>> MakeSegmentedStore(const AdjointInput& input);
absl::StatusOr<std::unique_ptr<StepStore>> MakeReversibleStore(const AdjointInput& input);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_STEP_STORE_H_

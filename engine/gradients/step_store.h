// How a discrete adjoint gets its steps back: what is kept of one trajectory on the way forward,
// and the plan of the way back, one task after another. Methods differ in nothing else. The work
// itself is StepWalker's, for one trajectory or for several in lanes.
#ifndef COSTATE_ENGINE_GRADIENTS_STEP_STORE_H_
#define COSTATE_ENGINE_GRADIENTS_STEP_STORE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradients/adjoint.h"
#include "engine/gradients/spectral_radius.h"
#include "engine/solvers/integrate.h"
#include "engine/solvers/stepper.h"

namespace costate {

// What a walk back needs done next.
struct StepTask {
  enum class Kind {
    kTry,    // take step `step` again from `y`; null: from the end of the step tried last
    kUndo,   // take step `step` back from `y` at its end; null: from the start of the one undone
             // last
    kVisit,  // pull step `step` back, which starts from `y` and kept `stages`, null: recomputed;
             // null for both: it is the step tried or undone last
    kDone,
  };
  Kind kind = Kind::kDone;
  int64_t step = 0;
  const double* y = nullptr;       // [carried][n]
  const double* stages = nullptr;  // [stages][n]
};

// The step tried or undone last: element i of an array stands at i * lanes().
class StepInHand {
 public:
  StepInHand() = default;
  StepInHand(const Stepper& tried, int lane) : lanes_(tried.lanes()), lane_(lane), tried_(&tried) {}
  StepInHand(const double* undone, int lanes, int lane)
      : lanes_(lanes), lane_(lane), undone_(undone) {}

  int lanes() const { return lanes_; }
  // [carried][n] at its start.
  const double* y() const { return (tried_ != nullptr ? tried_->y() : undone_) + lane_; }
  // After kTry: [carried][n] at its end, and [stages][n].
  const double* y_new() const { return tried_->y_new() + lane_; }
  const double* stages() const { return tried_->stages() + lane_; }

 private:
  int lanes_ = 1, lane_ = 0;
  const Stepper* tried_ = nullptr;
  const double* undone_ = nullptr;
};
inline void CopyLane(const double* from, int lanes, int64_t count, double* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i * lanes];
}

// Rides along with the forward solve. Never adds an error of its own.
class StepStore : public StepCompanion {
 public:
  // carried * n
  explicit StepStore(int64_t carried_size) : carried_size_(carried_size) {}

  double TrialError(const StepRecord& /*step*/, const double* /*y_new*/) final { return 0; }

  // Accept, for a step in a lane. As defined here, Accept is called without stages.
  virtual absl::Status AcceptLane(const LaneStep& step);

  // Accepted step times, [N + 1], t0 first.
  virtual absl::Span<const double> times() const = 0;
  int64_t num_steps() const { return static_cast<int64_t>(times().size()) - 1; }

  // [n] at the end of the last step.
  virtual absl::Span<const double> last_state() const = 0;

  // A walk back, after the solve; any number of times. Next tells one task after another, each
  // once the one before is done: kVisit for i = N - 1 .. 0, then kDone. `hand` holds until then
  // what the last kTry or kUndo gave; what a task points to holds until the next call. The values
  // of a step have the bits they had on the way forward (nearly, where steps are taken back).
  virtual absl::Status BeginWalk() { return absl::OkStatus(); }
  virtual absl::Status Next(const StepInHand& hand, StepTask* task) = 0;

  // After a walk: its states were too far from those of the way forward. Another walk, for which
  // the store keeps more, has better ones.
  virtual bool AsksAgain() const { return false; }

  // Work done on walks, by whoever does it.
  void CountWork(int64_t recomputed_steps, int64_t rhs_evaluations) {
    recomputed_steps_ += recomputed_steps;
    rhs_evaluations_ += rhs_evaluations;
  }
  // Adds recomputed steps and evaluations to `stats`, and raises its sizes to those seen here.
  void AddStats(AdjointStats* stats) const {
    stats->recomputed_steps += recomputed_steps_;
    stats->rhs_evaluations += rhs_evaluations_;
    AddSizes(stats);
  }

 protected:
  virtual void AddSizes(AdjointStats* stats) const = 0;

 private:
  const int64_t carried_size_;
  std::vector<double> lane_y_, lane_y_new_;
  int64_t recomputed_steps_ = 0, rhs_evaluations_ = 0;
};

// Of one of the methods with a store; `input` outlives the store. Stores of the same field made
// with the same `shared` share what does not depend on the trajectory; null: nothing.
struct SharedByStores {
  std::shared_ptr<SpectralRadius::Workspace> radius;
};
absl::StatusOr<std::unique_ptr<StepStore>> MakeStepStore(GradientMethod method,
                                                         const AdjointInput& input,
                                                         SharedByStores* shared = nullptr);

absl::StatusOr<std::unique_ptr<StepStore>> MakeFullStore(const AdjointInput& input);
absl::StatusOr<std::unique_ptr<StepStore>> MakeCheckpointedStore(const AdjointInput& input);
absl::StatusOr<std::unique_ptr<StepStore>> MakeSegmentedStore(const AdjointInput& input);
absl::StatusOr<std::unique_ptr<StepStore>> MakeReversibleStore(const AdjointInput& input,
                                                               SharedByStores* shared = nullptr);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_STEP_STORE_H_

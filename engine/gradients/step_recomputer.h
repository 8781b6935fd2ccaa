// Steps of a finished solve taken again, with the same bits.
#ifndef COSTATE_ENGINE_GRADIENTS_STEP_RECOMPUTER_H_
#define COSTATE_ENGINE_GRADIENTS_STEP_RECOMPUTER_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradients/adjoint.h"
#include "engine/gradients/stop_check.h"
#include "engine/solvers/stepper.h"

namespace costate {

// Thread-safety: one thread.
class StepRecomputer {
 public:
  // What `input` refers to and the accepted step times, [N + 1], outlive it.
  static absl::StatusOr<std::unique_ptr<StepRecomputer>> Create(const AdjointInput& input,
                                                                absl::Span<const double> times);

  // Goes to the start of step `step`, where `y` is carried, [carried][n], copied.
  void Start(int64_t step, const double* y);

  // The step here, with its stages. CANCELLED, DEADLINE_EXCEEDED or UNAVAILABLE as StopCheck.
  absl::Status Try();
  // The same for a step that is only to be pulled back: not polled, and not counted.
  void TryForReplay() { stepper_->Step(&times_[step_ + 1]); }
  // After Try.
  void Advance();
  // Goes on to the start of step `step`, not before the one here.
  absl::Status AdvanceTo(int64_t step);

  int64_t step() const { return step_; }
  const double* y() const { return stepper_->y(); }            // [carried][n] here
  const double* stages() const { return stepper_->stages(); }  // [stages][n] of the step tried

  int64_t recomputed_steps() const { return recomputed_steps_; }
  int64_t rhs_evaluations() const { return evaluations_ + stepper_->rhs_evaluations(0); }

 private:
  StepRecomputer(const AdjointInput& input, absl::Span<const double> times,
                 std::unique_ptr<Stepper> stepper);

  const absl::Span<const double> params_;
  const absl::Span<const double> times_;
  const std::unique_ptr<Stepper> stepper_;
  StopCheck stop_;
  int64_t step_ = 0;
  int64_t recomputed_steps_ = 0;
  int64_t evaluations_ = 0;  // before the last Start
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_STEP_RECOMPUTER_H_

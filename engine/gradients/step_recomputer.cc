#include "engine/gradients/step_recomputer.h"

#include <utility>

#include "engine/base/status_macros.h"

namespace costate {

absl::StatusOr<std::unique_ptr<StepRecomputer>> StepRecomputer::Create(
    const AdjointInput& input, absl::Span<const double> times) {
  ASSIGN_OR_RETURN(std::unique_ptr<Stepper> stepper,
                   MakeStepper(input.options.scheme(), *input.problem.field, 1));
  return std::unique_ptr<StepRecomputer>(new StepRecomputer(input, times, std::move(stepper)));
}

StepRecomputer::StepRecomputer(const AdjointInput& input, absl::Span<const double> times,
                               std::unique_ptr<Stepper> stepper)
    : params_(input.problem.params),
      times_(times),
      stepper_(std::move(stepper)),
      stop_(input.stop) {}

void StepRecomputer::Start(int64_t step, const double* y) {
  evaluations_ += stepper_->rhs_evaluations(0);
  stepper_->Resume(0, times_[step], y, params_.data());
  step_ = step;
}

absl::Status StepRecomputer::Try() {
  RETURN_IF_ERROR(stop_.Poll());
  stepper_->Step(&times_[step_ + 1]);
  ++recomputed_steps_;
  return absl::OkStatus();
}

void StepRecomputer::Advance() {
  constexpr bool kAccept[] = {true};
  stepper_->Advance(kAccept);
  ++step_;
}

absl::Status StepRecomputer::AdvanceTo(int64_t step) {
  while (step_ < step) {
    RETURN_IF_ERROR(Try());
    Advance();
  }
  return absl::OkStatus();
}

}  // namespace costate

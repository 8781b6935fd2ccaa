#include "engine/gradients/step_store.h"

namespace costate {

absl::Status StepStore::AcceptLane(const LaneStep& step) {
  lane_y_.resize(carried_size_);
  lane_y_new_.resize(carried_size_);
  CopyLane(step.y, step.lanes, carried_size_, lane_y_.data());
  CopyLane(step.y_new, step.lanes, carried_size_, lane_y_new_.data());
  const StepRecord whole = {
      .t = step.t, .h = step.t_next - step.t, .t_next = step.t_next, .y = lane_y_.data()};
  return Accept(whole, lane_y_new_.data(), {});
}

absl::StatusOr<std::unique_ptr<StepStore>> MakeStepStore(GradientMethod method,
                                                         const AdjointInput& input,
                                                         SharedByStores* shared) {
  switch (method) {
    case GradientMethod::kBackprop:
      return MakeFullStore(input);
    case GradientMethod::kCheckpointed:
      return MakeCheckpointedStore(input);
    case GradientMethod::kSegmented:
      return MakeSegmentedStore(input);
    case GradientMethod::kReversible:
      return MakeReversibleStore(input, shared);
    case GradientMethod::kBacksolve:
    case GradientMethod::kInterpolating:
    case GradientMethod::kQuadrature:
    case GradientMethod::kGauss:
    case GradientMethod::kAuto:
    case GradientMethod::kForward:
    case GradientMethod::kFiniteDifference:
    case GradientMethod::kComplexStep:
      break;
  }
  return absl::InternalError("not a method over steps");
}

}  // namespace costate

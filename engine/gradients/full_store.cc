#include <algorithm>

#include "engine/gradients/recording_budget.h"
#include "engine/gradients/step_store.h"

namespace costate {
namespace {

// Every step with its stages.
class FullStore : public StepStore {
 public:
  explicit FullStore(const AdjointInput& input)
      : StepStore(CarriedSize(input.options.scheme(), input.problem.field->num_states())),
        recorder_(input.options.scheme(), input.problem.field->num_states(),
                  RecordingBudget(input.adjoint)) {}

  absl::Status Begin(double t0, const double* y0) override { return recorder_.Begin(t0, y0); }
  absl::Status Accept(const StepRecord& step, const double* y_new,
                      absl::Span<const double> saved_theta) override {
    return recorder_.Accept(step, y_new, saved_theta);
  }
  absl::Status AcceptLane(const LaneStep& step) override { return recorder_.AcceptLane(step); }

  absl::Span<const double> times() const override { return recording().times; }
  absl::Span<const double> last_state() const override {
    const Recording& all = recording();
    return absl::MakeConstSpan(all.states)
        .last(CarriedSize(all.scheme, all.num_states))
        .first(all.num_states);
  }

  absl::Status BeginWalk() override {
    left_ = num_steps();
    return absl::OkStatus();
  }
  absl::Status Next(const StepInHand& /*hand*/, StepTask* task) override {
    if (left_ == 0) {
      task->kind = StepTask::Kind::kDone;
      return absl::OkStatus();
    }
    const StepRecord step = recording().step(--left_);
    *task = {.kind = StepTask::Kind::kVisit, .step = left_, .y = step.y, .stages = step.stages};
    return absl::OkStatus();
  }

 protected:
  void AddSizes(AdjointStats* stats) const override {
    stats->peak_stored_bytes = std::max(stats->peak_stored_bytes, recording().bytes());
  }

 private:
  const Recording& recording() const { return recorder_.recording(); }

  Recorder recorder_;
  int64_t left_ = 0;  // steps of the walk
};

}  // namespace

absl::StatusOr<std::unique_ptr<StepStore>> MakeFullStore(const AdjointInput& input) {
  return std::make_unique<FullStore>(input);
}

}  // namespace costate

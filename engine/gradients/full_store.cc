#include <algorithm>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/gradients/step_store.h"

namespace costate {
namespace {

// Every step with its stages.
class FullStore : public StepStore {
 public:
  explicit FullStore(const AdjointInput& input)
      : recorder_(input.options.scheme(), input.problem.field->num_states(),
                  std::min(input.adjoint.memory_budget, limits::kMaxRecordingBytes)) {}

  absl::Status Begin(double t0, const double* y0) override { return recorder_.Begin(t0, y0); }
  absl::Status Accept(const StepRecord& step, const double* y_new,
                      absl::Span<const double> saved_theta) override {
    return recorder_.Accept(step, y_new, saved_theta);
  }

  absl::Span<const double> times() const override { return recording().times; }
  absl::Span<const double> last_state() const override {
    const Recording& all = recording();
    return absl::MakeConstSpan(all.states)
        .last(CarriedSize(all.scheme, all.num_states))
        .first(all.num_states);
  }

  absl::Status VisitBackwards(Visitor visit) override {
    for (int64_t i = recording().num_steps() - 1; i >= 0; --i) {
      RETURN_IF_ERROR(visit(i, recording().step(i)));
    }
    return absl::OkStatus();
  }

  void AddStats(AdjointStats* stats) const override {
    stats->peak_stored_bytes = std::max(stats->peak_stored_bytes, recording().bytes());
  }

 private:
  const Recording& recording() const { return recorder_.recording(); }

  Recorder recorder_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StepStore>> MakeFullStore(const AdjointInput& input) {
  return std::make_unique<FullStore>(input);
}

}  // namespace costate

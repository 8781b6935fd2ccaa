// Equally spaced checkpoints: the span is cut into K segments of the same length in time, the
// first state in each is kept, and on the way back one segment after another is solved again on
// its recorded steps and held whole, stages included. N recomputed steps for a walk.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/gradients/checkpoint_storage.h"
#include "engine/gradients/counted_vector.h"
#include "engine/gradients/recording_budget.h"
#include "engine/gradients/step_store.h"
#include "engine/gradients/stop_check.h"

namespace costate {
namespace {

constexpr int64_t kDefaultSegments = 10;
constexpr int64_t kDouble = sizeof(double);

// Which step is the first of a segment: the first that starts at or after t0 + k (t1 - t0) / K.
// Several k may fall to one step; that makes one segment.
class SegmentCuts {
 public:
  SegmentCuts(double t0, double t1, int64_t segments) : t0_(t0), t1_(t1), segments_(segments) {}

  // For the starts of all steps in turn.
  bool Starts(double t) {
    bool starts = false;
    while (next_ < segments_ && !Before(t, Cut(next_))) {
      starts = true;
      // Many cuts may lie within one step.
      const double share = (t - t0_) / (t1_ - t0_) * static_cast<double>(segments_);
      next_ = std::max(next_ + 1, static_cast<int64_t>(share) - 1);
    }
    return starts;
  }

 private:
  double Cut(int64_t k) const {
    return t0_ + (t1_ - t0_) * (static_cast<double>(k) / static_cast<double>(segments_));
  }
  bool Before(double a, double b) const { return t1_ >= t0_ ? a < b : a > b; }

  double t0_, t1_;
  int64_t segments_;
  int64_t next_ = 0;
};

class SegmentedStore : public StepStore {
 public:
  explicit SegmentedStore(const AdjointInput& input)
      : StepStore(CarriedSize(input.options.scheme(), input.problem.field->num_states())),
        input_(input),
        n_(CarriedSize(input.options.scheme(), input.problem.field->num_states())),
        stage_values_(GetMethodInfo(input.options.scheme()).stages *
                      input.problem.field->num_states()),
        budget_(RecordingBudget(input.adjoint)),
        segments_(input.adjoint.segments > 0 ? input.adjoint.segments : kDefaultSegments),
        cuts_(input.problem.t0[0], input.problem.t1[0], segments_),
        storage_(n_, "", 0) {
    times_.set_limit(input.options.max_steps + 1);
  }

  absl::Status Begin(double t0, const double* y0) override {
    RETURN_IF_ERROR(PushTime(t0));
    ASSIGN_OR_RETURN(last_, Keep(y0));
    return absl::OkStatus();
  }

  absl::Status Accept(const StepRecord& step, const double* y_new,
                      absl::Span<const double> /*saved_theta*/) override {
    if (cuts_.Starts(step.t)) RETURN_IF_ERROR(StartSegment(step.y));
    RETURN_IF_ERROR(PushTime(step.t_next));
    std::copy_n(y_new, n_, storage_.state(last_));
    // Known only at the end, and then better said before the way back.
    return step.t_next == input_.problem.t1[0] ? CheckLongest() : absl::OkStatus();
  }

  absl::Span<const double> times() const override { return {times_.data(), times_.size()}; }
  absl::Span<const double> last_state() const override {
    return {storage_.state(last_), static_cast<size_t>(input_.problem.field->num_states())};
  }

  absl::Status BeginWalk() override {
    if (num_steps() > 0) RETURN_IF_ERROR(Prepare());
    segment_ = starts_.size();
    first_ = left_ = num_steps();
    fills_ = false;
    return absl::OkStatus();
  }

  absl::Status Next(const StepInHand& hand, StepTask* task) override {
    if (fills_) {
      CopyLane(hand.y(), hand.lanes(), n_, states_.get() + held_ * n_);
      CopyLane(hand.stages(), hand.lanes(), stage_values_, stages_.get() + held_ * stage_values_);
      ++held_;
    } else if (left_ == first_) {
      if (segment_ == 0) {
        task->kind = StepTask::Kind::kDone;
        return absl::OkStatus();
      }
      first_ = starts_[--segment_].step;
      held_ = 0;
      fills_ = true;
    }
    if (fills_ && first_ + held_ < left_) {
      const double* from = held_ == 0 ? storage_.state(starts_[segment_].slot) : nullptr;
      *task = {.kind = StepTask::Kind::kTry, .step = first_ + held_, .y = from};
      return absl::OkStatus();
    }
    fills_ = false;
    --left_;
    *task = {.kind = StepTask::Kind::kVisit,
             .step = left_,
             .y = states_.get() + (left_ - first_) * n_,
             .stages = stages_.get() + (left_ - first_) * stage_values_};
    return absl::OkStatus();
  }

 protected:
  void AddSizes(AdjointStats* stats) const override {
    stats->peak_stored_bytes = std::max(stats->peak_stored_bytes, peak_bytes_);
  }

 private:
  struct Start {
    int64_t step = 0;
    int64_t slot = 0;
  };

  int64_t MemoryBytes() const { return times_.bytes() + starts_.bytes() + storage_.memory_bytes(); }
  int64_t Places() const { return std::min(segments_, input_.options.max_steps) + 1; }
  int64_t StepBytes() const { return (n_ + stage_values_) * kDouble; }
  int64_t EndOfSegment(size_t k) const {
    return k + 1 < starts_.size() ? starts_[k + 1].step : num_steps();
  }

  // The way forward.

  absl::Status PushTime(double t) {
    RETURN_IF_ERROR(Grow(times_));
    times_.push_back(t);
    return absl::OkStatus();
  }

  template <typename T>
  absl::Status Grow(const CountedVector<T>& vector) {
    const int64_t bytes = MemoryBytes() + vector.bytes_to_push() - vector.bytes();
    if (bytes > budget_) return TooManyStates();
    peak_bytes_ = std::max(peak_bytes_, bytes);
    return absl::OkStatus();
  }

  absl::StatusOr<int64_t> Keep(const double* y) {
    const std::optional<int64_t> slot = storage_.AddInMemory(budget_ - MemoryBytes(), Places());
    if (!slot.has_value()) return TooManyStates();
    peak_bytes_ = std::max(peak_bytes_, MemoryBytes());
    RETURN_IF_ERROR(storage_.Write(*slot, y));
    return *slot;
  }

  absl::Status StartSegment(const double* y) {
    RETURN_IF_ERROR(Grow(starts_));
    ASSIGN_OR_RETURN(const int64_t slot, Keep(y));
    starts_.push_back({.step = num_steps(), .slot = slot});
    return absl::OkStatus();
  }

  absl::Status TooManyStates() const {
    return absl::ResourceExhaustedError(absl::StrCat(
        "a memory budget of ", budget_,
        " bytes does not hold the first states of the segments so "
        "far, ",
        starts_.size() + 2, " states of ", n_ * kDouble, " bytes, and the times of ", times_.size(),
        " steps; ask for fewer segments than ", segments_, ", or raise the budget"));
  }

  int64_t LongestSegment() const {
    int64_t longest = 0;
    for (size_t k = 0; k < starts_.size(); ++k) {
      longest = std::max(longest, EndOfSegment(k) - starts_[k].step);
    }
    return longest;
  }

  absl::Status CheckLongest() const {
    const int64_t longest = LongestSegment();
    const int64_t bytes = MemoryBytes() + longest * StepBytes();
    if (bytes <= budget_) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::optional<int64_t> segments, SegmentsThatFit());
    return absl::ResourceExhaustedError(absl::StrCat(
        "a memory budget of ", budget_, " bytes does not hold the longest of ", segments_,
        " segments, ", longest, " steps of ", StepBytes(),
        " bytes, beside the checkpoints: ", bytes, " bytes in all; ",
        segments.has_value()
            ? absl::StrCat("ask for ", *segments, " segments")
            : std::string("no number of segments fits, ask for the checkpointed method"),
        ", or raise the budget"));
  }

  // What the steps of this solve take with another number of segments.
  int64_t BytesFor(int64_t segments) const {
    SegmentCuts cuts(times_[0], times_.back(), segments);
    int64_t used = 0, length = 0, longest = 0;
    for (int64_t i = 0; i < num_steps(); ++i) {
      if (cuts.Starts(times_[i])) {
        ++used;
        length = 0;
      }
      longest = std::max(longest, ++length);
    }
    const int64_t list = (used * 3 / 2 + 8) * static_cast<int64_t>(sizeof(Start));
    return times_.bytes() + list + storage_.MemoryFor(used + 1, segments + 1) +
           longest * StepBytes();
  }

  // The first that fits of numbers that grow by an eighth. Each is a walk over all steps.
  absl::StatusOr<std::optional<int64_t>> SegmentsThatFit() const {
    StopCheck stop(input_.stop);
    for (int64_t k = 1; k <= 4 * num_steps(); k += std::max<int64_t>(1, k / 8)) {
      RETURN_IF_ERROR(stop.Poll());
      if (BytesFor(k) <= budget_) return k;
    }
    return std::nullopt;
  }

  // The way back.

  absl::Status Prepare() {
    if (states_ != nullptr) return absl::OkStatus();
    RETURN_IF_ERROR(CheckLongest());
    const int64_t longest = LongestSegment();
    states_ = std::make_unique_for_overwrite<double[]>(longest * n_);
    stages_ = std::make_unique_for_overwrite<double[]>(longest * stage_values_);
    peak_bytes_ = std::max(peak_bytes_, MemoryBytes() + longest * StepBytes());
    return absl::OkStatus();
  }

  const AdjointInput input_;
  const int64_t n_;  // doubles a step carries
  const int64_t stage_values_, budget_, segments_;
  SegmentCuts cuts_;
  CountedVector<double> times_;
  CountedVector<Start> starts_;
  CheckpointStorage storage_;
  int64_t last_ = 0;  // place of the last state
  int64_t peak_bytes_ = 0;

  // After the solve.
  std::unique_ptr<double[]> states_, stages_;  // of one segment: [steps, n], [steps, stages, n]
  size_t segment_ = 0;
  int64_t first_ = 0;   // step of the segment
  int64_t held_ = 0;    // steps of it
  int64_t left_ = 0;    // steps before this one are to be visited
  bool fills_ = false;  // the segment is being solved again
};

}  // namespace

absl::StatusOr<std::unique_ptr<StepStore>> MakeSegmentedStore(const AdjointInput& input) {
  return std::make_unique<SegmentedStore>(input);
}

}  // namespace costate

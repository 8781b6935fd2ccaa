// Recursive checkpointing: some states are kept on the way forward (checkpoint_schedule.h), and on
// the way back the steps between two of them are taken again, with the places that have become
// free used for further checkpoints by the binomial rule.
//
// Held: the checkpoints, the last two states, all step times. A second walk finds its checkpoints
// as they were if none had to be used twice; else the places are filled again from the first state
// by the binomial rule, so that a walk never costs more than t(N, c) recomputed steps.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/gradients/checkpoint_schedule.h"
#include "engine/gradients/checkpoint_storage.h"
#include "engine/gradients/counted_vector.h"
#include "engine/gradients/known_steps.h"
#include "engine/gradients/recording_budget.h"
#include "engine/gradients/step_store.h"

namespace costate {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max() / 4;

// The largest number of checkpoints of a walk, when it is known before it.
int64_t CheckpointLimit(const AdjointInput& input, std::optional<int64_t> num_steps, int64_t budget,
                        int64_t state_bytes, int64_t disk_states) {
  const int64_t asked = std::min(input.adjoint.checkpoints, kUnlimited);
  if (!num_steps.has_value()) return asked > 0 ? asked : kUnlimited;
  const int64_t useful = std::max<int64_t>(1, *num_steps);
  if (asked > 0) return std::min(asked, useful);
  constexpr int64_t kEntry = sizeof(Checkpoint);
  const int64_t in_memory = state_bytes + kEntry + CheckpointStorage::kTableBytes;
  const int64_t fixed = (*num_steps + 1) * static_cast<int64_t>(sizeof(double)) +
                        (disk_states > 0 ? 3 : 2) * in_memory;
  const int64_t room = std::max<int64_t>(0, budget - fixed);
  const int64_t on_disk = std::min({disk_states, useful, room / kEntry});
  return std::clamp<int64_t>(on_disk + (room - on_disk * kEntry) / in_memory, 1, useful);
}

class CheckpointedStore : public StepStore {
 public:
  CheckpointedStore(const AdjointInput& input, std::optional<int64_t> num_steps, int64_t budget,
                    int64_t state_bytes, int64_t disk_states)
      : StepStore(state_bytes / static_cast<int64_t>(sizeof(double))),
        input_(input),
        budget_(budget),
        state_bytes_(state_bytes),
        num_steps_(num_steps),
        limit_(CheckpointLimit(input, num_steps, budget, state_bytes, disk_states)),
        storage_(state_bytes / static_cast<int64_t>(sizeof(double)),
                 input.adjoint.scratch_directory, disk_states),
        schedule_(limit_, num_steps) {
    const int64_t most = num_steps.value_or(input.options.max_steps) + 1;
    times_.set_limit(most);
    // Checkpoints that can give way to step times later leave them some room to begin with.
    if (!num_steps.has_value() && (!asked() || disk_states > 0)) {
      times_reserve_ = std::min<double>(0.25 * static_cast<double>(budget),
                                        2 * sizeof(double) * static_cast<double>(most));
    }
  }

  absl::Status Begin(double t0, const double* y0) override {
    if (num_steps_.has_value()) {
      const int64_t time_bytes = (*num_steps_ + 1) * static_cast<int64_t>(sizeof(double));
      if (time_bytes > budget_) return DoesNotFit(time_bytes);
      times_.Reserve(*num_steps_ + 1);
      const int64_t list_bytes = limit_ * static_cast<int64_t>(sizeof(Checkpoint));
      if (MemoryBytes() + list_bytes > budget_) return asked() ? TooMany() : DoesNotFit(time_bytes);
      schedule_.checkpoints().Reserve(limit_);
    }
    RETURN_IF_ERROR(PushTime(t0));
    for (int64_t* slot : {&hand_, &last_}) {
      const std::optional<int64_t> place = storage_.AddInMemory(budget_ - MemoryBytes(), Places());
      if (!place.has_value()) return DoesNotFit(times_.bytes());
      *slot = *place;
    }
    const std::optional<int64_t> first = NewPlace();
    if (!first.has_value()) return DoesNotFit(times_.bytes());
    RETURN_IF_ERROR(storage_.Write(last_, y0));
    RETURN_IF_ERROR(storage_.Write(*first, y0));
    schedule_.Begin(*first);
    NotePeak(MemoryBytes());
    return absl::OkStatus();
  }

  absl::Status Accept(const StepRecord& step, const double* y_new,
                      absl::Span<const double> /*saved_theta*/) override {
    RETURN_IF_ERROR(PushTime(step.t_next));
    ASSIGN_OR_RETURN(const int64_t free, PassHand(num_steps() - 2));
    hand_ = last_;
    last_ = free;
    return storage_.Write(last_, y_new);
  }

  absl::Span<const double> times() const override { return {times_.data(), times_.size()}; }
  absl::Span<const double> last_state() const override {
    return {storage_.state(last_), static_cast<size_t>(input_.problem.field->num_states())};
  }

  absl::Status BeginWalk() override {
    if (places_ == 0) {
      schedule_.Sort();
      places_ = first_height_ = schedule_.size();
    }
    end_ = num_steps();
    fills_again_ = disturbed_;
    height_ = disturbed_ ? 1 : first_height_;
    runs_ = false;
    return absl::OkStatus();
  }

  absl::Status Next(const StepInHand& hand, StepTask* task) override {
    if (end_ == 0) {
      task->kind = StepTask::Kind::kDone;
      return absl::OkStatus();
    }
    if (!runs_) RETURN_IF_ERROR(StartRun());
    if (at_ == place_) RETURN_IF_ERROR(Place(hand));
    if (fills_again_ && place_ == kNowhere) {
      first_height_ = height_;
      disturbed_ = fills_again_ = false;
      RETURN_IF_ERROR(StartRun());
    }
    if (at_ < end_) {
      *task = {.kind = StepTask::Kind::kTry, .step = at_++, .y = from_};
      from_ = nullptr;
      return absl::OkStatus();
    }
    *task = {.kind = StepTask::Kind::kVisit, .step = --end_};
    runs_ = false;
    return absl::OkStatus();
  }

 protected:
  void AddSizes(AdjointStats* stats) const override {
    stats->peak_stored_bytes = std::max(stats->peak_stored_bytes, peak_bytes_);
    stats->disk_bytes = std::max(stats->disk_bytes, storage_.disk_bytes());
  }

 private:
  bool asked() const { return input_.adjoint.checkpoints > 0; }
  int64_t Places() const { return limit_ + 2; }  // with the last two states
  CountedVector<Checkpoint>& checkpoints() { return schedule_.checkpoints(); }

  int64_t MemoryBytes() const {
    return times_.bytes() + schedule_.checkpoints().bytes() + storage_.memory_bytes();
  }
  void NotePeak(int64_t bytes) { peak_bytes_ = std::max(peak_bytes_, bytes); }

  // The way forward.

  absl::Status PushTime(double t) {
    if (times_.bytes_to_push() > times_.bytes()) {
      const int64_t more = times_.bytes_to_push() - times_.bytes();
      while (MemoryBytes() + more > budget_) {
        RETURN_IF_ERROR(GiveWay(MemoryBytes() + more - budget_));
      }
      NotePeak(MemoryBytes() + more);
    }
    times_.push_back(t);
    return absl::OkStatus();
  }

  // The solve goes on from the state of `step`, the one in hand. The place in memory that is free
  // then.
  absl::StatusOr<int64_t> PassHand(int64_t step) {
    if (step <= 0) return hand_;  // the first state is kept already
    int64_t place = 0;
    switch (schedule_.Pass(step)) {
      case CheckpointSchedule::Fate::kDrop:
        return hand_;
      case CheckpointSchedule::Fate::kReplace:
        place = schedule_.replaced().slot;
        break;
      case CheckpointSchedule::Fate::kAdd: {
        const std::optional<int64_t> added = NewPlace();
        if (!added.has_value()) {
          if (asked()) return TooMany();
          schedule_.StopGrowing();
          return PassHand(step);
        }
        place = *added;
        break;
      }
    }
    if (CheckpointStorage::OnDisk(place)) {
      RETURN_IF_ERROR(storage_.Write(place, storage_.state(hand_)));
      std::swap(place, hand_);
    }
    schedule_.Keep(step, hand_);
    return place;
  }

  // For one more checkpoint.
  std::optional<int64_t> NewPlace() {
    const int64_t list = checkpoints().bytes_to_push();
    const int64_t held = std::max(times_.bytes(), times_reserve_) + list + storage_.memory_bytes();
    if (held > budget_) return std::nullopt;
    std::optional<int64_t> place = storage_.AddInMemory(budget_ - held, Places());
    if (!place.has_value() && storage_.disk_has_room()) place = storage_.AddOnDisk();
    NotePeak(times_.bytes() + list + storage_.memory_bytes());
    return place;
  }

  // Frees about `bytes` of memory for step times.
  absl::Status GiveWay(int64_t bytes) {
    if (schedule_.size() == 0) return DoesNotFit(times_.bytes_to_push());
    const auto in_memory = [this] {
      return std::count_if(checkpoints().begin(), checkpoints().end(),
                           [](const Checkpoint& c) { return !CheckpointStorage::OnDisk(c.slot); });
    };
    // Memory comes back by chunks, and rounds cost O(checkpoints).
    const int64_t count = bytes / state_bytes_ + storage_.per_chunk() + schedule_.size() / 64;
    if (in_memory() > 0 && storage_.disk_has_room()) {
      RETURN_IF_ERROR(MoveToDisk(count));
    } else if (!asked() && schedule_.size() > 1) {
      schedule_.Thin(std::min(count, schedule_.size() - 1), [this](const Checkpoint& c) {
        if (CheckpointStorage::OnDisk(c.slot)) storage_.FreeOnDisk(c.slot);
      });
    } else {
      return asked() && schedule_.size() > 1 ? TooMany() : DoesNotFit(times_.bytes_to_push());
    }
    storage_.Compact(in_memory() + 2, [this](CheckpointStorage::SlotVisitor visit) {
      visit(hand_);
      visit(last_);
      for (Checkpoint& c : checkpoints()) visit(c.slot);
    });
    const int64_t shorter = schedule_.size() * static_cast<int64_t>(sizeof(Checkpoint));
    if (MemoryBytes() + shorter <= budget_) checkpoints().ShrinkToFit();
    return absl::OkStatus();
  }

  absl::Status MoveToDisk(int64_t count) {
    for (Checkpoint& c : checkpoints()) {
      if (count == 0 || !storage_.disk_has_room()) break;
      if (CheckpointStorage::OnDisk(c.slot)) continue;
      const int64_t place = storage_.AddOnDisk();
      RETURN_IF_ERROR(storage_.Write(place, storage_.state(c.slot)));
      c.slot = place;
      --count;
    }
    return absl::OkStatus();
  }

  absl::Status DoesNotFit(int64_t time_bytes) const {
    return absl::ResourceExhaustedError(
        absl::StrCat("a memory budget of ", budget_, " bytes does not hold the step times, ",
                     time_bytes, " bytes, and three states of ", state_bytes_,
                     " bytes, the least that checkpoints need; raise it to more than ",
                     time_bytes + 3 * state_bytes_ + storage_.memory_bytes(),
                     " bytes, or take larger steps or a shorter span"));
  }
  absl::Status TooMany() const {
    return absl::ResourceExhaustedError(absl::StrCat(
        "a memory budget of ", budget_, " bytes does not hold ", input_.adjoint.checkpoints,
        " checkpoints of ", state_bytes_, " bytes beside the times of ", times_.size(),
        " steps; it holds about ",
        std::max<int64_t>(1, (budget_ - 2 * times_.bytes()) / (state_bytes_ + kPerCheckpoint) - 2),
        ": ask for fewer, for as many as fit (0), for a larger budget, or for room on disk"));
  }

  // The way back, in runs: each takes steps again from a checkpoint to the step to be visited,
  // whose stages cost less there than in the replay. The first height_ checkpoints are valid; later
  // places are free.

  absl::Status StartRun() {
    runs_ = true;
    place_ = kNowhere;
    if (end_ == num_steps() && !fills_again_) {
      at_ = end_ - 1;
      from_ = storage_.state(hand_);
      return absl::OkStatus();
    }
    const Checkpoint& top = checkpoints()[height_ - 1];
    ASSIGN_OR_RETURN(from_, storage_.Read(top.slot));
    at_ = top.step;
    if (at_ + 1 < end_) {
      ChoosePlace();
    } else if (!fills_again_) {
      height_ = std::max<int64_t>(1, height_ - 1);  // its place is free
    }
    return absl::OkStatus();
  }

  // For the next checkpoint on the way from the start of step at_.
  void ChoosePlace() {
    place_ = kNowhere;
    if (height_ >= places_ || end_ - at_ <= 1) return;
    const int64_t step = at_ + BinomialSplit(end_ - at_, places_ - height_ + 1);
    if (step < end_ - 1) place_ = step;
  }

  absl::Status Place(const StepInHand& hand) {
    state_.resize(storage_.num_states());
    CopyLane(hand.y_new(), hand.lanes(), storage_.num_states(), state_.data());
    Checkpoint& free = checkpoints()[height_++];
    free.step = at_;
    disturbed_ = true;
    RETURN_IF_ERROR(storage_.Write(free.slot, state_.data()));
    ChoosePlace();
    return absl::OkStatus();
  }

  // A checkpoint's entry in the list, which may double, and in the table of chunks.
  static constexpr int64_t kPerCheckpoint = 2 * sizeof(Checkpoint) + CheckpointStorage::kTableBytes;

  const AdjointInput input_;
  const int64_t budget_, state_bytes_;
  const std::optional<int64_t> num_steps_;  // known before the solve
  const int64_t limit_;                     // of checkpoints
  int64_t times_reserve_ = 0;
  CountedVector<double> times_;
  CheckpointStorage storage_;
  CheckpointSchedule schedule_;
  int64_t hand_ = 0;  // places of the state before the last, and of the last
  int64_t last_ = 0;
  int64_t peak_bytes_ = 0;

  // After the solve.
  int64_t places_ = 0;        // of checkpoints, free or not
  int64_t first_height_ = 0;  // valid checkpoints at the start of a walk
  bool disturbed_ = false;    // a place was used twice

  // The walk.
  static constexpr int64_t kNowhere = -1;
  int64_t end_ = 0;  // steps before this one are to be visited
  int64_t height_ = 0;
  bool fills_again_ = false;      // all places from the first state, before anything else
  bool runs_ = false;             // a run is going on
  int64_t at_ = 0;                // next step of the run
  const double* from_ = nullptr;  // where it starts
  int64_t place_ = kNowhere;      // step whose start is to be kept
  std::vector<double> state_;     // of it
};

}  // namespace

absl::StatusOr<std::unique_ptr<StepStore>> MakeCheckpointedStore(const AdjointInput& input) {
  const int64_t state_bytes =
      CarriedSize(input.options.scheme(), input.problem.field->num_states()) * sizeof(double);
  const int64_t disk_states =
      input.adjoint.scratch_directory.empty() ? 0 : input.adjoint.max_disk_bytes / state_bytes;
  return std::make_unique<CheckpointedStore>(
      input, KnownNumberOfSteps(input.problem, input.options), RecordingBudget(input.adjoint),
      state_bytes, disk_states);
}

}  // namespace costate

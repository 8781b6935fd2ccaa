#include "engine/gradients/checkpoint_schedule.h"

#include <algorithm>
#include <limits>

namespace costate {
namespace {

constexpr int64_t kFirstLevel = std::numeric_limits<int64_t>::max();

// a * b / divisor, which is whole, or `cap` if that is less.
int64_t Scaled(int64_t a, int64_t b, int64_t divisor, int64_t cap) {
  const __int128 value = static_cast<__int128>(a) * b / divisor;
  return value > cap ? cap : static_cast<int64_t>(value);
}

}  // namespace

// With b(s, r) = C(s + r, s): the cost t(., s) is convex, with slope r on [b(s, r - 1), b(s, r)].
// t(l, s) = min over m of m + t(m, s) + t(l - m, s - 1) is taken where the slopes balance: m in
// [b(s, r - 2), b(s, r - 1)] and l - m in [b(s - 1, r - 1), b(s - 1, r)]. The largest such m here.
int64_t BinomialSplit(int64_t length, int64_t checkpoints) {
  const int64_t s = checkpoints;
  int64_t before = 0;  // b(s, r - 1)
  int64_t here = 1;    // b(s, r)
  int64_t r = 0;
  while (here < length) {
    ++r;
    before = here;
    here = Scaled(here, s + r, r, length);
  }
  // b(s - 1, r - 1) = b(s, r - 1) s / (s + r - 1).
  const int64_t rest = Scaled(before, s, s + r - 1, length);
  return std::clamp<int64_t>(std::min(before, length - rest), 1, length - 1);
}

CheckpointSchedule::CheckpointSchedule(int64_t limit, std::optional<int64_t> num_steps)
    : limit_(limit), num_steps_(num_steps) {
  checkpoints_.set_limit(limit);
}

void CheckpointSchedule::Begin(int64_t slot) {
  checkpoints_.push_back({.step = 0, .slot = slot, .level = kFirstLevel});
  spare_begin_ = 1;
  ChooseNext();
}

void CheckpointSchedule::ChooseNext() {
  if (!num_steps_.has_value()) return;
  const int64_t from = checkpoints_.back().step;
  const int64_t left = limit_ - size() + 1;
  const int64_t length = *num_steps_ - from;
  next_step_ = left > 1 && length > 1 ? from + BinomialSplit(length, left) : -1;
}

CheckpointSchedule::Fate CheckpointSchedule::Pass(int64_t step) {
  if (num_steps_.has_value()) return step == next_step_ ? Fate::kAdd : Fate::kDrop;
  if (size() < limit_) return Fate::kAdd;
  if (spares_ > 0) return Fate::kReplace;
  ++hand_level_;
  spare_begin_ = size();
  while (checkpoints_[spare_begin_ - 1].level < hand_level_) --spare_begin_;
  spares_ = size() - spare_begin_;
  return Fate::kDrop;
}

void CheckpointSchedule::Keep(int64_t step, int64_t slot) {
  const Checkpoint kept = {.step = step, .slot = slot, .level = hand_level_};
  hand_level_ = 0;
  if (spares_ == 0) {
    checkpoints_.push_back(kept);
    ChooseNext();
    return;
  }
  checkpoints_[Top()] = kept;
  if (--spares_ == 0) std::reverse(checkpoints_.begin() + spare_begin_, checkpoints_.end());
}

void CheckpointSchedule::StopGrowing() {
  limit_ = size();
  next_step_ = -1;
}

void CheckpointSchedule::Sort() {
  if (spares_ == 0) return;
  std::reverse(checkpoints_.begin() + spare_begin_ + spares_, checkpoints_.end());
  spares_ = 0;
}

// Spares first: the latest of them would be the next to go. Then evenly among the lowest level,
// which is at the end; short gaps there cost little.
void CheckpointSchedule::Thin(int64_t count,
                              absl::FunctionRef<void(const Checkpoint& given_up)> tell) {
  const int64_t spares = std::min(count, spares_);
  Erase(spare_begin_ + spares_ - spares, spares, spares, tell);
  spares_ -= spares;
  count -= spares;
  if (spares_ == 0 && spares > 0)
    std::reverse(checkpoints_.begin() + spare_begin_, checkpoints_.end());
  while (count > 0) {
    int64_t first = size() - 1;
    while (first > 1 && checkpoints_[first - 1].level == checkpoints_.back().level) --first;
    const int64_t here = std::min(count, size() - first);
    Erase(first, size() - first, here, tell);
    count -= here;
  }
  StopGrowing();
}

// Erases `count` of the `length` checkpoints from `first` on, evenly; the first stays if any does.
void CheckpointSchedule::Erase(int64_t first, int64_t length, int64_t count,
                               absl::FunctionRef<void(const Checkpoint&)> tell) {
  int64_t to = first;
  for (int64_t i = 0; i < size() - first; ++i) {
    const Checkpoint& c = checkpoints_[first + i];
    const int64_t kept = length - count;
    const bool keep =
        i >= length || (i * kept + length - 1) / length != ((i + 1) * kept + length - 1) / length;
    if (keep) {
      checkpoints_[to++] = c;
    } else {
      tell(c);
    }
  }
  checkpoints_.resize(to);
}

}  // namespace costate

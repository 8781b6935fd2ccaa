// Where checkpoints go: which of the states passed on the way forward are kept in a limited number
// of places, so that little has to be computed again on the way back.
//
// l steps can be reversed from c checkpoints (the first state among them) with
//   t(l, c) = r l - C(c + r, r - 1) repeated steps, r the least number with l <= C(c + r, c),
// and no fewer (Griewank and Walther 2000, "Algorithm 799: revolve", TOMS 26(1)). That counts the
// first way from the first state to the start of the last step.
#ifndef COSTATE_ENGINE_GRADIENTS_CHECKPOINT_SCHEDULE_H_
#define COSTATE_ENGINE_GRADIENTS_CHECKPOINT_SCHEDULE_H_

#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "engine/gradients/counted_vector.h"

namespace costate {

// The number of steps from a checkpoint to the next one, of `length` >= 2 steps that are to be
// reversed with `checkpoints` >= 2, that at the start included. In [1, length). O(r).
int64_t BinomialSplit(int64_t length, int64_t checkpoints);

// A kept state: y at the start of step `step`, in place `slot`.
struct Checkpoint {
  int64_t step = 0;
  int64_t slot = 0;
  int64_t level = 0;
};

// Chooses checkpoints among the states of a solve as they pass, at most `limit` >= 1 at any time,
// the first state always among them. The last state passed is in hand besides.
//
// Known number of steps: the binomial places. Unknown: each checkpoint has a level, and one that
// is followed by a higher level may be given up for a new one; when there is none, the state in
// hand gives way and its successor gets the next level (Wang, Moin and Iaccarino 2009, SIAM J. Sci.
// Comput. 31(4)). No step then has to be repeated more often than with the best places for the
// number of steps it came to. Up to (c + 1)(c + 2) / 2 steps the places are those of Algorithm I of
// Stumm and Walther 2010 (SIAM J. Sci. Comput. 32(2)), and as good as the binomial ones.
//
// O(1) for a state, amortised. Thread-safety: one thread.
class CheckpointSchedule {
 public:
  CheckpointSchedule(int64_t limit, std::optional<int64_t> num_steps);

  // The first state is in `slot`.
  void Begin(int64_t slot);

  // The state of step `step` = 1, 2, ... was in hand and the solve goes on from there.
  enum class Fate {
    kDrop,     // it is not needed
    kAdd,      // it becomes one more checkpoint
    kReplace,  // it takes the place of the checkpoint replaced()
  };
  Fate Pass(int64_t step);
  // After kAdd or kReplace: in which place.
  void Keep(int64_t step, int64_t slot);
  const Checkpoint& replaced() const { return checkpoints_[Top()]; }
  // Instead of Keep after kAdd: there is no place for more checkpoints than there are. Pass is then
  // to be asked again.
  void StopGrowing();

  // Gives up `count` checkpoints, less than size(), tells which, and grows no more.
  void Thin(int64_t count, absl::FunctionRef<void(const Checkpoint& given_up)> tell);

  int64_t size() const { return static_cast<int64_t>(checkpoints_.size()); }
  // Puts the checkpoints in order of steps, at the end of the way forward.
  void Sort();
  CountedVector<Checkpoint>& checkpoints() { return checkpoints_; }
  const CountedVector<Checkpoint>& checkpoints() const { return checkpoints_; }

 private:
  void ChooseNext();
  void Erase(int64_t first, int64_t length, int64_t count,
             absl::FunctionRef<void(const Checkpoint&)> tell);
  int64_t Top() const { return spare_begin_ + spares_ - 1; }

  int64_t limit_;
  const std::optional<int64_t> num_steps_;
  int64_t next_step_ = 0;   // known number of steps: the next checkpoint
  int64_t hand_level_ = 0;  // unknown: level of the state in hand
  // By step, except that [spare_begin_, + spares_) may be given up, and what follows those came
  // later, the last first.
  CountedVector<Checkpoint> checkpoints_;
  int64_t spare_begin_ = 0, spares_ = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_CHECKPOINT_SCHEDULE_H_

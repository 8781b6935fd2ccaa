// The way back through the steps of finished solves, as their stores plan it: of one trajectory, or
// of several in lanes.
#ifndef COSTATE_ENGINE_GRADIENTS_STEP_WALKER_H_
#define COSTATE_ENGINE_GRADIENTS_STEP_WALKER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/kernel.h"
#include "engine/gradients/step_store.h"
#include "engine/gradients/stop_check.h"
#include "engine/solvers/stepper.h"

namespace costate {

// Takes steps again and back, W lanes at once. Lanes with a step to be pulled back wait while those
// still without one are more. A trajectory's steps have the same bits in any lane. Thread-safety:
// one thread.
class StepWalker {
 public:
  // `field` and `stop` outlive the walker; `lanes` is 1 or field.simd_lanes().
  StepWalker(const Scheme& scheme, const VectorField& field, int lanes, const StopSource* stop);

  int lanes() const { return W_; }

  // Starts a walk of `store` in a lane, with the next Work. `params` [m] and the store outlive it.
  absl::Status Begin(int lane, StepStore* store, const double* params);

  // Until lanes are ready: the steps that were in hand have been pulled back. CANCELLED,
  // DEADLINE_EXCEEDED or UNAVAILABLE as StopCheck.
  absl::Status Work();

  // Whether a step of the lane's trajectory is in hand, and which.
  bool ready(int lane) const { return lanes_[lane].state == State::kReady; }
  int64_t step(int lane) const { return lanes_[lane].task.step; }
  // Whether a walk is going on in the lane.
  bool walks(int lane) const { return lanes_[lane].state != State::kIdle; }

  // The steps in hand, until the next call: with one lane, and with more.
  const StepRecord& record() const { return record_; }
  const LaneSteps& steps() const { return steps_; }

 private:
  enum class State { kIdle, kStarts, kWorks, kReady };
  struct Lane {
    State state = State::kIdle;
    StepStore* store = nullptr;
    const double* params = nullptr;
    absl::Span<const double> times;
    StepTask task;
    StepTask::Kind last = StepTask::Kind::kDone;  // kTry or kUndo
    bool has_stages = false;                      // of the step in hand
  };

  StepInHand InHand(int l) const;
  absl::Status NextTask(int l);
  void TakeInHand(int l);
  absl::Status WorkAlone();
  absl::Status TryAlone();
  void CountAlone();
  absl::Status TryAll();
  absl::Status UndoAll();
  absl::Status NextTasks(StepTask::Kind done);
  absl::Status MakeInverse();
  void ShowRecord();
  absl::Status ShowSteps();
  absl::Status AddStages();
  bool Wants(int l, StepTask::Kind kind) const {
    return lanes_[l].state == State::kWorks && lanes_[l].task.kind == kind;
  }
  void CopyColumn(const double* from, int64_t count, int l, double* to) const {
    for (int64_t i = 0; i < count; ++i) to[i * W_ + l] = from[i];
  }
  void MoveColumn(const std::vector<double>& from, int l, std::vector<double>* to) const {
    for (size_t i = l; i < from.size(); i += W_) (*to)[i] = from[i];
  }

  const Scheme scheme_;
  const VectorField& field_;
  const int W_;
  const int64_t carried_, stage_values_;  // doubles of a lane
  StopCheck stop_;
  std::vector<Lane> lanes_;

  // Made when needed.
  std::unique_ptr<Stepper> stepper_;     // of steps tried
  std::unique_ptr<Stepper> for_stages_;  // of steps whose stages are not kept
  std::unique_ptr<StepInverse> inverse_;
  double try_end_[kMaxLanes] = {};
  bool advance_[kMaxLanes] = {};
  int64_t counted_ = 0;  // evaluations of a lane alone since its last Resume
  double undo_t_[kMaxLanes] = {}, undo_end_[kMaxLanes] = {};
  std::vector<double> hand_, stages_;              // [carried][n][W], [stages][n][W]
  std::vector<double> other_hand_, other_stages_;  // while some lanes wait

  double t_[kMaxLanes] = {}, h_[kMaxLanes] = {}, t_next_[kMaxLanes] = {};
  StepRecord record_;
  LaneSteps steps_;
};

// Walks one trajectory back: visit(i, step) for i = N - 1 .. 0. An error of `visit` ends the walk
// and is returned. `walker` has one lane.
absl::Status WalkBack(StepWalker& walker, StepStore& store, const double* params,
                      absl::FunctionRef<absl::Status(int64_t i, const StepRecord& step)> visit);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_STEP_WALKER_H_

#include "engine/gradients/step_walker.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"

namespace costate {

StepWalker::StepWalker(const Scheme& scheme, const VectorField& field, int lanes,
                       const StopSource* stop)
    : scheme_(scheme),
      field_(field),
      W_(lanes),
      carried_(CarriedSize(scheme, field.num_states())),
      stage_values_(GetMethodInfo(scheme).stages * field.num_states()),
      stop_(stop),
      lanes_(lanes) {}

absl::Status StepWalker::Begin(int lane, StepStore* store, const double* params) {
  lanes_[lane] = {
      .state = State::kStarts, .store = store, .params = params, .times = store->times()};
  if (inverse_ != nullptr) inverse_->SetParams(lane, params);
  if (for_stages_ != nullptr) for_stages_->Resume(lane, 0, hand_.data(), params);
  return store->BeginWalk();
}

absl::Status StepWalker::Work() {
  if (W_ == 1) return WorkAlone();
  for (int l = 0; l < W_; ++l) {
    if (ready(l) || lanes_[l].state == State::kStarts) RETURN_IF_ERROR(NextTask(l));
  }
  while (true) {
    RETURN_IF_ERROR(stop_.Poll());
    int work = 0, wait = 0;
    for (int l = 0; l < W_; ++l) {
      work += lanes_[l].state == State::kWorks ? 1 : 0;
      wait += ready(l) ? 1 : 0;
    }
    if (wait >= work) break;
    RETURN_IF_ERROR(TryAll());
    RETURN_IF_ERROR(UndoAll());
  }
  return ShowSteps();
}

// What Work is for several lanes; short steps take little more time than this.
absl::Status StepWalker::WorkAlone() {
  RETURN_IF_ERROR(stop_.Poll());
  RETURN_IF_ERROR(NextTask(0));
  while (lanes_[0].state == State::kWorks) {
    if (lanes_[0].task.kind == StepTask::Kind::kTry) {
      RETURN_IF_ERROR(TryAlone());
    } else {
      RETURN_IF_ERROR(UndoAll());
    }
    RETURN_IF_ERROR(stop_.Poll());
  }
  if (ready(0)) {
    ShowRecord();
  } else if (stepper_ != nullptr) {
    CountAlone();
  }
  return absl::OkStatus();
}

absl::Status StepWalker::TryAlone() {
  if (stepper_ == nullptr) {
    ASSIGN_OR_RETURN(stepper_, MakeStepper(scheme_, field_, 1));
  }
  Lane& lane = lanes_[0];
  const StepTask& task = lane.task;
  if (task.y != nullptr) {
    CountAlone();
    stepper_->Resume(0, lane.times[task.step], task.y, lane.params);
    counted_ = stepper_->rhs_evaluations(0);
  } else {
    constexpr bool kAdvance[] = {true};
    stepper_->Advance(kAdvance);
  }
  stepper_->Step(&lane.times[task.step + 1]);
  lane.store->CountWork(1, 0);
  lane.last = StepTask::Kind::kTry;
  lane.has_stages = true;
  return NextTask(0);
}

void StepWalker::CountAlone() {
  const int64_t evaluations = stepper_->rhs_evaluations(0);
  lanes_[0].store->CountWork(0, evaluations - counted_);
  counted_ = evaluations;
}

StepInHand StepWalker::InHand(int l) const {
  if (lanes_[l].last == StepTask::Kind::kUndo) return StepInHand(hand_.data(), W_, l);
  if (lanes_[l].last == StepTask::Kind::kTry) return StepInHand(*stepper_, l);
  return StepInHand();
}

absl::Status StepWalker::NextTask(int l) {
  Lane& lane = lanes_[l];
  RETURN_IF_ERROR(lane.store->Next(InHand(l), &lane.task));
  switch (lane.task.kind) {
    case StepTask::Kind::kTry:
    case StepTask::Kind::kUndo:
      lane.state = State::kWorks;
      break;
    case StepTask::Kind::kVisit:
      lane.state = State::kReady;
      TakeInHand(l);
      break;
    case StepTask::Kind::kDone:
      lane.state = State::kIdle;
      break;
  }
  return absl::OkStatus();
}

void StepWalker::TakeInHand(int l) {
  Lane& lane = lanes_[l];
  t_[l] = lane.times[lane.task.step];
  t_next_[l] = lane.times[lane.task.step + 1];
  h_[l] = t_next_[l] - t_[l];
  if (lane.task.y == nullptr) {
    // That step was to be taken anyway.
    if (lane.last == StepTask::Kind::kTry) lane.store->CountWork(-1, 0);
    return;
  }
  lane.has_stages = lane.task.stages != nullptr;
  if (W_ == 1) return;
  hand_.resize(carried_ * W_);
  stages_.resize(stage_values_ * W_);
  CopyColumn(lane.task.y, carried_, l, hand_.data());
  if (lane.has_stages) CopyColumn(lane.task.stages, stage_values_, l, stages_.data());
}

// Lanes that wait with a step tried try it once more, to the same end.
absl::Status StepWalker::TryAll() {
  bool any = false;
  for (int l = 0; l < W_; ++l) {
    const bool tries = Wants(l, StepTask::Kind::kTry);
    any = any || tries;
    advance_[l] = tries && lanes_[l].task.y == nullptr;
  }
  if (!any) return absl::OkStatus();
  if (stepper_ == nullptr) {
    ASSIGN_OR_RETURN(stepper_, MakeStepper(scheme_, field_, W_));
  }
  stepper_->Advance(advance_);
  int64_t before[kMaxLanes];
  for (int l = 0; l < W_; ++l) {
    if (!Wants(l, StepTask::Kind::kTry)) continue;
    Lane& lane = lanes_[l];
    const StepTask& task = lane.task;
    if (task.y != nullptr) stepper_->Resume(l, lane.times[task.step], task.y, lane.params);
    try_end_[l] = lane.times[task.step + 1];
    before[l] = stepper_->rhs_evaluations(l);
  }
  stepper_->Step(try_end_);
  for (int l = 0; l < W_; ++l) {
    if (!Wants(l, StepTask::Kind::kTry)) continue;
    Lane& lane = lanes_[l];
    lane.store->CountWork(1, stepper_->rhs_evaluations(l) - before[l]);
    lane.last = StepTask::Kind::kTry;
    lane.has_stages = true;
  }
  return NextTasks(StepTask::Kind::kTry);
}

absl::Status StepWalker::UndoAll() {
  bool any = false, all = true;
  for (int l = 0; l < W_; ++l) {
    const bool undoes = Wants(l, StepTask::Kind::kUndo);
    any = any || undoes;
    all = all && (undoes || !walks(l));
  }
  if (!any) return absl::OkStatus();
  if (inverse_ == nullptr) RETURN_IF_ERROR(MakeInverse());
  for (int l = 0; l < W_; ++l) {
    if (!Wants(l, StepTask::Kind::kUndo)) continue;
    const Lane& lane = lanes_[l];
    undo_t_[l] = lane.times[lane.task.step];
    undo_end_[l] = lane.times[lane.task.step + 1];
    if (lane.task.y != nullptr) CopyColumn(lane.task.y, carried_, l, hand_.data());
  }
  const int64_t before = inverse_->rhs_evaluations();
  bool has_stages = false;
  if (all) {
    has_stages = inverse_->Undo(undo_t_, undo_end_, hand_.data(), hand_.data(), stages_.data());
  } else {
    other_hand_.resize(hand_.size());
    other_stages_.resize(stages_.size());
    has_stages =
        inverse_->Undo(undo_t_, undo_end_, hand_.data(), other_hand_.data(), other_stages_.data());
  }
  const int64_t evaluations = inverse_->rhs_evaluations() - before;
  for (int l = 0; l < W_; ++l) {
    if (!Wants(l, StepTask::Kind::kUndo)) continue;
    Lane& lane = lanes_[l];
    lane.store->CountWork(0, evaluations);
    lane.last = StepTask::Kind::kUndo;
    lane.has_stages = has_stages;
    if (all) continue;
    MoveColumn(other_hand_, l, &hand_);
    if (has_stages) MoveColumn(other_stages_, l, &stages_);
  }
  return NextTasks(StepTask::Kind::kUndo);
}

absl::Status StepWalker::MakeInverse() {
  ASSIGN_OR_RETURN(inverse_, MakeStepInverse(scheme_, field_, W_));
  hand_.resize(carried_ * W_);
  stages_.resize(stage_values_ * W_);
  for (int l = 0; l < W_; ++l) {
    if (walks(l)) inverse_->SetParams(l, lanes_[l].params);
  }
  return absl::OkStatus();
}

absl::Status StepWalker::NextTasks(StepTask::Kind done) {
  bool of[kMaxLanes];
  for (int l = 0; l < W_; ++l) of[l] = Wants(l, done);
  for (int l = 0; l < W_; ++l) {
    if (of[l]) RETURN_IF_ERROR(NextTask(l));
  }
  return absl::OkStatus();
}

void StepWalker::ShowRecord() {
  const Lane& lane = lanes_[0];
  record_ = {.t = t_[0], .h = h_[0], .t_next = t_next_[0]};
  if (lane.task.y != nullptr) {
    record_.y = lane.task.y;
    record_.stages = lane.task.stages;
  } else if (lane.last == StepTask::Kind::kTry) {
    record_.y = stepper_->y();
    record_.stages = stepper_->stages();
  } else {
    record_.y = hand_.data();
    record_.stages = lane.has_stages ? stages_.data() : nullptr;
  }
}

absl::Status StepWalker::ShowSteps() {
  steps_ = {.t = t_, .h = h_, .t_next = t_next_, .y = hand_.data(), .stages = stages_.data()};
  bool tried = false, lacks = false;
  for (int l = 0; l < W_; ++l) {
    if (!ready(l)) continue;
    tried = tried || (lanes_[l].task.y == nullptr && lanes_[l].last == StepTask::Kind::kTry);
    lacks = lacks || !lanes_[l].has_stages;
  }
  if (tried) {  // then all of them: a store visits what it tried, or never
    steps_.y = stepper_->y();
    steps_.stages = stepper_->stages();
    return absl::OkStatus();
  }
  return lacks ? AddStages() : absl::OkStatus();
}

// With the bits of StepReplay, which recomputes them for a single lane.
absl::Status StepWalker::AddStages() {
  if (for_stages_ == nullptr) {
    ASSIGN_OR_RETURN(for_stages_, MakeStepper(scheme_, field_, W_));
    for (int l = 0; l < W_; ++l) {
      if (walks(l)) for_stages_->Resume(l, 0, hand_.data(), lanes_[l].params);
    }
  }
  int64_t before[kMaxLanes];
  for (int l = 0; l < W_; ++l) before[l] = for_stages_->rhs_evaluations(l);
  for_stages_->MoveTo(t_, hand_.data());
  for_stages_->Step(t_next_);
  const double* stages = for_stages_->stages();
  bool all = true;
  for (int l = 0; l < W_; ++l) {
    if (!ready(l)) continue;
    all = all && !lanes_[l].has_stages;
    if (lanes_[l].has_stages) continue;
    lanes_[l].store->CountWork(0, for_stages_->rhs_evaluations(l) - before[l]);
  }
  if (all) {
    steps_.stages = stages;
    return absl::OkStatus();
  }
  for (int l = 0; l < W_; ++l) {
    if (!ready(l) || lanes_[l].has_stages) continue;
    for (int64_t i = l; i < stage_values_ * W_; i += W_) stages_[i] = stages[i];
  }
  return absl::OkStatus();
}

absl::Status WalkBack(StepWalker& walker, StepStore& store, const double* params,
                      absl::FunctionRef<absl::Status(int64_t i, const StepRecord& step)> visit) {
  RETURN_IF_ERROR(walker.Begin(0, &store, params));
  while (true) {
    RETURN_IF_ERROR(walker.Work());
    if (!walker.walks(0)) return absl::OkStatus();
    RETURN_IF_ERROR(visit(walker.step(0), walker.record()));
  }
}

}  // namespace costate

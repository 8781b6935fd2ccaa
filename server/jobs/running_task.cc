#include "server/jobs/running_task.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>
#include <stdexcept>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "server/convert/status.h"
#include "server/environment.h"
#include "server/jobs/boot_clock.h"
#include "server/jobs/checkpoint.h"
#include "server/jobs/crash_points.h"

namespace costate::jobs {
namespace {

constexpr absl::Duration kFlushEvery = absl::Milliseconds(500);  // progress, to the store
constexpr absl::Duration kYieldPatience = absl::Seconds(2);
constexpr absl::Duration kFirstRetry = absl::Milliseconds(50);
constexpr absl::Duration kLastRetry = absl::Seconds(5);

absl::Status LostStatus() { return absl::AbortedError("the lease of the task is gone"); }

// What may go well later; nothing has changed.
bool IsPassing(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kResourceExhausted;
}

}  // namespace

RunningTask::RunningTask(const WorkerOptions& options, std::string worker, Environment& environment,
                         JobStore& store, JobProgresses& progresses, Claim claim,
                         absl::Duration claimed_at)
    : options_(options),
      worker_(std::move(worker)),
      environment_(environment),
      store_(store),
      claim_(std::move(claim)),
      progress_(progresses.Of(claim_.lease.job)),
      workers_(environment.pool()),
      claimed_at_(claimed_at),
      last_checkpoint_(claimed_at),
      last_flush_(claimed_at) {
  Renewed(claimed_at);
  LogEvent(LogLevel::kInfo, "job_claimed");
}

RunningTask::~RunningTask() {
  if (timer_.has_value()) environment_.timer().Cancel(*timer_);
}

void RunningTask::Renewed(absl::Duration sent_at) {
  fence_ns_ = absl::ToInt64Nanoseconds(sent_at + options_.lease - options_.lease_margin);
}

bool RunningTask::held() const {
  return !lost_ && absl::ToInt64Nanoseconds(BootTime()) < fence_ns_;
}

void RunningTask::Lose() {
  lost_ = true;
  Stop(Cancellation::Reason::kShuttingDown);
}

void RunningTask::Stop(Cancellation::Reason reason) {
  cancellation_.Cancel(reason);
  const std::lock_guard<std::mutex> lock(mutex_);
  stopped_.notify_all();
}

// ---- what runners see

absl::StatusOr<std::vector<TaskResult>> RunningTask::results() {
  return store_.GetResults(claim_.lease.job);
}

absl::Status RunningTask::TakeMemory(int64_t bytes) {
  while (true) {
    absl::StatusOr<MemoryBudget::Hold> hold =
        environment_.memory().Take(bytes, absl::Milliseconds(100));
    if (hold.ok()) {
      memory_ = *std::move(hold);
      return absl::OkStatus();
    }
    if (!WaitToRetry(hold.status())) {
      return cancellation_.cancelled() ? CancellationStatus(cancellation_.reason()) : hold.status();
    }
  }
}

absl::Status RunningTask::Checkpoint(const std::function<std::string()>& state) {
  if (!held()) {
    Lose();
    return LostStatus();
  }
  if (cancellation_.reason() == Cancellation::Reason::kShuttingDown && !stored_for_drain_) {
    stored_for_drain_ = true;
    RETURN_IF_ERROR(Store(state()));
  }
  if (cancellation_.cancelled()) return CancellationStatus(cancellation_.reason());
  const absl::Duration now = BootTime();
  if (now - last_checkpoint_ >= options_.checkpoint_every) {
    RETURN_IF_ERROR(Store(state()));
    // From its end: where storing is slow, work goes on in between.
    last_checkpoint_ = BootTime();
  } else if (now - last_flush_ >= kFlushEvery) {
    RETURN_IF_ERROR(FlushProgress());
  }
  if (slot_ != nullptr) slot_->Yield(kYieldPatience);
  return absl::OkStatus();
}

// Only the loss of the lease ends the task; a store that cannot write now is asked again next time.
absl::Status RunningTask::Store(const std::string& state) {
  CrashPoint("before_checkpoint");
  const absl::Status stored = store_.SaveCheckpoint(lease(), SealCheckpoint(state), Events());
  last_flush_ = BootTime();
  CrashPoint("after_checkpoint");
  if (stored.ok()) {
    ForgetEvents();
    LogEvent(LogLevel::kDebug, "job_checkpointed");
    return stored;
  }
  LogEvent(LogLevel::kWarning, "job_checkpoint_failed", std::string(stored.message()));
  if (stored.code() != absl::StatusCode::kAborted) return absl::OkStatus();
  Lose();
  return stored;
}

absl::Status RunningTask::FlushProgress() {
  last_flush_ = BootTime();
  const std::vector<NewEvent> events = Events();
  if (events.empty()) return absl::OkStatus();
  const absl::Status added = store_.AddEvents(lease(), events);
  if (added.ok()) ForgetEvents();
  if (added.code() != absl::StatusCode::kAborted) return absl::OkStatus();
  Lose();
  return added;
}

void RunningTask::Report(const v1::FitProgress& progress, bool ended) {
  summary_ = progress.summary();
  if (ended) {
    newest_.erase(progress.start());
    ended_.push_back(progress);
  } else {
    newest_[progress.start()] = progress;
  }
}

NewEvent RunningTask::EventOf(v1::FitProgress progress) {
  *progress.mutable_summary() = progress_->Update(task(), summary_);
  NewEvent event;
  event.kind = NewEvent::Kind::kProgress;
  if (std::isfinite(progress.best_objective())) event.best_objective = progress.best_objective();
  event.summary = progress.summary().SerializeAsString();
  event.payload = progress.SerializeAsString();
  return event;
}

std::vector<NewEvent> RunningTask::Events() {
  std::vector<NewEvent> events;
  for (const v1::FitProgress& progress : ended_) events.push_back(EventOf(progress));
  const auto best = std::min_element(
      newest_.begin(), newest_.end(),
      [](const auto& a, const auto& b) { return a.second.objective() < b.second.objective(); });
  if (best != newest_.end()) events.push_back(EventOf(best->second));
  return events;
}

void RunningTask::ForgetEvents() {
  ended_.clear();
  newest_.clear();
}

// ---- the way of a task

void RunningTask::StartDeadline() {
  if (claim_.deadline == absl::InfiniteFuture()) return;
  const auto left = absl::ToChronoNanoseconds(claim_.deadline - absl::Now());
  timer_ = environment_.timer().Schedule(std::chrono::steady_clock::now() + left,
                                         // It may be called after the task has ended.
                                         [task = weak_from_this()] {
                                           if (const auto self = task.lock())
                                             self->Stop(Cancellation::Reason::kDeadlineExceeded);
                                         });
}

void RunningTask::Restore() {
  for (const jobs::Checkpoint& checkpoint : claim_.checkpoints) {
    absl::StatusOr<std::string> state = OpenCheckpoint(checkpoint.payload);
    if (state.ok()) {
      restored_ = *std::move(state);
      return;
    }
    LogEvent(LogLevel::kWarning, "job_checkpoint_damaged", std::string(state.status().message()));
  }
}

// What the tasks before have counted is in their results; this process may not have seen them.
void RunningTask::SeedProgress(JobRunner& runner, const v1::JobSpec& spec) {
  if (claim_.num_tasks == 1 || !progress_->empty()) return;
  const absl::StatusOr<std::vector<TaskResult>> done = store_.GetResults(claim_.lease.job);
  if (!done.ok()) return;
  for (const TaskResult& result : *done) {
    progress_->Update(result.task, runner.SummaryOf(spec, result));
  }
}

absl::StatusOr<std::string> RunningTask::RunOnce(JobRunner& runner, const v1::JobSpec& spec) {
  // Estimates come first; this is the fence behind them.
  try {
    return runner.Run(*this, spec);
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  return absl::ResourceExhaustedError("the job needs more memory than the server has");
}

absl::StatusOr<std::string> RunningTask::RunToEnd() {
  v1::JobSpec spec;
  if (!spec.ParseFromString(claim_.spec)) return absl::DataLossError("the spec is damaged");
  JobRunner* runner = options_.runner_of(spec);
  if (runner == nullptr) {
    return absl::UnimplementedError("this server does not know the kind of job");
  }
  Restore();
  SeedProgress(*runner, spec);
  StartDeadline();
  absl::StatusOr<std::string> result = RunOnce(*runner, spec);
  while (!result.ok() && WaitToRetry(result.status())) {
    memory_.Release();
    result = RunOnce(*runner, spec);
  }
  return result;
}

bool RunningTask::WaitToRetry(const absl::Status& status) {
  const std::optional<absl::Duration> delay = RetryDelay(status);
  return delay.has_value() && Sleep(std::min(*delay, kLastRetry)) && held();
}

bool RunningTask::Sleep(absl::Duration time) {
  if (slot_ != nullptr) slot_->Pause();
  {
    std::unique_lock<std::mutex> lock(mutex_);
    stopped_.wait_for(lock, absl::ToChronoNanoseconds(time),
                      [this] { return cancellation_.cancelled(); });
  }
  if (slot_ != nullptr) slot_->Resume();
  return !cancellation_.cancelled();
}

void RunningTask::Run(ComputePool::Slot& slot) {
  slot_ = &slot;
  absl::StatusOr<std::string> result =
      cancellation_.cancelled()
          ? absl::StatusOr<std::string>(CancellationStatus(cancellation_.reason()))
          : RunToEnd();
  memory_.Release();
  environment_.metrics().RecordWork(record_.work);
  Settle(std::move(result));
  slot_ = nullptr;
}

void RunningTask::EndUnstarted() { Settle(CancellationStatus(cancellation_.reason())); }

void RunningTask::Settle(absl::StatusOr<std::string> result) {
  if (!held()) return LogEvent(LogLevel::kWarning, "job_lost", "the lease is gone");
  const bool draining = cancellation_.reason() == Cancellation::Reason::kShuttingDown;
  if (!result.ok() && draining) return Release();
  Complete(EndOf(std::move(result)));
}

TaskEnd RunningTask::EndOf(absl::StatusOr<std::string> result) {
  TaskEnd end;
  end.events = Events();
  if (result.ok()) {
    end.result = *std::move(result);
    return end;
  }
  end.kind = TaskEnd::Kind::kFailed;
  end.error = WithFieldPrefix("spec", result.status());
  switch (cancellation_.reason()) {
    case Cancellation::Reason::kClientCancelled:
      end.kind = TaskEnd::Kind::kCancelled;
      break;
    case Cancellation::Reason::kDeadlineExceeded:
      end.error = absl::DeadlineExceededError("the job's deadline passed while it ran");
      break;
    case Cancellation::Reason::kNone:
    case Cancellation::Reason::kShuttingDown:
      break;
  }
  if (HidesMessage(end.error)) {
    LogEvent(LogLevel::kError, "internal_error", std::string(end.error.message()));
    end.error = WithHiddenMessage(end.error);
  }
  return end;
}

// Goes on asking while the lease is held: what was computed is not thrown away for a full disk.
void RunningTask::Complete(TaskEnd end) {
  const auto event = [&end] {
    switch (end.kind) {
      case TaskEnd::Kind::kDone:
        return "job_task_completed";
      case TaskEnd::Kind::kFailed:
        return "job_failed";
      case TaskEnd::Kind::kCancelled:
        return "job_cancelled";
    }
    return "";
  };
  absl::Duration wait = kFirstRetry;
  CrashPoint("before_complete");
  while (held()) {
    const absl::Status completed = store_.Complete(lease(), end);
    CrashPoint("after_complete");
    if (completed.ok()) {
      return LogEvent(LogLevel::kInfo, event(), std::string(end.error.message()));
    }
    if (completed.code() == absl::StatusCode::kAborted) break;
    LogEvent(LogLevel::kWarning, "job_completion_failed", std::string(completed.message()));
    if (!IsPassing(completed)) {
      if (end.kind == TaskEnd::Kind::kFailed) break;
      end = TaskEnd{TaskEnd::Kind::kFailed, "", completed, {}};
      continue;
    }
    // Not Sleep: a drain waits for the answer too, as long as the lease lasts.
    if (slot_ != nullptr) slot_->Pause();
    absl::SleepFor(wait);
    if (slot_ != nullptr) slot_->Resume();
    wait = std::min(2 * wait, kLastRetry);
  }
  LogEvent(LogLevel::kWarning, "job_lost", "its end could not be stored");
}

void RunningTask::Release() {
  CrashPoint("before_release");
  absl::Status released = store_.Release(lease());
  for (int tries = 0; IsPassing(released) && tries < 5 && held(); ++tries) {
    absl::SleepFor(kFirstRetry);
    released = store_.Release(lease());
  }
  CrashPoint("after_release");
  // The lease runs out by itself otherwise.
  LogEvent(released.ok() ? LogLevel::kInfo : LogLevel::kWarning,
           released.ok() ? "job_released" : "job_lost", std::string(released.message()));
}

void RunningTask::LogEvent(LogLevel level, const char* event, const std::string& detail) {
  environment_.log().Write(level, event,
                           {{"job", claim_.lease.job},
                            {"task", claim_.lease.task},
                            {"epoch", claim_.lease.epoch},
                            {"attempt", claim_.attempt},
                            {"kind", claim_.kind},
                            {"worker", worker_},
                            {"held_s", absl::ToDoubleSeconds(BootTime() - claimed_at_)},
                            {"detail", detail}});
}

}  // namespace costate::jobs

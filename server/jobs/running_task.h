// A claimed task on its way: lease, checkpoints, progress, end.
#ifndef COSTATE_SERVER_JOBS_RUNNING_TASK_H_
#define COSTATE_SERVER_JOBS_RUNNING_TASK_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/cancellation.h"
#include "server/call.h"
#include "server/compute_pool.h"
#include "server/deadline_timer.h"
#include "server/jobs/job_progress.h"
#include "server/jobs/job_store.h"
#include "server/jobs/pool_workers.h"
#include "server/jobs/runner.h"
#include "server/jobs/worker.h"
#include "server/log.h"
#include "server/memory_budget.h"

namespace costate::jobs {

// Thread-safety: Run from one thread of the pool; the members marked so from any.
class RunningTask final : public TaskContext, public std::enable_shared_from_this<RunningTask> {
 public:
  // `claimed_at`, by BootTime(), lies before the claim was asked for.
  RunningTask(const WorkerOptions& options, std::string worker, Environment& environment,
              JobStore& store, JobProgresses& progresses, Claim claim, absl::Duration claimed_at);
  ~RunningTask() override;

  // Carries the task out and tells the store how it ended. Once.
  void Run(ComputePool::Slot& slot);
  // Instead of Run, for a task that has not started and was stopped: tells the store why.
  void EndUnstarted();

  // Any thread.
  const Lease& lease() const { return claim_.lease; }
  void Renewed(absl::Duration sent_at);  // BootTime() before the renewal was sent
  bool held() const;                     // the lease, by this worker's own clock
  void Lose();                           // stop, and write nothing more
  void Stop(Cancellation::Reason reason);

  Environment& environment() override { return environment_; }
  const Cancellation& cancellation() const override { return cancellation_; }
  Workers& workers() override { return workers_; }
  CallRecord& record() override { return record_; }
  int64_t task() const override { return claim_.lease.task; }
  int64_t num_tasks() const override { return claim_.num_tasks; }
  const std::optional<std::string>& restored() const override { return restored_; }
  absl::StatusOr<std::vector<TaskResult>> results() override;
  absl::Status TakeMemory(int64_t bytes) override;
  absl::Status Checkpoint(const std::function<std::string()>& state) override;
  void Report(const v1::FitProgress& progress, bool ended) override;

 private:
  void StartDeadline();
  void Restore();
  void SeedProgress(JobRunner& runner, const v1::JobSpec& spec);
  absl::StatusOr<std::string> RunToEnd();
  absl::StatusOr<std::string> RunOnce(JobRunner& runner, const v1::JobSpec& spec);
  // Whether it is worth another try, which it waits for.
  bool WaitToRetry(const absl::Status& status);
  void Settle(absl::StatusOr<std::string> result);
  TaskEnd EndOf(absl::StatusOr<std::string> result);
  void Complete(TaskEnd end);
  void Release();
  absl::Status Store(const std::string& state);
  absl::Status FlushProgress();
  std::vector<NewEvent> Events();  // of what was reported
  void ForgetEvents();             // once they are stored
  NewEvent EventOf(v1::FitProgress progress);
  // Without the thread of the pool; false when the time was cut short by a cancellation.
  bool Sleep(absl::Duration time);
  void LogEvent(LogLevel level, const char* event, const std::string& detail = "");

  const WorkerOptions& options_;
  const std::string worker_;
  Environment& environment_;
  JobStore& store_;
  const Claim claim_;
  const std::shared_ptr<JobProgress> progress_;
  PoolWorkers workers_;
  const absl::Duration claimed_at_;
  Cancellation cancellation_;
  std::atomic<int64_t> fence_ns_;  // of BootTime()
  std::atomic<bool> lost_{false};

  std::mutex mutex_;  // of stopped_ only
  std::condition_variable stopped_;

  // Of the thread that runs.
  ComputePool::Slot* slot_ = nullptr;
  CallRecord record_;
  MemoryBudget::Hold memory_;
  std::optional<DeadlineTimer::Id> timer_;
  std::optional<std::string> restored_;
  absl::Duration last_checkpoint_, last_flush_;
  bool stored_for_drain_ = false;
  v1::FitSummary summary_;  // of this task, the newest
  std::map<int64_t, v1::FitProgress> newest_;
  std::vector<v1::FitProgress> ended_;
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_RUNNING_TASK_H_

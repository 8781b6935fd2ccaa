// The threads that compute. gRPC's own threads only react: they hand work over here.
//
//   ComputePool pool({.threads = 8, .interactive_threads = 2});
//   ASSIGN_OR_RETURN(uint64_t id, pool.Submit({.task_class = TaskClass::kBatch, .cost = 1e9,
//                                              .run = [](ComputePool::Slot&) { Work(); }}));
//
// Two classes. Batch work may use all but the reserved threads; interactive work may use any, and
// goes first. An interactive task that runs longer than the quantum counts as batch from then on
// and the reserve is filled up by a spare thread, so small calls never wait behind large ones,
// even when the estimate was wrong.
#ifndef COSTATE_SERVER_COMPUTE_POOL_H_
#define COSTATE_SERVER_COMPUTE_POOL_H_

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/delay_model.h"
#include "server/limits.h"

namespace costate {

enum class TaskClass { kInteractive = 0, kBatch = 1 };

struct ComputePoolOptions {
  int threads = 2;              // >= 2; tasks that compute at a time
  int interactive_threads = 1;  // 1 to threads - 1; of them, never used by batch work
  int64_t max_queued_tasks = limits::kMaxQueuedTasks;
  int64_t max_bytes = limits::kMaxQueuedBytes;  // of all tasks waiting or running
  // A task that would wait longer is refused.
  absl::Duration max_interactive_wait = limits::kMaxInteractiveWait;
  absl::Duration max_batch_wait = limits::kMaxBatchWait;
  absl::Duration quantum = limits::kInteractiveQuantum;
};

// Thread-safety: all members may be called from any thread.
class ComputePool {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // The right of a running task to compute. A task that is going to wait for someone else gives
  // it back meanwhile, so that another can run.
  class Slot {
   public:
    void Pause() { pool_->Pause(this); }
    void Resume() { pool_->Resume(this); }  // at once; may exceed the number of threads briefly
    // For tasks of the batch class that take long and can wait: lets others of the class that are
    // queued have the thread first. Returns when one is free again, after `patience` at the latest.
    void Yield(absl::Duration patience) { pool_->Yield(this, patience); }
    // The task goes on with more work than it was submitted with.
    void AddCost(double cost) { pool_->AddCost(this, cost); }

   private:
    friend class ComputePool;
    ComputePool* pool_ = nullptr;
    TaskClass submitted_as_ = TaskClass::kInteractive;
    TaskClass task_class_ = TaskClass::kInteractive;  // now
    TimePoint start_;  // of as much computing as there was: moved on by every pause
    TimePoint paused_at_;
    double cost_ = 0;
    int64_t bytes_ = 0;
    bool paused_ = false;
  };

  struct Task {
    TaskClass task_class = TaskClass::kInteractive;
    double cost = 0;    // element operations, estimated; 0: nothing is learned from its time
    int64_t bytes = 0;  // held in memory until the task is done
    TimePoint deadline = TimePoint::max();
    std::function<void(Slot&)> run;
  };

  struct Stats {
    int64_t queued[2] = {0, 0};   // by class
    int64_t running[2] = {0, 0};  // likewise, paused ones left out
    int64_t bytes = 0;
    int64_t admitted[2] = {0, 0};  // by class, since the start
    int64_t refused[2] = {0, 0};   // likewise
  };

  explicit ComputePool(const ComputePoolOptions& options);
  ~ComputePool();  // waits for running tasks; queued ones are dropped without a call

  // Queues a task and returns a ticket. RESOURCE_EXHAUSTED with a google.rpc.RetryInfo detail
  // when the queue is full, or when the expected wait is longer than allowed or than the task's
  // deadline. `from` is a running task that goes on as this one: its bytes pass over to it, so that
  // they count once.
  absl::StatusOr<uint64_t> Submit(Task task, Slot* from = nullptr);

  // Takes a task that has not started out of the queue; false when it has, or is unknown.
  bool Withdraw(uint64_t ticket);

  Stats stats() const;
  absl::Duration ExpectedWait(TaskClass task_class) const;
  const ComputePoolOptions& options() const { return options_; }

 private:
  struct Queued {
    uint64_t ticket = 0;
    Task task;
  };

  void Loop();
  void Pause(Slot* slot);
  void Resume(Slot* slot);
  void Yield(Slot* slot, absl::Duration patience);
  void AddCost(Slot* slot, double cost);
  // The members below expect mutex_ to be held.
  void PauseLocked(Slot* slot);
  void ResumeLocked(Slot* slot);
  absl::Status Admit(const Task& task) const;
  absl::Duration WaitLocked(TaskClass task_class) const;
  std::optional<TaskClass> NextClass() const;
  void DemoteOverdue(TimePoint now);
  std::optional<TimePoint> NextOverdue() const;
  void RunNext(std::unique_lock<std::mutex>* lock, TaskClass task_class);
  void Wake();
  int64_t& running(TaskClass task_class) { return running_[static_cast<size_t>(task_class)]; }
  int64_t running(TaskClass task_class) const { return running_[static_cast<size_t>(task_class)]; }
  std::deque<Queued>& queue(TaskClass c) { return queues_[static_cast<size_t>(c)]; }
  const std::deque<Queued>& queue(TaskClass c) const { return queues_[static_cast<size_t>(c)]; }

  const ComputePoolOptions options_;
  const size_t max_workers_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable freed_;  // a thread of the batch class, perhaps
  std::array<std::deque<Queued>, 2> queues_;
  std::array<double, 2> queued_cost_ = {0, 0};
  std::array<int64_t, 2> running_ = {0, 0};
  std::list<Slot> slots_;                   // of tasks that have started
  std::array<DelayModel, 2> delay_models_;  // by the class tasks were submitted in
  int64_t bytes_ = 0;
  std::array<int64_t, 2> admitted_ = {0, 0};
  std::array<int64_t, 2> refused_ = {0, 0};
  uint64_t next_ticket_ = 1;
  size_t idle_workers_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

// RESOURCE_EXHAUSTED with a google.rpc.RetryInfo detail that says when to try again.
absl::Status ExhaustedStatus(const std::string& message, absl::Duration retry_after);

}  // namespace costate

#endif  // COSTATE_SERVER_COMPUTE_POOL_H_

#include "server/jobs/worker.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/environment.h"
#include "server/jobs/boot_clock.h"
#include "server/jobs/crash_points.h"
#include "server/jobs/running_task.h"

namespace costate::jobs {
namespace {

constexpr absl::Duration kPoll = absl::Seconds(1);            // for work, without being woken
constexpr absl::Duration kBusyPoll = absl::Milliseconds(50);  // for a free thread
constexpr absl::Duration kAfterError = absl::Milliseconds(500);
// After which a task queues for a thread among the calls.
constexpr absl::Duration kPatience = absl::Seconds(5);

std::string WorkerName() {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, "/", getpid());
}

class PoolWorker final : public Worker {
 public:
  PoolWorker(const WorkerOptions& options, Environment& environment, JobStore& store)
      : options_(options), environment_(environment), store_(store), name_(WorkerName()) {
    const ComputePoolOptions& pool = environment.pool().options();
    slots_ = std::clamp(options.slots, 1, pool.threads - pool.interactive_threads);
    claimer_ = std::thread([this] { Claim(); });
    keeper_ = std::thread([this] { Keep(); });
  }
  ~PoolWorker() override { Drain(); }

  void CancelJob(const std::string& id) override;
  void Drain() override;
  int running() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return static_cast<int>(running_.size());
  }
  const std::string& name() const override { return name_; }

 private:
  using TaskPtr = std::shared_ptr<RunningTask>;
  struct Entry {
    TaskPtr task;
    uint64_t ticket = 0;  // in the pool's queue; 0: not there yet
  };

  void Claim();
  int FreeSlots() const;
  bool ThreadIsFree() const;
  int ClaimSome(int count);
  void Begin(jobs::Claim claim, absl::Duration claimed_at);
  void End(const TaskPtr& task);
  void Reap(absl::Duration* last);

  void Keep();
  void Renew();
  void FenceExpired();

  std::vector<Entry> Entries() const;
  // Also where it has not started.
  void StopTask(const Entry& entry, Cancellation::Reason reason);
  bool draining() const { return draining_; }
  // Until it is time, or a drain begins, or, if asked for, a slot is free.
  void Wait(absl::Duration time, bool for_slot = false);

  const WorkerOptions options_;
  Environment& environment_;
  JobStore& store_;
  const std::string name_;
  int slots_ = 1;
  JobProgresses progresses_;

  // Held while tasks are claimed and entered, so that whoever cancels a job in the store, then asks
  // for it here, finds it.
  std::mutex claiming_;
  mutable std::mutex mutex_;  // of the members below
  std::condition_variable changed_;
  std::map<RunningTask*, Entry> running_;
  std::atomic<bool> draining_{false};
  bool drained_ = false;
  std::atomic<bool> all_ended_{false};

  std::thread claimer_;
  std::thread keeper_;
};

// ---- claiming

void PoolWorker::Claim() {
  absl::Duration last_reap = -absl::InfiniteDuration();
  absl::Duration busy_since = BootTime();
  while (!draining()) {
    Reap(&last_reap);
    const int free = FreeSlots();
    if (free == 0) {
      busy_since = BootTime();
      Wait(std::min(kPoll, options_.reap_every), true);
      continue;
    }
    if (!ThreadIsFree() && BootTime() - busy_since < kPatience) {
      Wait(kBusyPoll);
      continue;
    }
    const int claimed = ClaimSome(free);
    if (claimed < 0) {
      Wait(kAfterError);
    } else if (claimed == 0 && !draining()) {
      store_.WaitForWork(absl::Now() + std::min(kPoll, options_.reap_every));
    }
    busy_since = BootTime();
  }
}

int PoolWorker::FreeSlots() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::max(0, slots_ - static_cast<int>(running_.size()));
}

bool PoolWorker::ThreadIsFree() const {
  const ComputePool& pool = environment_.pool();
  const ComputePool::Stats stats = pool.stats();
  constexpr auto kBatch = static_cast<size_t>(TaskClass::kBatch);
  return stats.running[kBatch] + stats.queued[kBatch] <
         pool.options().threads - pool.options().interactive_threads;
}

// How many; below 0 when the store did not answer.
int PoolWorker::ClaimSome(int count) {
  const std::lock_guard<std::mutex> claiming(claiming_);
  const absl::Duration asked_at = BootTime();
  absl::StatusOr<std::vector<jobs::Claim>> claims = store_.ClaimTasks(name_, count, options_.lease);
  if (!claims.ok()) {
    environment_.log().Write(
        LogLevel::kWarning, "job_claim_failed",
        {{"worker", name_}, {"detail", std::string(claims.status().message())}});
    return -1;
  }
  const int claimed = static_cast<int>(claims->size());
  if (claimed > 0) CrashPoint("after_claim");
  for (jobs::Claim& claim : *claims) Begin(std::move(claim), asked_at);
  return claimed;
}

void PoolWorker::Begin(jobs::Claim claim, absl::Duration claimed_at) {
  const auto task = std::make_shared<RunningTask>(options_, name_, environment_, store_,
                                                  progresses_, std::move(claim), claimed_at);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    running_[task.get()] = {task, 0};
  }
  // Without a cost: what a task takes says nothing about calls, and it yields to them.
  ComputePool::Task work;
  work.task_class = TaskClass::kBatch;
  work.run = [this, task](ComputePool::Slot& slot) {
    task->Run(slot);
    End(task);
  };
  const absl::StatusOr<uint64_t> ticket = environment_.pool().Submit(std::move(work));
  if (!ticket.ok()) {
    task->Stop(Cancellation::Reason::kShuttingDown);
    task->EndUnstarted();
    End(task);
    Wait(kAfterError);
    return;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto entry = running_.find(task.get());
  if (entry != running_.end()) entry->second.ticket = *ticket;
}

// The worker may be gone when this returns.
void PoolWorker::End(const TaskPtr& task) {
  const std::lock_guard<std::mutex> lock(mutex_);
  running_.erase(task.get());
  changed_.notify_all();
}

void PoolWorker::Reap(absl::Duration* last) {
  if (BootTime() - *last < options_.reap_every) return;
  *last = BootTime();
  const absl::StatusOr<int64_t> reclaimed = store_.Reap();
  if (!reclaimed.ok() || *reclaimed == 0) return;
  environment_.log().Write(LogLevel::kWarning, "job_leases_reclaimed",
                           {{"worker", name_}, {"count", *reclaimed}});
}

// ---- keeping leases

void PoolWorker::Keep() {
  absl::Duration last_renewal = BootTime();
  const absl::Duration look = std::min(options_.renew_every, options_.lease_margin) / 2;
  while (!all_ended_) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait_for(lock, absl::ToChronoNanoseconds(look),
                        [this] { return all_ended_.load(); });
    }
    FenceExpired();
    // Not during a drain, which ends with the leases at the latest.
    if (draining() || BootTime() - last_renewal < options_.renew_every) continue;
    last_renewal = BootTime();
    Renew();
  }
}

void PoolWorker::Renew() {
  const std::vector<Entry> entries = Entries();
  if (entries.empty()) return;
  std::vector<Lease> leases;
  for (const Entry& entry : entries) leases.push_back(entry.task->lease());
  const absl::Duration sent_at = BootTime();
  const absl::StatusOr<std::vector<JobStore::Renewal>> renewals =
      store_.Renew(leases, options_.lease);
  if (!renewals.ok()) {
    environment_.log().Write(
        LogLevel::kWarning, "job_renewal_failed",
        {{"worker", name_}, {"detail", std::string(renewals.status().message())}});
    return;
  }
  for (size_t i = 0; i < entries.size() && i < renewals->size(); ++i) {
    const JobStore::Renewal& renewal = (*renewals)[i];
    if (renewal.held) {
      entries[i].task->Renewed(sent_at);
      if (renewal.cancel) StopTask(entries[i], Cancellation::Reason::kClientCancelled);
    } else {
      entries[i].task->Lose();
    }
  }
}

void PoolWorker::FenceExpired() {
  for (const Entry& entry : Entries()) {
    if (!entry.task->held()) entry.task->Lose();
  }
}

// ---- the rest

std::vector<PoolWorker::Entry> PoolWorker::Entries() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Entry> entries;
  for (const auto& [address, entry] : running_) entries.push_back(entry);
  return entries;
}

void PoolWorker::Wait(absl::Duration time, bool for_slot) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, absl::ToChronoNanoseconds(time), [&] {
    return draining() || (for_slot && static_cast<int>(running_.size()) < slots_);
  });
}

void PoolWorker::StopTask(const Entry& entry, Cancellation::Reason reason) {
  entry.task->Stop(reason);
  if (entry.ticket == 0 || !environment_.pool().Withdraw(entry.ticket)) return;
  entry.task->EndUnstarted();
  End(entry.task);
}

void PoolWorker::CancelJob(const std::string& id) {
  const std::lock_guard<std::mutex> claiming(claiming_);
  for (const Entry& entry : Entries()) {
    if (entry.task->lease().job == id) StopTask(entry, Cancellation::Reason::kClientCancelled);
  }
}

void PoolWorker::Drain() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(drained_, true)) return;
    draining_ = true;
    changed_.notify_all();
  }
  store_.WakeAll();
  claimer_.join();
  for (const Entry& entry : Entries()) {
    StopTask(entry, Cancellation::Reason::kShuttingDown);
  }
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return running_.empty(); });
    all_ended_ = true;
    changed_.notify_all();
  }
  keeper_.join();
}

}  // namespace

WorkerOptions OptionsForLease(absl::Duration lease) {
  WorkerOptions options;
  options.lease = lease;
  options.renew_every = lease / 3;
  options.lease_margin = lease / 10;
  options.reap_every = std::min(options.reap_every, lease / 4);
  options.checkpoint_every = std::min(options.checkpoint_every, lease / 2);
  return options;
}

std::unique_ptr<Worker> Worker::Start(const WorkerOptions& options, Environment& environment,
                                      JobStore& store) {
  return std::make_unique<PoolWorker>(options, environment, store);
}

}  // namespace costate::jobs

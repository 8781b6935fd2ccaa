// An environment, a store and workers for it, with runners and failures of the test's choice.
#ifndef COSTATE_TESTS_SERVER_JOBS_WORKER_PLACE_H_
#define COSTATE_TESTS_SERVER_JOBS_WORKER_PLACE_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/environment.h"
#include "server/jobs/job_store.h"
#include "server/jobs/runner.h"
#include "server/jobs/sqlite_store.h"
#include "server/jobs/worker.h"

namespace costate::jobs {

// Runs what the test says.
class ScriptedRunner final : public JobRunner {
 public:
  using Script = std::function<absl::StatusOr<std::string>(TaskContext&, const v1::JobSpec&)>;

  absl::StatusOr<JobPlan> Plan(Environment&, const v1::JobSpec&, const Cancellation&) override {
    return JobPlan{};
  }
  absl::StatusOr<std::string> Run(TaskContext& task, const v1::JobSpec& spec) override {
    return script(task, spec);
  }
  v1::FitSummary SummaryOf(const v1::JobSpec&, const TaskResult&) override {
    v1::FitSummary summary;
    summary.set_starts_done(1);
    return summary;
  }
  absl::Status FillResult(const v1::JobSpec&, std::vector<TaskResult>, v1::JobResult*) override {
    return absl::OkStatus();
  }

  Script script;
};

// Passes everything on, unless the test stands in the way.
class InterceptedStore final : public JobStore {
 public:
  explicit InterceptedStore(JobStore& store) : store_(store) {}

  // Called before the call of that name is passed on; an error is returned in its place.
  std::function<absl::Status(const std::string& call)> before;
  // Changes claims on their way to the worker.
  std::function<void(Claim*)> on_claim;

  absl::StatusOr<Created> Create(const NewJob& job) override { return store_.Create(job); }
  absl::StatusOr<Created> FindCreated(std::string_view key, std::string_view hash) override {
    return store_.FindCreated(key, hash);
  }
  absl::StatusOr<Job> Get(std::string_view id) override { return store_.Get(id); }
  absl::StatusOr<std::string> GetSpec(std::string_view id) override { return store_.GetSpec(id); }
  absl::StatusOr<std::vector<TaskResult>> GetResults(std::string_view id) override {
    return store_.GetResults(id);
  }
  absl::StatusOr<JobPage> List(const ListFilter& filter, int64_t size,
                               std::string_view token) override {
    return store_.List(filter, size, token);
  }
  absl::StatusOr<std::vector<Event>> Events(std::string_view id, int64_t from,
                                            int64_t limit) override {
    return store_.Events(id, from, limit);
  }
  void WaitForEvent(std::string_view id, int64_t sequence, absl::Time until) override {
    store_.WaitForEvent(id, sequence, until);
  }
  absl::StatusOr<Job> Cancel(std::string_view id) override { return store_.Cancel(id); }
  absl::Status Delete(std::string_view id) override { return store_.Delete(id); }
  absl::StatusOr<Job> Requeue(std::string_view id) override { return store_.Requeue(id); }
  absl::StatusOr<std::vector<Claim>> ClaimTasks(std::string_view worker, int64_t count,
                                                absl::Duration lease) override {
    if (absl::Status status = Before("claim"); !status.ok()) return status;
    absl::StatusOr<std::vector<Claim>> claims = store_.ClaimTasks(worker, count, lease);
    if (claims.ok() && on_claim != nullptr) {
      for (Claim& claim : *claims) on_claim(&claim);
    }
    return claims;
  }
  void WaitForWork(absl::Time until) override { store_.WaitForWork(until); }
  void WakeAll() override { store_.WakeAll(); }
  absl::StatusOr<std::vector<Renewal>> Renew(absl::Span<const Lease> leases,
                                             absl::Duration lease) override {
    if (absl::Status status = Before("renew"); !status.ok()) return status;
    return store_.Renew(leases, lease);
  }
  absl::Status SaveCheckpoint(const Lease& lease, std::string_view payload,
                              absl::Span<const NewEvent> events) override {
    if (absl::Status status = Before("checkpoint"); !status.ok()) return status;
    return store_.SaveCheckpoint(lease, payload, events);
  }
  absl::Status AddEvents(const Lease& lease, absl::Span<const NewEvent> events) override {
    if (absl::Status status = Before("events"); !status.ok()) return status;
    return store_.AddEvents(lease, events);
  }
  absl::Status Complete(const Lease& lease, const TaskEnd& end) override {
    if (absl::Status status = Before("complete"); !status.ok()) return status;
    return store_.Complete(lease, end);
  }
  absl::Status Release(const Lease& lease) override {
    if (absl::Status status = Before("release"); !status.ok()) return status;
    return store_.Release(lease);
  }
  absl::StatusOr<int64_t> Reap() override { return store_.Reap(); }
  absl::StatusOr<std::vector<Attempt>> Attempts(std::string_view id) override {
    return store_.Attempts(id);
  }
  absl::StatusOr<StoreStats> Stats() override { return store_.Stats(); }

 private:
  absl::Status Before(const char* call) {
    return before == nullptr ? absl::OkStatus() : before(call);
  }

  JobStore& store_;
};

// Until `condition` holds; false after a minute, which no test takes.
inline bool Await(const std::function<bool()>& condition) {
  for (int i = 0; i < 30'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

// Two threads, one of them for batch work, and a store in memory.
class WorkerPlace {
 public:
  explicit WorkerPlace(int threads = 2) {
    EnvironmentOptions options;
    options.pool.threads = threads;
    options.pool.interactive_threads = 1;
    options.memory_budget = 1 << 20;
    environment_ = Environment::Create(options, log_).value();
    store_ = OpenSqliteStore(SqliteOptions{}).value();
  }

  Environment& environment() { return *environment_; }
  JobStore& store() { return *store_; }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  bool Logged(const std::string& event) const {
    for (const std::string& line : lines()) {
      if (line.find("\"event\":\"" + event + "\"") != std::string::npos) return true;
    }
    return false;
  }

  // Leases long enough not to matter, everything else at once.
  static WorkerOptions Options(ScriptedRunner& runner) {
    WorkerOptions options;
    options.lease = absl::Seconds(60);
    options.renew_every = absl::Milliseconds(50);
    options.lease_margin = absl::Seconds(1);
    options.checkpoint_every = absl::ZeroDuration();
    options.reap_every = absl::Milliseconds(20);
    options.runner_of = [&runner](const v1::JobSpec&) { return &runner; };
    return options;
  }

  Job Submit(int64_t tasks = 1, bool last_waits = false,
             absl::Time deadline = absl::InfiniteFuture()) {
    NewJob job;
    job.kind = "fit";
    v1::JobSpec spec;
    spec.mutable_fit();
    job.spec = spec.SerializeAsString();
    job.num_tasks = tasks;
    job.last_task_waits = last_waits;
    job.deadline = deadline;
    return store_->Create(job).value().job;
  }
  Job Get(const Job& job) { return store_->Get(job.id).value(); }
  Job AwaitEnd(const Job& job) {
    EXPECT_TRUE(Await([&] { return Ended(Get(job).state); }));
    return Get(job);
  }
  std::vector<std::string> Reasons(const Job& job) {
    std::vector<std::string> reasons;
    const std::vector<Attempt> attempts = store_->Attempts(job.id).value();
    for (const Attempt& attempt : attempts) {
      reasons.push_back(attempt.reason);
    }
    return reasons;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
  Log log_{LogLevel::kDebug, [this](std::string_view line) {
             const std::lock_guard lock(mutex_);
             lines_.emplace_back(line);
           }};
  std::unique_ptr<Environment> environment_;
  std::unique_ptr<JobStore> store_;
};

}  // namespace costate::jobs

#endif  // COSTATE_TESTS_SERVER_JOBS_WORKER_PLACE_H_

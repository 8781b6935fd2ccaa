#include "server/jobs/local_jobs.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "server/environment.h"
#include "server/jobs/sqlite_store.h"
#include "server/jobs/worker.h"

namespace costate::jobs {
namespace {

const char* NameOf(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return "queued";
    case JobState::kRunning:
      return "running";
    case JobState::kSucceeded:
      return "succeeded";
    case JobState::kFailed:
      return "failed";
    case JobState::kCancelled:
      return "cancelled";
    case JobState::kDead:
      return "dead";
  }
  return "";
}

// The server's messages bound what may come in and go out.
SqliteOptions StoreOptions(const LocalJobsOptions& options, Environment& environment) {
  SqliteOptions store;
  store.ended = [&environment](const EndedJob& job) {
    environment.metrics().RecordJob(job.kind, NameOf(job.state), job.duration);
  };
  store.directory = options.directory;
  store.limits.max_queued_jobs = options.max_queued_jobs;
  // A model that came by name stands in the spec as its text.
  store.limits.max_spec_bytes =
      std::max(store.limits.max_spec_bytes, 2 * environment.options().max_message_bytes);
  store.limits.max_result_bytes =
      std::max(store.limits.max_result_bytes, environment.options().max_message_bytes);
  return store;
}

class LocalJobsImpl final : public LocalJobs {
 public:
  LocalJobsImpl(const LocalJobsOptions& options, Environment& environment,
                std::unique_ptr<JobStore> store)
      : options_(options), store_(std::move(store)) {
    if (options.workers == 0) return;
    const ComputePoolOptions& pool = environment.pool().options();
    WorkerOptions worker = OptionsForLease(options.lease);
    worker.checkpoint_every = options.checkpoint_every;
    worker.slots = options.workers > 0 ? options.workers : pool.threads - pool.interactive_threads;
    worker_ = Worker::Start(worker, environment, *store_);
  }

  JobStore& store() override { return *store_; }
  JobRunner* RunnerOf(const v1::JobSpec& spec) override { return jobs::RunnerOf(spec); }
  void CancelTasks(const std::string& id) override {
    if (worker_ != nullptr) worker_->CancelJob(id);
  }
  absl::Duration retention() const override { return options_.retention; }
  int64_t max_queued_jobs() const override { return options_.max_queued_jobs; }

  void Drain() override {
    if (worker_ != nullptr) worker_->Drain();
    store_->WakeAll();
  }

  JobGauges gauges() override {
    JobGauges gauges;
    gauges.directory = options_.directory;
    const absl::StatusOr<StoreStats> stats = store_->Stats();
    if (!stats.ok()) return gauges;
    gauges.reachable = true;
    gauges.tasks_queued = stats->tasks_queued;
    gauges.tasks_running = stats->tasks_running;
    const auto jobs = [&stats](JobState state) {
      return stats->jobs_by_state[static_cast<size_t>(state)];
    };
    gauges.queued = jobs(JobState::kQueued);
    gauges.running = jobs(JobState::kRunning);
    gauges.succeeded = jobs(JobState::kSucceeded);
    gauges.failed = jobs(JobState::kFailed);
    gauges.cancelled = jobs(JobState::kCancelled);
    gauges.dead = jobs(JobState::kDead);
    gauges.oldest_queued = stats->oldest_queued;
    gauges.oldest_checkpoint = stats->oldest_checkpoint;
    gauges.stale_writes = stats->stale_writes;
    gauges.reclaims = stats->reclaims;
    gauges.store_bytes = stats->bytes;
    return gauges;
  }

 private:
  const LocalJobsOptions options_;
  const std::unique_ptr<JobStore> store_;
  std::unique_ptr<Worker> worker_;  // before the store goes
};

}  // namespace

absl::StatusOr<std::unique_ptr<LocalJobs>> LocalJobs::Open(const LocalJobsOptions& options,
                                                           Environment& environment) {
  ASSIGN_OR_RETURN(std::unique_ptr<JobStore> store,
                   OpenSqliteStore(StoreOptions(options, environment)));
  return std::make_unique<LocalJobsImpl>(options, environment, std::move(store));
}

}  // namespace costate::jobs

// Everything a call may use, made once when the server starts. There are no globals.
#ifndef COSTATE_SERVER_ENVIRONMENT_H_
#define COSTATE_SERVER_ENVIRONMENT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "server/call.h"
#include "server/compute_pool.h"
#include "server/deadline_timer.h"
#include "server/kept_solves.h"
#include "server/limits.h"
#include "server/log.h"
#include "server/memory_budget.h"
#include "server/metrics.h"
#include "server/model_registry.h"

namespace costate {

namespace jobs {
class JobBackend;
}

struct EnvironmentOptions {
  ComputePoolOptions pool;
  ModelRegistryOptions models;
  int64_t max_message_bytes = limits::kDefaultMaxMessageBytes;
  absl::Duration max_deadline = limits::kDefaultMaxDeadline;
  absl::Duration max_stream_stall = limits::kMaxStreamStall;
  double interactive_cost = limits::kInteractiveCost;
  int64_t memory_budget = 0;    // bytes, of all calls together; 0: DefaultMemoryBudget()
  std::string cache_directory;  // of compiled kernels; empty: memory only
  // For checkpoints of gradients that do not fit in memory; empty: nowhere. Must exist.
  std::string scratch_directory;
  int64_t max_disk_bytes = limits::kDefaultMaxDiskBytes;       // there, of all gradients together
  absl::Duration max_keep_time = limits::kDefaultMaxKeepTime;  // of a kept solve
  int64_t max_kept_bytes = -1;  // of all kept solves; below 0: a quarter of the memory budget
};

// Thread-safety: all members may be called from any thread.
class Environment {
 public:
  // `log` must outlive the environment. UNAVAILABLE when there is no evaluator for this host,
  // INVALID_ARGUMENT when the scratch directory is none that can be written to.
  static absl::StatusOr<std::unique_ptr<Environment>> Create(
      const EnvironmentOptions& options, Log& log, std::function<absl::Time()> now = absl::Now);

  Engine& engine() { return *engine_; }
  ModelRegistry& models() { return models_; }
  ComputePool& pool() { return *pool_; }
  DeadlineTimer& timer() { return timer_; }
  MemoryBudget& memory() { return memory_; }
  MemoryBudget& disk() { return disk_; }  // of checkpoints; of 0 bytes without a directory
  KeptSolves& kept_solves() { return kept_solves_; }
  ActiveCalls& active_calls() { return active_calls_; }
  Log& log() { return log_; }
  Metrics& metrics() { return metrics_; }
  // What the store of jobs says, asked at every scrape; unset until there is one.
  std::optional<JobGauges> job_gauges() const;
  void SetJobGauges(std::function<JobGauges()> source);
  std::atomic<int64_t>& open_streams() { return open_streams_; }
  std::atomic<int64_t>& open_watches() { return open_watches_; }  // streams that mostly wait

  // Null where the server keeps no jobs. Set before calls are served, and outlives them.
  jobs::JobBackend* jobs() const { return jobs_; }
  void SetJobs(jobs::JobBackend* jobs) { jobs_ = jobs; }

  absl::Time now() const { return now_(); }
  const EnvironmentOptions& options() const { return options_; }

 private:
  Environment(const EnvironmentOptions& options, Log& log, std::function<absl::Time()> now,
              std::unique_ptr<Evaluator> evaluator);

  const EnvironmentOptions options_;
  Log& log_;
  const std::function<absl::Time()> now_;
  Metrics metrics_;  // before all that is counted
  mutable std::mutex job_gauges_mutex_;
  std::function<JobGauges()> job_gauges_;  // guarded by the mutex
  std::unique_ptr<Engine> engine_;
  ModelRegistry models_;
  MemoryBudget memory_;     // before the calls, which hold parts of it
  MemoryBudget disk_;       // likewise
  KeptSolves kept_solves_;  // before the timer, whose callbacks use it
  ActiveCalls active_calls_;
  std::atomic<int64_t> open_streams_{0};
  std::atomic<int64_t> open_watches_{0};
  jobs::JobBackend* jobs_ = nullptr;
  DeadlineTimer timer_;
  // Last, so that its threads end before what they use.
  std::unique_ptr<ComputePool> pool_;
};

}  // namespace costate

#endif  // COSTATE_SERVER_ENVIRONMENT_H_

// What the server counts, in the words of Prometheus. Names, help texts, labels and buckets of all
// metrics stand in metrics.cc and nowhere else.
//
//   environment.metrics().RecordCall(method, status.code(), total, record);
//   std::string text = environment.metrics().Text(snapshot);
//
// Counters and histograms are moved where the fact is known; levels (queue depth, memory, jobs by
// state) are read when someone asks, see MetricsSnapshot.
#ifndef COSTATE_SERVER_METRICS_H_
#define COSTATE_SERVER_METRICS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/evaluator_factory.h"
#include "server/call.h"
#include "server/compute_pool.h"
#include "server/process_stats.h"

namespace costate {

// Of the queue of jobs; counts since the store was opened.
struct JobGauges {
  std::string directory;   // of the store; empty: not in a file system
  bool reachable = false;  // false: the rest is not known
  int64_t tasks_queued = 0;
  int64_t tasks_running = 0;
  int64_t queued = 0, running = 0, succeeded = 0, failed = 0, cancelled = 0, dead = 0;  // jobs
  absl::Duration oldest_queued;      // waiting time of the oldest task that may be claimed
  absl::Duration oldest_checkpoint;  // age, of running tasks that have one
  int64_t stale_writes = 0;          // refused, since the lease was not held any more
  int64_t reclaims = 0;              // leases taken back
  int64_t store_bytes = 0;           // on disk
};

// Room in the file system of a directory the server writes to.
struct DirectorySpace {
  std::string name;  // "cache", "scratch", "jobs"
  int64_t free_bytes = 0;
  int64_t total_bytes = 0;
};

// Everything that is read at the time of asking.
struct MetricsSnapshot {
  std::string version;
  std::string evaluator;
  int simd_lanes = 1;
  int threads = 0;
  int interactive_threads = 0;
  ComputePool::Stats pool;
  EvaluatorStats kernels;
  bool has_disk_cache = false;  // of kernels
  int64_t memory_held = 0, memory_total = 0;
  int64_t disk_held = 0, disk_total = 0;  // of checkpoints of gradients
  int64_t kept_solves = 0, kept_bytes = 0, kept_max_bytes = 0;
  int64_t open_streams = 0;
  int64_t active_calls = 0;
  bool draining = false;
  std::vector<DirectorySpace> directories;
  ProcessStats process;
  std::optional<JobGauges> jobs;  // unset without a store of jobs
};

enum class MetricType { kCounter, kGauge, kHistogram };

struct MetricInfo {
  const char* name;
  MetricType type;
  const char* help;
};

// All there are, in the order of Text.
absl::Span<const MetricInfo> AllMetrics();

// Label values come from fixed sets (methods, codes, kinds), never from requests.
// Thread-safety: all members may be called from any thread.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // So that the method's series exist before its first call: "costate.v1.SolveService/Solve".
  void AddMethod(std::string_view method);

  // A call that has ended, once each, with what the access log says of it.
  void RecordCall(std::string_view method, absl::StatusCode code, absl::Duration total,
                  const CallRecord& record);
  // The wait of a task that starts.
  void RecordQueueDelay(TaskClass task_class, absl::Duration delay);
  // Of calls, RecordCall adds it; of tasks of jobs, their worker does.
  void RecordWork(const EngineWork& work);

  // A job that ended: `state` "succeeded", "failed", "cancelled" or "dead"; `duration` since
  // it was created.
  void RecordJob(std::string_view kind, std::string_view state, absl::Duration duration);
  // A start of a fit that ended: `outcome` in the words of the optimiser.
  void RecordFitStart(std::string_view outcome, int64_t iterations, int64_t evaluations);

  // Everything in the text format of Prometheus 0.0.4.
  std::string Text(const MetricsSnapshot& snapshot) const;

 private:
  struct Handles;
  std::unique_ptr<Handles> handles_;
};

}  // namespace costate

#endif  // COSTATE_SERVER_METRICS_H_

// What can be done as a job: one runner for each kind of request.
#ifndef COSTATE_SERVER_JOBS_RUNNER_H_
#define COSTATE_SERVER_JOBS_RUNNER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "costate/v1/job.pb.h"
#include "engine/base/cancellation.h"
#include "engine/base/workers.h"
#include "server/jobs/job_store.h"

namespace costate {
class Environment;
struct CallRecord;
}  // namespace costate

namespace costate::jobs {

// How a job is cut into tasks, and what it will take.
struct JobPlan {
  int64_t num_tasks = 1;
  bool last_task_waits = false;
  double cost = 0;  // element operations of all tasks, estimated
};

// What a task sees of its surroundings while it runs. Lives until it returns.
// Thread-safety: one thread, the task's own, but for environment, cancellation and workers.
class TaskContext {
 public:
  virtual ~TaskContext() = default;
  virtual Environment& environment() = 0;
  virtual const Cancellation& cancellation() const = 0;
  virtual Workers& workers() = 0;
  virtual CallRecord& record() = 0;  // for handlers, which note where the time went
  virtual int64_t task() const = 0;
  virtual int64_t num_tasks() const = 0;
  // State of the newest good checkpoint; unset for a task that begins.
  virtual const std::optional<std::string>& restored() const = 0;
  // Results of the tasks before, for a last task that waits.
  virtual absl::StatusOr<std::vector<TaskResult>> results() = 0;
  // Counts the memory the task is going to hold, until it ends; waits, without a thread of the
  // pool, while others hold it. RESOURCE_EXHAUSTED when there will never be as much, or the status
  // of the cancellation. Once.
  virtual absl::Status TakeMemory(int64_t bytes) = 0;
  // To be called often: stores `state()` if the last checkpoint is old enough, and the newest
  // progress with it; lets calls that wait for the thread go first. An error (the lease is gone, or
  // work has to stop) ends the task; it is returned as it is. When the server drains, the state is
  // stored whatever its age, so a runner calls it once more when a step fails.
  virtual absl::Status Checkpoint(const std::function<std::string()>& state) = 0;
  // Progress for those who watch, with the counts of this task in its summary; `starts` there are
  // those of the whole fit. Coalesced, so that the least objective of the newest wins. `ended` ones
  // are all kept.
  virtual void Report(const v1::FitProgress& progress, bool ended) = 0;
};

// Thread-safety: all members may be called from any thread.
class JobRunner {
 public:
  virtual ~JobRunner() = default;
  // Checks the whole request, before anything is stored. Errors have field paths of JobSpec.
  virtual absl::StatusOr<JobPlan> Plan(Environment& environment, const v1::JobSpec& spec,
                                       const Cancellation& cancellation) = 0;
  // Carries out one task; returns its result as bytes. Errors: those of the cancellation, when it
  // has fired; ABORTED when the lease is gone; RESOURCE_EXHAUSTED with a google.rpc.RetryInfo
  // detail when it should be tried again; others fail the job. The same bytes however often it was
  // interrupted.
  virtual absl::StatusOr<std::string> Run(TaskContext& task, const v1::JobSpec& spec) = 0;
  // The counts in the result of a task that is done, as it reported them; empty if it has none.
  virtual v1::FitSummary SummaryOf(const v1::JobSpec& spec, const TaskResult& result) {
    static_cast<void>(spec);
    static_cast<void>(result);
    return {};
  }
  // The results of all tasks as what the client sees.
  virtual absl::Status FillResult(const v1::JobSpec& spec, std::vector<TaskResult> results,
                                  v1::JobResult* result) = 0;
};

// Null if the spec has no request. Lives as long as the process.
JobRunner* RunnerOf(const v1::JobSpec& spec);

// Of a result, so that it fits into the answer of GetJob.
int64_t MaxResultBytes(const Environment& environment);

// RESOURCE_EXHAUSTED unless a result of so many bytes fits into the answer of GetJob.
absl::Status CheckResultFits(const Environment& environment, int64_t bytes);

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_RUNNER_H_

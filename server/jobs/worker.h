// Carries out queued tasks on the compute pool: claims, renews, checkpoints, completes.
//
// Every event of a task is a line of the log: job_claimed, job_checkpointed (debug),
// job_task_completed, job_failed, job_cancelled, job_released, job_lost.
#ifndef COSTATE_SERVER_JOBS_WORKER_H_
#define COSTATE_SERVER_JOBS_WORKER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "server/jobs/job_store.h"
#include "server/jobs/runner.h"

namespace costate {
class Environment;
}

namespace costate::jobs {

struct WorkerOptions {
  int slots = 1;  // tasks at a time, >= 1; at most the batch threads of the pool are used
  absl::Duration lease = absl::Seconds(30);
  absl::Duration renew_every = absl::Seconds(10);
  absl::Duration lease_margin = absl::Seconds(3);  // the worker stops this long before the end
  absl::Duration checkpoint_every = absl::Seconds(5);
  absl::Duration reap_every = absl::Seconds(5);
  std::function<JobRunner*(const v1::JobSpec&)> runner_of = RunnerOf;
};

// With everything that follows from the length of a lease: renewed thrice, a tenth as margin.
WorkerOptions OptionsForLease(absl::Duration lease);

// Owns its threads; tasks run on those of the pool, as batch work. A lease that could not be
// renewed in time is given up by the worker itself, by CLOCK_BOOTTIME, before the store may give
// the task to another.
// Thread-safety: all members may be called from any thread.
class Worker {
 public:
  // Both outlive it. Claims as soon as it is made.
  static std::unique_ptr<Worker> Start(const WorkerOptions& options, Environment& environment,
                                       JobStore& store);
  virtual ~Worker() = default;  // drains

  // Cancels a running job's tasks in this process at once, without waiting for the next renewal.
  virtual void CancelJob(const std::string& id) = 0;

  // Claims no more, stops what runs at its next step, stores its state and releases it. Returns
  // when all is released, within a lease. Once.
  virtual void Drain() = 0;

  virtual int running() const = 0;
  virtual const std::string& name() const = 0;
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_WORKER_H_

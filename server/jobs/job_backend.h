// What JobService needs of the house below it: the store, the runners, and a word with the worker.
#ifndef COSTATE_SERVER_JOBS_JOB_BACKEND_H_
#define COSTATE_SERVER_JOBS_JOB_BACKEND_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "costate/v1/job.pb.h"
#include "server/jobs/job_store.h"
#include "server/jobs/runner.h"

namespace costate::jobs {

// Made by the server when it has a data directory; see Environment::jobs().
// Thread-safety: all members may be called from any thread.
class JobBackend {
 public:
  virtual ~JobBackend() = default;

  virtual JobStore& store() = 0;

  // Null if the spec has no request. Lives as long as the process.
  virtual JobRunner* RunnerOf(const v1::JobSpec& spec) = 0;

  // Stops a job's tasks in this process at once. After JobStore::Cancel.
  virtual void CancelTasks(const std::string& id) = 0;

  virtual absl::Duration retention() const = 0;  // where a job does not say
  virtual int64_t max_queued_jobs() const = 0;
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_JOB_BACKEND_H_

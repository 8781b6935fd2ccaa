// Jobs kept and carried out by this process: the embedded store, and a worker for it.
#ifndef COSTATE_SERVER_JOBS_LOCAL_JOBS_H_
#define COSTATE_SERVER_JOBS_LOCAL_JOBS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/jobs/job_backend.h"
#include "server/limits.h"
#include "server/metrics.h"

namespace costate::jobs {

struct LocalJobsOptions {
  std::string directory;  // of the store; see SqliteOptions
  int workers = -1;  // tasks at a time; 0: none are carried out, below 0: as many as batch threads
  absl::Duration lease = absl::Seconds(30);
  absl::Duration retention = limits::kDefaultJobRetention;  // where a job does not say
  int64_t max_queued_jobs = limits::kDefaultMaxQueuedJobs;
  absl::Duration checkpoint_every = absl::Seconds(5);
};

// Thread-safety: all members may be called from any thread.
class LocalJobs : public JobBackend {
 public:
  // Errors are those of OpenSqliteStore. `environment` outlives it.
  static absl::StatusOr<std::unique_ptr<LocalJobs>> Open(const LocalJobsOptions& options,
                                                         Environment& environment);

  // Claims no more, stores and releases what runs, and wakes those who watch. Once.
  virtual void Drain() = 0;

  virtual JobGauges gauges() = 0;
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_LOCAL_JOBS_H_

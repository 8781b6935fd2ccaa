// The counts of a fit over all its tasks, as far as this process knows them.
#ifndef COSTATE_SERVER_JOBS_JOB_PROGRESS_H_
#define COSTATE_SERVER_JOBS_JOB_PROGRESS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "costate/v1/job.pb.h"

namespace costate::jobs {

// Thread-safety: all members may be called from any thread.
class JobProgress {
 public:
  // Replaces what the task said before; returns the sum over all tasks.
  v1::FitSummary Update(int64_t task, const v1::FitSummary& summary);
  bool empty() const;

 private:
  mutable std::mutex mutex_;
  std::map<int64_t, v1::FitSummary> by_task_;
};

// One for each job that has tasks running here, as long as it has.
// Thread-safety: all members may be called from any thread.
class JobProgresses {
 public:
  std::shared_ptr<JobProgress> Of(const std::string& job);

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<JobProgress>> by_job_;
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_JOB_PROGRESS_H_

// What the tasks of one job that run here share: the counts of a fit over all of them, as far as
// this process knows.
#ifndef COSTATE_SERVER_JOBS_JOB_PROGRESS_H_
#define COSTATE_SERVER_JOBS_JOB_PROGRESS_H_

#include <cstdint>
#include <deque>
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

// One for each job that has tasks running here, and for those that had lately: the tasks of a job
// may run one after another.
// Thread-safety: all members may be called from any thread.
class JobProgresses {
 public:
  std::shared_ptr<JobProgress> Of(const std::string& job);

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<JobProgress>> by_job_;
  std::deque<std::string> order_;  // of by_job_, oldest first
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_JOB_PROGRESS_H_

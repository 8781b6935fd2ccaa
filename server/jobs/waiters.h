// Those who wait for a job to change or for a task to claim.
#ifndef COSTATE_SERVER_JOBS_WAITERS_H_
#define COSTATE_SERVER_JOBS_WAITERS_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

namespace costate::jobs {

// Thread-safety: all members may be called from any thread.
class Waiters {
 public:
  // Watches the job, then calls `is_there`; unless that says so already, returns when the job
  // changes, at WakeAll, or after `timeout`.
  void WaitForJob(std::string_view id, absl::Duration timeout, absl::FunctionRef<bool()> is_there);

  // Returns when a task is queued, at WakeAll, or after `timeout`.
  void WaitForWork(absl::Duration timeout);

  void WakeAll();

  // What has just been committed.
  void Changed(int64_t tasks_queued, const std::vector<std::string>& jobs);

 private:
  struct Watched {
    std::condition_variable changed;
    int64_t version = 0;
    int64_t watchers = 0;
  };

  std::mutex mutex_;
  std::condition_variable work_;
  int64_t tasks_queued_ = 0;
  int64_t wakes_ = 0;
  std::map<std::string, Watched, std::less<>> watched_;
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_WAITERS_H_

// The contract of job_store.h once more, in memory and as plain as can be: what a store has to
// answer is foretold by it.
#ifndef COSTATE_TESTS_SERVER_JOBS_STORE_MODEL_H_
#define COSTATE_TESTS_SERVER_JOBS_STORE_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/jobs/job_store.h"

namespace costate::jobs {

class StoreModel {
 public:
  enum class TaskState { kQueued, kRunning, kWaiting, kDone, kFailed, kCancelled, kDead };

  struct Task {
    TaskState state = TaskState::kQueued;
    int64_t epoch = 0;
    int64_t completed_epoch = 0;
    int losses = 0;
    absl::Time lease_until;
    std::vector<std::string> checkpoints;  // oldest first, at most kKeptCheckpoints
    std::vector<std::string> reasons;      // of each attempt; "" while it runs
    std::string result;
  };

  struct Job {
    int64_t order = 0;  // of creation
    JobState state = JobState::kQueued;
    bool cancel = false;
    int32_t priority = 0;
    bool last_waits = false;
    absl::Time deadline, queued_since;
    std::vector<Task> tasks;
    std::vector<JobState> states;  // its kState events
    int64_t events = 0;
    std::optional<double> best;
  };

  std::map<std::string, Job> jobs;  // by id
  absl::Time now;

  void Create(const std::string& id, const NewJob& job);
  std::vector<Lease> Claim(int64_t count, absl::Duration lease);
  JobStore::Renewal Renew(const Lease& lease, absl::Duration length);
  absl::StatusCode Save(const Lease& lease, const std::string& state, double best);
  absl::StatusCode Complete(const Lease& lease, const TaskEnd& end);
  absl::StatusCode Release(const Lease& lease);
  int64_t Reap();
  absl::StatusCode Cancel(const std::string& id);
  absl::StatusCode Requeue(const std::string& id);
  absl::StatusCode Delete(const std::string& id);

  static int64_t Count(const Job& job, TaskState state);

 private:
  Task* Held(const Lease& lease);  // null if it is not
  void Change(Job& job, JobState state);
  void End(Job& job, JobState state);
  void Stop(Task& task, TaskState state, const std::string& reason);
  void GiveBack(Job& job, Task& task, const std::string& reason);
  void EndIfCancelled(Job& job);

  int64_t created_ = 0;
};

}  // namespace costate::jobs

#endif  // COSTATE_TESTS_SERVER_JOBS_STORE_MODEL_H_

// Jobs, ends of tasks and events for tests.
#ifndef COSTATE_TESTS_SERVER_JOBS_JOB_VALUES_H_
#define COSTATE_TESTS_SERVER_JOBS_JOB_VALUES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "server/jobs/job_store.h"

namespace costate::jobs {

inline NewJob OneTask(std::string spec = "spec") {
  NewJob job;
  job.kind = "fit";
  job.spec = std::move(spec);
  return job;
}

inline NewJob Tasks(int64_t num_tasks, bool last_task_waits = false) {
  NewJob job = OneTask();
  job.num_tasks = num_tasks;
  job.last_task_waits = last_task_waits;
  return job;
}

inline TaskEnd Done(std::string result) {
  TaskEnd end;
  end.result = std::move(result);
  return end;
}

inline TaskEnd Failed(absl::Status error) {
  TaskEnd end;
  end.kind = TaskEnd::Kind::kFailed;
  end.error = std::move(error);
  return end;
}

inline TaskEnd Cancelled() {
  TaskEnd end;
  end.kind = TaskEnd::Kind::kCancelled;
  return end;
}

inline NewEvent Progress(std::string payload, std::optional<double> best = std::nullopt) {
  NewEvent event;
  event.kind = NewEvent::Kind::kProgress;
  event.payload = std::move(payload);
  event.best_objective = best;
  return event;
}

}  // namespace costate::jobs

#endif  // COSTATE_TESTS_SERVER_JOBS_JOB_VALUES_H_

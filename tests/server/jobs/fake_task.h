// A task without store and worker, that can be interrupted where the test wants.
#ifndef COSTATE_TESTS_SERVER_JOBS_FAKE_TASK_H_
#define COSTATE_TESTS_SERVER_JOBS_FAKE_TASK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/workers.h"
#include "server/call.h"
#include "server/environment.h"
#include "server/jobs/runner.h"

namespace costate::jobs {

class FakeTask final : public TaskContext {
 public:
  explicit FakeTask(Environment& environment, int64_t task = 0, int64_t num_tasks = 1)
      : environment_(environment), task_(task), num_tasks_(num_tasks) {}

  // What the next run goes on from.
  std::optional<std::string> state;
  // After so many calls of Checkpoint the state is kept and the run is told to stop; < 0: never.
  int interrupt_after = -1;
  std::vector<TaskResult> results_before;
  std::vector<v1::FitProgress> reports, ended;
  int64_t bytes = 0;  // asked for
  int checkpoints = 0;
  Cancellation stop;

  Environment& environment() override { return environment_; }
  const Cancellation& cancellation() const override { return stop; }
  Workers& workers() override { return workers_; }
  CallRecord& record() override { return record_; }
  int64_t task() const override { return task_; }
  int64_t num_tasks() const override { return num_tasks_; }
  const std::optional<std::string>& restored() const override { return state; }
  absl::StatusOr<std::vector<TaskResult>> results() override { return results_before; }
  absl::Status TakeMemory(int64_t taken) override {
    bytes = taken;
    return absl::OkStatus();
  }
  absl::Status Checkpoint(const std::function<std::string()>& save) override {
    if (checkpoints++ != interrupt_after) return absl::OkStatus();
    stopped_state = save();
    return absl::AbortedError("interrupted");
  }
  void Report(const v1::FitProgress& progress, bool has_ended) override {
    (has_ended ? ended : reports).push_back(progress);
  }

  std::optional<std::string> stopped_state;

 private:
  Environment& environment_;
  const int64_t task_, num_tasks_;
  CallRecord record_;
  NoWorkers workers_;
};

inline std::unique_ptr<Environment> SmallEnvironment(Log& log) {
  EnvironmentOptions options;
  options.pool.threads = 2;
  options.pool.interactive_threads = 1;
  return Environment::Create(options, log).value();
}

}  // namespace costate::jobs

#endif  // COSTATE_TESTS_SERVER_JOBS_FAKE_TASK_H_

#include "server/jobs/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <new>
#include <string>

#include "google/rpc/error_details.pb.h"
#include "server/call.h"
#include "server/jobs/checkpoint.h"
#include "tests/server/jobs/worker_place.h"

namespace costate::jobs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class WorkerTest : public testing::Test {
 protected:
  std::unique_ptr<Worker> Start() { return Start(WorkerPlace::Options(runner_), place_.store()); }
  std::unique_ptr<Worker> Start(const WorkerOptions& options, JobStore& store) {
    return Worker::Start(options, place_.environment(), store);
  }
  std::string ResultOf(const Job& job) {
    const std::vector<TaskResult> results = place_.store().GetResults(job.id).value();
    return results.empty() ? "" : results.back().bytes;
  }
  // Works until it is told to stop, as an engine does.
  static absl::StatusOr<std::string> Endless(TaskContext& task) {
    while (!task.cancellation().cancelled()) std::this_thread::yield();
    return CancellationStatus(task.cancellation().reason());
  }

  ScriptedRunner runner_;  // before the pool, whose threads use it
  WorkerPlace place_;
};

TEST_F(WorkerTest, CarriesTasksOutAndSaysSo) {
  runner_.script = [](TaskContext& task, const v1::JobSpec&) -> absl::StatusOr<std::string> {
    if (task.task() + 1 < task.num_tasks()) return "part " + std::to_string(task.task());
    std::string all;
    const std::vector<TaskResult> results = task.results().value();
    for (const TaskResult& result : results) all += result.bytes + ", ";
    return all;
  };
  const Job job = place_.Submit(3, true);
  const auto worker = Start();
  EXPECT_EQ(place_.AwaitEnd(job).state, JobState::kSucceeded);
  EXPECT_EQ(ResultOf(job), "part 0, part 1, ");
  EXPECT_THAT(place_.Reasons(job), ElementsAre("done", "done", "done"));
  EXPECT_TRUE(place_.Logged("job_claimed"));
  EXPECT_TRUE(place_.Logged("job_task_completed"));
  ASSERT_TRUE(Await([&] { return worker->running() == 0; }));
}

TEST_F(WorkerTest, FailsTheJobWithItsError) {
  runner_.script = [](TaskContext&, const v1::JobSpec&) {
    return absl::OutOfRangeError("cannot succeed");
  };
  const Job job = place_.Submit();
  const auto worker = Start();
  const Job ended = place_.AwaitEnd(job);
  EXPECT_EQ(ended.state, JobState::kFailed);
  EXPECT_EQ(JobError(ended), absl::OutOfRangeError("cannot succeed"));
}

TEST_F(WorkerTest, KeepsTheInsideToItself) {
  runner_.script = [](TaskContext&, const v1::JobSpec&) {
    return absl::InternalError("/secret/path");
  };
  const Job job = place_.Submit();
  const auto worker = Start();
  const Job ended = place_.AwaitEnd(job);
  EXPECT_EQ(ended.error_code, static_cast<int>(absl::StatusCode::kInternal));
  EXPECT_EQ(ended.error_message.find("secret"), std::string::npos);
  EXPECT_TRUE(place_.Logged("internal_error"));
}

TEST_F(WorkerTest, SurvivesATaskThatNeedsTooMuchMemory) {
  runner_.script = [](TaskContext&, const v1::JobSpec&) -> absl::StatusOr<std::string> {
    throw std::bad_alloc();
  };
  const Job job = place_.Submit();
  const auto worker = Start();
  EXPECT_EQ(place_.AwaitEnd(job).error_code,
            static_cast<int>(absl::StatusCode::kResourceExhausted));
}

// ---- cancelling

TEST_F(WorkerTest, CancelsARunningTaskAtOnce) {
  std::promise<void> running;
  runner_.script = [&](TaskContext& task, const v1::JobSpec&) {
    running.set_value();
    return Endless(task);
  };
  WorkerOptions options = WorkerPlace::Options(runner_);
  options.renew_every = absl::Seconds(50);  // by no renewal
  const auto worker = Start(options, place_.store());
  const Job job = place_.Submit();
  running.get_future().wait();
  EXPECT_TRUE(place_.store().Cancel(job.id).ok());
  worker->CancelJob(job.id);
  EXPECT_EQ(place_.AwaitEnd(job).state, JobState::kCancelled);
  EXPECT_THAT(place_.Reasons(job), ElementsAre("cancelled"));
}

TEST_F(WorkerTest, HearsOfACancelByItsRenewals) {
  runner_.script = [](TaskContext& task, const v1::JobSpec&) { return Endless(task); };
  const auto worker = Start();
  const Job job = place_.Submit();
  ASSERT_TRUE(Await([&] { return place_.Get(job).state == JobState::kRunning; }));
  EXPECT_TRUE(place_.store().Cancel(job.id).ok());
  EXPECT_EQ(place_.AwaitEnd(job).state, JobState::kCancelled);
}

// A task that waits for a thread ends without one.
TEST_F(WorkerTest, CancelsWhatHasNotStarted) {
  runner_.script = [](TaskContext&, const v1::JobSpec&) { return std::string("done"); };
  std::promise<void> go_on;
  ComputePool::Task blocking;
  blocking.task_class = TaskClass::kBatch;
  blocking.run = [&](ComputePool::Slot&) { go_on.get_future().wait(); };
  ASSERT_TRUE(place_.environment().pool().Submit(std::move(blocking)).ok());
  const auto worker = Start();
  const Job job = place_.Submit();
  ASSERT_TRUE(Await([&] { return worker->running() == 1; }));
  EXPECT_TRUE(place_.store().Cancel(job.id).ok());
  worker->CancelJob(job.id);
  EXPECT_EQ(place_.AwaitEnd(job).state, JobState::kCancelled);
  go_on.set_value();
}

TEST_F(WorkerTest, EndsWithTheDeadlineOfTheJob) {
  runner_.script = [](TaskContext& task, const v1::JobSpec&) { return Endless(task); };
  const auto worker = Start();
  const Job job = place_.Submit(1, false, absl::Now() + absl::Milliseconds(300));
  const Job ended = place_.AwaitEnd(job);
  EXPECT_EQ(ended.state, JobState::kFailed);
  EXPECT_EQ(ended.error_code, static_cast<int>(absl::StatusCode::kDeadlineExceeded));
}

// ---- drain, checkpoints, resuming

// Counts to ten, one a checkpoint.
absl::StatusOr<std::string> CountToTen(TaskContext& task, int* steps,
                                       const std::function<void(int)>& at) {
  int count = task.restored().has_value() ? std::stoi(*task.restored()) : 0;
  while (count < 10) {
    ++count;
    ++*steps;
    at(count);
    const absl::Status stored = task.Checkpoint([&] { return std::to_string(count); });
    if (!stored.ok()) return stored;
  }
  return "counted to " + std::to_string(count);
}

TEST_F(WorkerTest, DrainStoresAndReleasesAndTheNextOneGoesOn) {
  std::promise<void> at_four, drained;
  int steps = 0;
  runner_.script = [&](TaskContext& task, const v1::JobSpec&) {
    return CountToTen(task, &steps, [&](int count) {
      if (count != 4 || task.restored().has_value()) return;
      at_four.set_value();
      while (!task.cancellation().cancelled()) std::this_thread::yield();
    });
  };
  WorkerOptions options = WorkerPlace::Options(runner_);
  options.checkpoint_every = absl::Hours(1);  // none but the drain's
  const Job job = place_.Submit();
  {
    const auto worker = Start(options, place_.store());
    at_four.get_future().wait();
    worker->Drain();
    EXPECT_EQ(worker->running(), 0);
  }
  EXPECT_THAT(place_.Reasons(job), ElementsAre("released"));
  const auto worker = Start(options, place_.store());
  EXPECT_EQ(place_.AwaitEnd(job).state, JobState::kSucceeded);
  EXPECT_EQ(ResultOf(job), "counted to 10");
  EXPECT_EQ(steps, 10) << "nothing was done twice";
  EXPECT_THAT(place_.Reasons(job), ElementsAre("released", "done"));
}

TEST_F(WorkerTest, ReleasesWhatHasNotStarted) {
  runner_.script = [](TaskContext&, const v1::JobSpec&) { return std::string("done"); };
  std::promise<void> go_on;
  ComputePool::Task blocking;
  blocking.task_class = TaskClass::kBatch;
  blocking.run = [&](ComputePool::Slot&) { go_on.get_future().wait(); };
  ASSERT_TRUE(place_.environment().pool().Submit(std::move(blocking)).ok());
  const Job job = place_.Submit();
  {
    const auto worker = Start();
    // It gives up looking for a free thread and queues among the calls.
    ASSERT_TRUE(Await([&] { return worker->running() == 1; }));
  }
  EXPECT_THAT(place_.Reasons(job), ElementsAre("released"));
  EXPECT_EQ(place_.Get(job).state, JobState::kRunning) << "a job runs from its first claim";
  go_on.set_value();
}

TEST_F(WorkerTest, UsesTheCheckpointBeforeADamagedOne) {
  std::promise<void> at_six;
  int steps = 0;
  runner_.script = [&](TaskContext& task, const v1::JobSpec&) {
    return CountToTen(task, &steps, [&](int count) {
      if (count != 6 || task.restored().has_value()) return;
      at_six.set_value();
      while (!task.cancellation().cancelled()) std::this_thread::yield();
    });
  };
  const Job job = place_.Submit();
  {
    const auto worker = Start();
    at_six.get_future().wait();
  }
  InterceptedStore store(place_.store());
  store.on_claim = [](Claim* claim) {
    ASSERT_EQ(claim->checkpoints.size(), 2u);
    claim->checkpoints[0].payload.back() ^= 1;
  };
  const auto worker = Start(WorkerPlace::Options(runner_), store);
  EXPECT_EQ(place_.AwaitEnd(job).state, JobState::kSucceeded);
  EXPECT_EQ(ResultOf(job), "counted to 10");
  EXPECT_EQ(steps, 11) << "the sixth was done again";
  EXPECT_TRUE(place_.Logged("job_checkpoint_damaged"));
}

TEST_F(WorkerTest, GoesOnWhenACheckpointCannotBeStored) {
  int steps = 0;
  runner_.script = [&](TaskContext& task, const v1::JobSpec&) {
    return CountToTen(task, &steps, [](int) {});
  };
  InterceptedStore store(place_.store());
  store.before = [](const std::string& call) {
    return call == "checkpoint" ? absl::ResourceExhaustedError("disk full") : absl::OkStatus();
  };
  const auto worker = Start(WorkerPlace::Options(runner_), store);
  const Job job = place_.Submit();
  EXPECT_EQ(place_.AwaitEnd(job).state, JobState::kSucceeded);
  EXPECT_TRUE(place_.Logged("job_checkpoint_failed"));
}

// ---- leases

TEST_F(WorkerTest, GivesUpALeaseItCannotRenew) {
  runner_.script = [](TaskContext& task, const v1::JobSpec&) -> absl::StatusOr<std::string> {
    return Endless(task);
  };
  std::atomic<int> writes{0};
  InterceptedStore store(place_.store());
  store.before = [&](const std::string& call) {
    if (call == "renew") return absl::UnavailableError("cut off");
    if (call != "claim") ++writes;
    return absl::OkStatus();
  };
  WorkerOptions options = WorkerPlace::Options(runner_);
  options.lease = absl::Milliseconds(600);
  options.lease_margin = absl::Milliseconds(200);
  options.reap_every = absl::Hours(1);
  const Job job = place_.Submit();
  const auto worker = Start(options, store);
  ASSERT_TRUE(Await([&] { return place_.Logged("job_lost"); }));
  EXPECT_EQ(writes, 0);
  EXPECT_EQ(place_.store().Stats().value().stale_writes, 0);
}

// As a process that is stopped between its last look at the clock and the write, and goes on after
// another has taken the task over.
TEST_F(WorkerTest, AStaleWriteChangesNothing) {
  std::promise<void> frozen, go_on;
  std::atomic<bool> first{true};
  runner_.script = [](TaskContext& task, const v1::JobSpec&) -> absl::StatusOr<std::string> {
    return "epoch " + std::to_string(task.restored().has_value());
  };
  InterceptedStore store(place_.store());
  auto waits = go_on.get_future().share();
  store.before = [&](const std::string& call) {
    if (call == "renew") return absl::UnavailableError("stopped");
    if (call != "complete" || !first.exchange(false)) return absl::OkStatus();
    frozen.set_value();
    waits.wait();
    return absl::OkStatus();
  };
  WorkerOptions options = WorkerPlace::Options(runner_);
  options.lease = absl::Milliseconds(300);
  options.lease_margin = absl::Milliseconds(50);
  options.reap_every = absl::Hours(1);
  const Job job = place_.Submit();
  const auto stopped = Start(options, store);
  frozen.get_future().wait();

  // Its own pool: the thread of the first one is taken.
  WorkerPlace elsewhere;
  ScriptedRunner other;
  other.script = [](TaskContext&, const v1::JobSpec&) { return std::string("by the other"); };
  const auto worker =
      Worker::Start(WorkerPlace::Options(other), elsewhere.environment(), place_.store());
  EXPECT_EQ(place_.AwaitEnd(job).state, JobState::kSucceeded);
  go_on.set_value();
  ASSERT_TRUE(Await([&] { return place_.Logged("job_lost"); }));
  EXPECT_EQ(ResultOf(job), "by the other");
  EXPECT_EQ(place_.store().Stats().value().stale_writes, 1);
  EXPECT_THAT(place_.Reasons(job), ElementsAre("lease lost", "done"));
}

// ---- a store that cannot write now

TEST_F(WorkerTest, KeepsAskingUntilTheEndIsStored) {
  std::atomic<int> refusals{3}, runs{0};
  runner_.script = [&](TaskContext&, const v1::JobSpec&) {
    ++runs;
    return std::string("result");
  };
  InterceptedStore store(place_.store());
  store.before = [&](const std::string& call) {
    if (call != "complete" || refusals-- <= 0) return absl::OkStatus();
    return refusals % 2 == 0 ? absl::UnavailableError("busy")
                             : absl::ResourceExhaustedError("disk full");
  };
  const auto worker = Start(WorkerPlace::Options(runner_), store);
  const Job job = place_.Submit();
  EXPECT_EQ(place_.AwaitEnd(job).state, JobState::kSucceeded);
  EXPECT_EQ(runs, 1);
}

TEST_F(WorkerTest, FailsTheJobWhoseResultNobodyTakes) {
  runner_.script = [](TaskContext&, const v1::JobSpec&) { return std::string("result"); };
  std::atomic<bool> first{true};
  InterceptedStore store(place_.store());
  store.before = [&](const std::string& call) {
    if (call != "complete" || !first.exchange(false)) return absl::OkStatus();
    return absl::OutOfRangeError("the result is too large");
  };
  const auto worker = Start(WorkerPlace::Options(runner_), store);
  const Job job = place_.Submit();
  const Job ended = place_.AwaitEnd(job);
  EXPECT_EQ(ended.state, JobState::kFailed);
  EXPECT_EQ(ended.error_message, "the result is too large");
}

// ---- sharing the machine

TEST_F(WorkerTest, WaitsForMemoryThatOthersHold) {
  std::promise<void> waiting;
  runner_.script = [&](TaskContext& task, const v1::JobSpec&) -> absl::StatusOr<std::string> {
    waiting.set_value();
    const absl::Status taken = task.TakeMemory(1 << 19);
    if (!taken.ok()) return taken;
    return std::to_string(task.environment().memory().held());
  };
  auto hold = place_.environment().memory().Take((1 << 20) - 1, absl::Seconds(1));
  ASSERT_TRUE(hold.ok());
  const auto worker = Start();
  const Job job = place_.Submit();
  waiting.get_future().wait();
  // The batch thread is free while it waits.
  std::promise<void> ran;
  ComputePool::Task call;
  call.task_class = TaskClass::kBatch;
  call.run = [&](ComputePool::Slot&) { ran.set_value(); };
  ASSERT_TRUE(place_.environment().pool().Submit(std::move(call)).ok());
  ran.get_future().wait();
  hold->Release();
  EXPECT_EQ(place_.AwaitEnd(job).state, JobState::kSucceeded);
  EXPECT_EQ(ResultOf(job), std::to_string(1 << 19));
  EXPECT_EQ(place_.environment().memory().held(), 0);
}

TEST_F(WorkerTest, RefusesWhatWillNeverFit) {
  runner_.script = [](TaskContext& task, const v1::JobSpec&) -> absl::StatusOr<std::string> {
    return task.TakeMemory(int64_t{1} << 40);
  };
  const auto worker = Start();
  const Job ended = place_.AwaitEnd(place_.Submit());
  EXPECT_EQ(ended.state, JobState::kFailed);
  EXPECT_THAT(ended.error_message, HasSubstr("--memory-budget"));
}

TEST_F(WorkerTest, TriesAgainWhatIsOnlyBusy) {
  std::atomic<int> runs{0};
  runner_.script = [&](TaskContext&, const v1::JobSpec&) -> absl::StatusOr<std::string> {
    if (++runs < 3) return ExhaustedStatus("busy", absl::Milliseconds(50));
    return "result";
  };
  const auto worker = Start();
  const Job job = place_.Submit();
  EXPECT_EQ(place_.AwaitEnd(job).state, JobState::kSucceeded);
  EXPECT_EQ(runs, 3);
  EXPECT_THAT(place_.Reasons(job), ElementsAre("done")) << "by the same attempt";
}

TEST_F(WorkerTest, LetsCallsGoFirstBetweenCheckpoints) {
  std::atomic<bool> call_ran{false};
  runner_.script = [&](TaskContext& task, const v1::JobSpec&) -> absl::StatusOr<std::string> {
    while (!call_ran) {
      if (absl::Status going_on = task.Checkpoint([] { return "state"; }); !going_on.ok()) {
        return going_on;
      }
    }
    return "result";
  };
  const auto worker = Start();
  const Job job = place_.Submit();
  ASSERT_TRUE(Await([&] { return place_.Get(job).state == JobState::kRunning; }));
  ComputePool::Task call;
  call.task_class = TaskClass::kBatch;
  call.run = [&](ComputePool::Slot&) { call_ran = true; };
  ASSERT_TRUE(place_.environment().pool().Submit(std::move(call)).ok());
  EXPECT_EQ(place_.AwaitEnd(job).state, JobState::kSucceeded);
}

TEST_F(WorkerTest, TakesNoMoreThreadsThanBatchWorkHas) {
  std::atomic<int> at_once{0}, most{0};
  runner_.script = [&](TaskContext&, const v1::JobSpec&) {
    most = std::max(most.load(), ++at_once);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    --at_once;
    return std::string("done");
  };
  WorkerOptions options = WorkerPlace::Options(runner_);
  options.slots = 100;
  const auto worker = Start(options, place_.store());
  const Job job = place_.Submit(20);
  EXPECT_EQ(place_.AwaitEnd(job).tasks_done, 20);
  EXPECT_EQ(most, 1);
}

// ---- progress

TEST_F(WorkerTest, KeepsEveryEndAndTheBestOfTheRest) {
  runner_.script = [](TaskContext& task, const v1::JobSpec&) -> absl::StatusOr<std::string> {
    v1::FitProgress progress;
    progress.mutable_summary()->set_starts(8);
    for (int start = 0; start < 8; ++start) {
      progress.set_start(start);
      progress.set_objective(10 - start);
      progress.set_best_objective(10 - start);
      progress.mutable_summary()->set_starts_done(start / 2);
      task.Report(progress, start % 2 == 0);
    }
    return "result";
  };
  const auto worker = Start();
  const Job job = place_.Submit();
  const Job ended = place_.AwaitEnd(job);
  EXPECT_EQ(ended.best_objective, 3);
  v1::FitSummary summary;
  ASSERT_TRUE(summary.ParseFromString(ended.summary));
  EXPECT_EQ(summary.starts(), 8);
  EXPECT_EQ(summary.starts_done(), 3);
  std::vector<int64_t> starts;
  const std::vector<Event> events = place_.store().Events(job.id, 1, 100).value();
  for (const Event& event : events) {
    v1::FitProgress progress;
    if (event.kind != NewEvent::Kind::kProgress) continue;
    ASSERT_TRUE(progress.ParseFromString(event.payload));
    starts.push_back(progress.start());
  }
  EXPECT_THAT(starts, ElementsAre(0, 2, 4, 6, 7));
}

// With the next checkpoint, or the end.
TEST_F(WorkerTest, KeepsEndsThatTheStoreDidNotTake) {
  std::atomic<int> refusals{2};
  InterceptedStore store(place_.store());
  store.before = [&](const std::string& call) {
    if (call != "checkpoint" || refusals-- <= 0) return absl::OkStatus();
    return absl::UnavailableError("busy");
  };
  runner_.script = [](TaskContext& task, const v1::JobSpec&) -> absl::StatusOr<std::string> {
    for (int start = 0; start < 4; ++start) {
      v1::FitProgress progress;
      progress.set_start(start);
      task.Report(progress, true);
      if (absl::Status stored = task.Checkpoint([] { return "state"; }); !stored.ok()) {
        return stored;
      }
    }
    return "result";
  };
  const auto worker = Start(WorkerPlace::Options(runner_), store);
  const Job job = place_.Submit();
  place_.AwaitEnd(job);
  std::vector<int64_t> starts;
  const std::vector<Event> events = place_.store().Events(job.id, 1, 100).value();
  for (const Event& event : events) {
    v1::FitProgress progress;
    if (event.kind != NewEvent::Kind::kProgress) continue;
    ASSERT_TRUE(progress.ParseFromString(event.payload));
    starts.push_back(progress.start());
  }
  EXPECT_THAT(starts, ElementsAre(0, 1, 2, 3));
}

// What was done before this process came is in the results.
TEST_F(WorkerTest, CountsTasksOfEarlierProcesses) {
  std::atomic<bool> stop_after_first{true};
  runner_.script = [&](TaskContext& task, const v1::JobSpec&) -> absl::StatusOr<std::string> {
    if (task.task() == 1 && stop_after_first) return Endless(task);
    v1::FitProgress progress;
    progress.mutable_summary()->set_starts(2);
    progress.mutable_summary()->set_starts_done(1);
    task.Report(progress, true);
    return "result";
  };
  const Job job = place_.Submit(2);
  {
    const auto worker = Start();
    ASSERT_TRUE(Await([&] { return place_.Get(job).tasks_done == 1; }));
  }
  stop_after_first = false;
  const auto worker = Start();
  v1::FitSummary summary;
  ASSERT_TRUE(summary.ParseFromString(place_.AwaitEnd(job).summary));
  EXPECT_EQ(summary.starts_done(), 2);
}

TEST(OptionsForLease, LeaveRoomForRenewals) {
  const WorkerOptions options = OptionsForLease(absl::Seconds(3));
  EXPECT_EQ(options.lease, absl::Seconds(3));
  EXPECT_LE(2 * options.renew_every, options.lease - options.lease_margin);
  EXPECT_GT(options.lease_margin, absl::ZeroDuration());
  EXPECT_LT(options.reap_every, options.lease);
}

}  // namespace
}  // namespace costate::jobs

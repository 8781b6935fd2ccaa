#include "server/compute_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "google/rpc/error_details.pb.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

// A task that runs until it is let go.
class Gate {
 public:
  ComputePool::Task Task(TaskClass task_class, double cost = 1e6) {
    ComputePool::Task task;
    task.task_class = task_class;
    task.cost = cost;
    task.run = [state = state_](ComputePool::Slot&) {
      ++state->started;
      state->open.wait();
      ++state->ended;
    };
    return task;
  }
  void Open() { state_->promise.set_value(); }
  int started() const { return state_->started; }
  void AwaitStarted(int count) const {
    while (state_->started < count) std::this_thread::yield();
  }
  void AwaitEnded(int count) const {
    while (state_->ended < count) std::this_thread::yield();
  }

 private:
  struct State {
    std::promise<void> promise;
    std::shared_future<void> open{promise.get_future()};
    std::atomic<int> started{0};
    std::atomic<int> ended{0};
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Never demotes and never refuses for time, unless a test asks for it.
ComputePoolOptions Options(int threads, int interactive) {
  ComputePoolOptions options;
  options.threads = threads;
  options.interactive_threads = interactive;
  options.max_interactive_wait = absl::InfiniteDuration();
  options.max_batch_wait = absl::InfiniteDuration();
  options.quantum = absl::Hours(1);
  return options;
}

int64_t QueuedBatch(const ComputePool& pool) { return pool.stats().queued[1]; }

TEST(ComputePool, RunsEverything) {
  std::atomic<int> sum{0};
  {
    ComputePool pool(Options(4, 1));
    std::vector<std::future<void>> done;
    for (int i = 1; i <= 1000; ++i) {
      auto promise = std::make_shared<std::promise<void>>();
      done.push_back(promise->get_future());
      ComputePool::Task task;
      task.task_class = i % 3 == 0 ? TaskClass::kBatch : TaskClass::kInteractive;
      task.run = [&sum, i, promise](ComputePool::Slot&) {
        sum += i;
        promise->set_value();
      };
      ASSERT_TRUE(pool.Submit(std::move(task)).ok());
    }
    for (std::future<void>& one : done) one.wait();
  }
  EXPECT_EQ(sum, 500'500);
}

TEST(ComputePool, KeepsReservedThreadsFromBatchWork) {
  ComputePool pool(Options(4, 2));
  Gate batch, interactive;
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(pool.Submit(batch.Task(TaskClass::kBatch)).ok());
  batch.AwaitStarted(2);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(pool.Submit(interactive.Task(TaskClass::kInteractive)).ok());
  }
  interactive.AwaitStarted(2);  // would never end if batch work could take these threads
  EXPECT_EQ(batch.started(), 2);
  EXPECT_EQ(pool.stats().running[1], 2);
  EXPECT_EQ(QueuedBatch(pool), 4);
  interactive.Open();
  batch.Open();
  batch.AwaitEnded(6);
}

TEST(ComputePool, LetsInteractiveWorkUseEveryThread) {
  ComputePool pool(Options(3, 1));
  Gate gate;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pool.Submit(gate.Task(TaskClass::kInteractive)).ok());
  gate.AwaitStarted(3);
  gate.Open();
  gate.AwaitEnded(3);
}

// The estimate said "small", but the task does not end: small calls go on all the same.
TEST(ComputePool, DemotesWhatRunsTooLong) {
  ComputePoolOptions options = Options(2, 1);
  options.quantum = absl::Milliseconds(5);
  ComputePool pool(options);
  Gate endless, small;
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(pool.Submit(endless.Task(TaskClass::kInteractive)).ok());
  endless.AwaitStarted(2);
  ASSERT_TRUE(pool.Submit(small.Task(TaskClass::kInteractive)).ok());
  small.AwaitStarted(1);
  EXPECT_EQ(pool.stats().running[1], 2);
  small.Open();
  endless.Open();
  endless.AwaitEnded(2);
}

TEST(ComputePool, WithdrawsOnlyWhatWaits) {
  ComputePool pool(Options(2, 1));
  Gate gate;
  const absl::StatusOr<uint64_t> running = pool.Submit(gate.Task(TaskClass::kBatch));
  gate.AwaitStarted(1);
  const absl::StatusOr<uint64_t> waiting = pool.Submit(gate.Task(TaskClass::kBatch));
  EXPECT_FALSE(pool.Withdraw(*running));
  EXPECT_TRUE(pool.Withdraw(*waiting));
  EXPECT_FALSE(pool.Withdraw(*waiting));
  EXPECT_FALSE(pool.Withdraw(12345));
  EXPECT_EQ(QueuedBatch(pool), 0);
  gate.Open();
  gate.AwaitEnded(1);
  EXPECT_EQ(gate.started(), 1);
}

TEST(ComputePool, PausedTasksMakeRoom) {
  ComputePool pool(Options(2, 1));
  std::promise<void> resume;
  std::promise<void> paused;
  std::promise<void> ended;
  ComputePool::Task task;
  task.task_class = TaskClass::kBatch;
  task.run = [&](ComputePool::Slot& slot) {
    slot.Pause();
    paused.set_value();
    resume.get_future().wait();
    slot.Resume();
    ended.set_value();
  };
  ASSERT_TRUE(pool.Submit(std::move(task)).ok());
  paused.get_future().wait();
  Gate other;
  ASSERT_TRUE(pool.Submit(other.Task(TaskClass::kBatch)).ok());
  other.AwaitStarted(1);
  resume.set_value();
  ended.get_future().wait();
  other.Open();
  other.AwaitEnded(1);
}

absl::Duration RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload("type.googleapis.com/google.rpc.RetryInfo");
  google::rpc::RetryInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) {
    return absl::ZeroDuration();
  }
  return absl::Seconds(info.retry_delay().seconds()) +
         absl::Nanoseconds(info.retry_delay().nanos());
}

// A pool whose batch thread is taken by work of ten seconds, as far as it can tell.
class BusyPool : public ::testing::Test {
 protected:
  void Occupy(const ComputePoolOptions& options) {
    pool_ = std::make_unique<ComputePool>(options);
    ASSERT_TRUE(pool_->Submit(gate_.Task(TaskClass::kBatch, 1e11)).ok());  // the prior: 10 s
    gate_.AwaitStarted(1);
  }
  void TearDown() override { gate_.Open(); }

  Gate gate_;
  std::unique_ptr<ComputePool> pool_;
};

TEST_F(BusyPool, RefusesPastTheLengthOfTheQueue) {
  ComputePoolOptions options = Options(2, 1);
  options.max_queued_tasks = 2;
  Occupy(options);
  EXPECT_TRUE(pool_->Submit(gate_.Task(TaskClass::kBatch)).ok());
  EXPECT_TRUE(pool_->Submit(gate_.Task(TaskClass::kBatch)).ok());
  const absl::Status status = pool_->Submit(gate_.Task(TaskClass::kBatch)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(RetryAfter(status), absl::Seconds(1));
  EXPECT_EQ(pool_->stats().refused[1], 1);
  EXPECT_EQ(pool_->stats().refused[0], 0);
}

TEST_F(BusyPool, RefusesPastTheBytes) {
  ComputePoolOptions options = Options(2, 1);
  options.max_bytes = 1000;
  Occupy(options);
  ComputePool::Task large = gate_.Task(TaskClass::kBatch);
  large.bytes = 900;
  EXPECT_TRUE(pool_->Submit(large).ok());
  EXPECT_EQ(pool_->Submit(large).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(pool_->stats().bytes, 900);
}

// A task that goes on in the other class holds its bytes once, whichever of the two is asked.
TEST(ComputePool, AYieldingTaskLetsOthersOfItsClassGoFirst) {
  ComputePool pool(Options(2, 1));
  std::promise<void> running, queued;
  std::atomic<bool> other_ran{false}, seen{false};
  std::promise<void> ended;
  ComputePool::Task task;
  task.task_class = TaskClass::kBatch;
  task.run = [&](ComputePool::Slot& slot) {
    slot.Yield(absl::InfiniteDuration());  // nobody waits: at once
    running.set_value();
    queued.get_future().wait();
    slot.Yield(absl::InfiniteDuration());
    seen = other_ran.load();
    ended.set_value();
  };
  ASSERT_TRUE(pool.Submit(std::move(task)).ok());
  running.get_future().wait();
  ComputePool::Task other;
  other.task_class = TaskClass::kBatch;
  other.run = [&](ComputePool::Slot&) { other_ran = true; };
  ASSERT_TRUE(pool.Submit(std::move(other)).ok());
  queued.set_value();
  ended.get_future().wait();
  EXPECT_TRUE(seen);
}

TEST(ComputePool, AYieldingTaskIsPatientOnlySoLong) {
  ComputePool pool(Options(2, 1));
  Gate gate;
  std::promise<void> running, queued, ended;
  ComputePool::Task task;
  task.task_class = TaskClass::kBatch;
  task.run = [&](ComputePool::Slot& slot) {
    running.set_value();
    queued.get_future().wait();
    slot.Yield(absl::Milliseconds(20));
    ended.set_value();
  };
  ASSERT_TRUE(pool.Submit(std::move(task)).ok());
  running.get_future().wait();
  ASSERT_TRUE(pool.Submit(gate.Task(TaskClass::kBatch)).ok());
  queued.set_value();
  ended.get_future().wait();  // though the other runs on
  EXPECT_EQ(gate.started(), 1);
  gate.Open();
}

// Else a call that waits for minutes would make all others look as slow.
TEST(ComputePool, CountsNoTimeThatATaskWasPaused) {
  ComputePool pool(Options(2, 1));
  constexpr double kCost = 1e10;  // the prior is soon forgotten
  for (int i = 0; i < 40; ++i) {
    std::promise<void> done;
    ComputePool::Task task;
    task.cost = kCost;
    task.run = [&](ComputePool::Slot& slot) {
      slot.Pause();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      if (i % 2 == 0) slot.Resume();  // the others end as they are
      done.set_value();
    };
    ASSERT_TRUE(pool.Submit(std::move(task)).ok());
    done.get_future().wait();
  }
  Gate gate;
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(pool.Submit(gate.Task(TaskClass::kInteractive, kCost)).ok());
  }
  // Twelve tasks of 50 ms would be 600.
  EXPECT_LT(pool.ExpectedWait(TaskClass::kInteractive), absl::Milliseconds(200));
  gate.Open();
}

// A task without a cost that takes long says nothing about others.
TEST(ComputePool, LearnsNothingFromTasksWithoutACost) {
  ComputePool pool(Options(2, 1));
  Gate gate;
  for (int i = 0; i < 20; ++i) {
    std::promise<void> done;
    ComputePool::Task task;
    task.task_class = TaskClass::kBatch;
    task.run = [&](ComputePool::Slot&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      done.set_value();
    };
    ASSERT_TRUE(pool.Submit(std::move(task)).ok());
    done.get_future().wait();
  }
  ASSERT_TRUE(pool.Submit(gate.Task(TaskClass::kBatch)).ok());
  gate.AwaitStarted(1);
  ASSERT_TRUE(pool.Submit(gate.Task(TaskClass::kBatch, 1e9)).ok());
  // By the prior, 1e9 units take 0.1 s.
  EXPECT_LT(pool.ExpectedWait(TaskClass::kBatch), absl::Milliseconds(200));
  gate.Open();
}

TEST(ComputePool, CountsTheBytesOfAMovedTaskOnce) {
  ComputePoolOptions options = Options(2, 1);
  options.max_bytes = 1000;
  ComputePool pool(options);
  Gate second;
  std::promise<absl::Status> moved;
  std::promise<void> go_on;
  ComputePool::Task first;
  first.bytes = 900;
  first.run = [&](ComputePool::Slot& slot) {
    ComputePool::Task task = second.Task(TaskClass::kBatch);
    task.bytes = 900;
    moved.set_value(pool.Submit(std::move(task), &slot).status());
    go_on.get_future().wait();
  };
  ASSERT_TRUE(pool.Submit(std::move(first)).ok());
  EXPECT_TRUE(moved.get_future().get().ok());
  second.AwaitStarted(1);
  EXPECT_EQ(pool.stats().bytes, 900);
  go_on.set_value();
  while (pool.stats().running[0] > 0) std::this_thread::yield();
  EXPECT_EQ(pool.stats().bytes, 900);
  second.Open();
  while (pool.stats().running[1] > 0) std::this_thread::yield();
  EXPECT_EQ(pool.stats().bytes, 0);
}

TEST_F(BusyPool, RefusesPastTheExpectedWait) {
  ComputePoolOptions options = Options(2, 1);
  options.max_batch_wait = absl::Seconds(15);
  Occupy(options);
  EXPECT_TRUE(pool_->Submit(gate_.Task(TaskClass::kBatch, 1e11)).ok());
  const absl::Status status = pool_->Submit(gate_.Task(TaskClass::kBatch)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("expected wait"));
  EXPECT_NEAR(absl::ToDoubleSeconds(RetryAfter(status)), 5, 1);
  Gate small;
  EXPECT_TRUE(pool_->Submit(small.Task(TaskClass::kInteractive)).ok());
  small.Open();
  small.AwaitEnded(1);
}

TEST_F(BusyPool, RefusesAtOnceWhatCannotMeetItsDeadline) {
  Occupy(Options(2, 1));
  ComputePool::Task task = gate_.Task(TaskClass::kBatch);
  task.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  const absl::Status status = pool_->Submit(task).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("deadline"));
  task.deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  EXPECT_TRUE(pool_->Submit(task).ok());
}

TEST(ExhaustedStatus, KeepsDelaysReasonable) {
  EXPECT_EQ(RetryAfter(ExhaustedStatus("x", absl::ZeroDuration())), absl::Milliseconds(50));
  EXPECT_EQ(RetryAfter(ExhaustedStatus("x", absl::Hours(3))), absl::Minutes(1));
  EXPECT_EQ(RetryAfter(ExhaustedStatus("x", absl::Milliseconds(1500))), absl::Milliseconds(1500));
}

}  // namespace
}  // namespace costate

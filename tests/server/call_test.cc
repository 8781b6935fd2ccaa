#include "server/call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>

#include "server/environment.h"

namespace costate {
namespace {

using std::chrono::steady_clock;

// One batch thread, one interactive one.
class CallTest : public ::testing::Test {
 protected:
  CallTest() {
    EnvironmentOptions options;
    options.pool.threads = 2;
    options.pool.interactive_threads = 1;
    options.memory_budget = 1000;
    environment_ = Environment::Create(options, log_).value();
  }
  ~CallTest() override { environment_->active_calls().WaitUntilIdle(absl::InfiniteDuration()); }

  static CallOptions Options(TaskClass task_class = TaskClass::kInteractive) {
    CallOptions options;
    options.method = "test";
    options.task_class = task_class;
    options.deadline = steady_clock::now() + std::chrono::hours(1);
    return options;
  }

  std::shared_ptr<Call> Start(const CallOptions& options, Call::Prepare prepare) {
    auto call = std::make_shared<Call>(*environment_, options);
    auto ended = std::make_shared<std::promise<absl::Status>>();
    ended_ = ended->get_future();
    call->Start(std::move(prepare), [ended, this](const absl::Status& status, const CallRecord&,
                                                  MemoryBudget::Hold memory) {
      answer_ = std::move(memory);
      ended->set_value(status);
    });
    return call;
  }

  // Runs until it is cancelled.
  static absl::StatusOr<Work> Endless(CallContext& context) {
    return Work{1e9, [&context] {
                  while (!context.cancellation.cancelled()) std::this_thread::yield();
                  return CancellationStatus(context.cancellation.reason());
                }};
  }

  Log log_{LogLevel::kError, [](std::string_view) {}};
  std::unique_ptr<Environment> environment_;
  std::future<absl::Status> ended_;
  MemoryBudget::Hold answer_;  // of the last call that ended
};

TEST_F(CallTest, PreparesThenWorks) {
  std::string steps;
  Start(Options(), [&](CallContext&) -> absl::StatusOr<Work> {
    steps += "prepare ";
    return Work{1, [&] {
                  steps += "work";
                  return absl::OkStatus();
                }};
  });
  EXPECT_TRUE(ended_.get().ok());
  EXPECT_EQ(steps, "prepare work");
}

TEST_F(CallTest, EndsWithAnErrorOfEitherStep) {
  Start(Options(),
        [](CallContext&) -> absl::StatusOr<Work> { return absl::InvalidArgumentError("bad"); });
  EXPECT_EQ(ended_.get(), absl::InvalidArgumentError("bad"));
  Start(Options(), [](CallContext&) -> absl::StatusOr<Work> {
    return Work{1, [] { return absl::InternalError("late"); }};
  });
  EXPECT_EQ(ended_.get(), absl::InternalError("late"));
}

TEST_F(CallTest, OutOfMemoryEndsTheCallAlone) {
  Start(Options(), [](CallContext&) -> absl::StatusOr<Work> { throw std::bad_alloc(); });
  EXPECT_EQ(ended_.get().code(), absl::StatusCode::kResourceExhausted);
  Start(Options(), [](CallContext&) -> absl::StatusOr<Work> {
    return Work{1, []() -> absl::Status { throw std::length_error("vector"); }};
  });
  EXPECT_EQ(ended_.get().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(CallTest, ConcurrentCallsShareTheMemoryBudget) {
  const auto needs = [](int64_t bytes) {
    return [bytes](CallContext& context) {
      absl::StatusOr<Work> work = Endless(context);
      work->bytes = bytes;
      return work;
    };
  };
  const auto first = Start(Options(), needs(600));
  std::future<absl::Status> first_ended = std::move(ended_);
  while (environment_->memory().held() == 0) std::this_thread::yield();
  Start(Options(), needs(600));
  const absl::Status second = ended_.get();
  EXPECT_EQ(second.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(second.GetPayload("type.googleapis.com/google.rpc.RetryInfo").has_value());
  EXPECT_EQ(environment_->memory().held(), 600);
  first->Cancel(Cancellation::Reason::kClientCancelled);
  EXPECT_EQ(first_ended.get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(environment_->memory().held(), 0);  // before the client heard of the end

  Start(Options(), [](CallContext&) -> absl::StatusOr<Work> {
    return Work{1, [] { return absl::OkStatus(); }, 600};
  });
  EXPECT_TRUE(ended_.get().ok());
  EXPECT_EQ(environment_->memory().held(), 600) << "the answer holds it on";
  answer_.ShrinkTo(700);
  EXPECT_EQ(environment_->memory().held(), 600);
  answer_.ShrinkTo(250);
  EXPECT_EQ(environment_->memory().held(), 250);
  answer_.Release();
  EXPECT_EQ(environment_->memory().held(), 0);
  Start(Options(), needs(1001));
  const absl::Status never = ended_.get();
  EXPECT_EQ(never.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(never.GetPayload("type.googleapis.com/google.rpc.RetryInfo").has_value());
}

// Where the engine was interrupted helps no one; what to do about it does.
TEST_F(CallTest, SaysWhatToDoAboutADeadline) {
  const auto call = Start(Options(), [](CallContext& context) -> absl::StatusOr<Work> {
    return Work{1e9, [&context] {
                  while (!context.cancellation.cancelled()) std::this_thread::yield();
                  return absl::DeadlineExceededError("deep inside");
                }};
  });
  call->Cancel(Cancellation::Reason::kDeadlineExceeded);
  EXPECT_EQ(ended_.get(), CancellationStatus(Cancellation::Reason::kDeadlineExceeded));
}

TEST_F(CallTest, MovesCostlyWorkToTheBatchThreads) {
  const auto hold = Start(Options(), Endless);
  std::future<absl::Status> first = std::move(ended_);
  while (environment_->pool().stats().running[1] == 0) std::this_thread::yield();
  const auto waiting = Start(Options(), Endless);  // its work queues behind the first
  while (environment_->pool().stats().queued[1] == 0) std::this_thread::yield();
  // The preparing thread is free again: nothing waits on a thread.
  while (environment_->pool().stats().running[0] != 0) std::this_thread::yield();
  waiting->Cancel(Cancellation::Reason::kClientCancelled);
  EXPECT_EQ(ended_.get().code(), absl::StatusCode::kCancelled);  // although it never started
  hold->Cancel(Cancellation::Reason::kShuttingDown);
  EXPECT_EQ(first.get().code(), absl::StatusCode::kUnavailable);
}

TEST_F(CallTest, EndsAtItsDeadline) {
  CallOptions options = Options();
  options.deadline = steady_clock::now() + std::chrono::milliseconds(30);
  Start(options, Endless);
  EXPECT_EQ(ended_.get().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_GE(steady_clock::now(), options.deadline);
}

TEST_F(CallTest, KeepsTheFirstReason) {
  const auto call = Start(Options(), Endless);
  call->Cancel(Cancellation::Reason::kShuttingDown);
  call->Cancel(Cancellation::Reason::kClientCancelled);
  EXPECT_EQ(ended_.get().code(), absl::StatusCode::kUnavailable);
  call->Cancel(Cancellation::Reason::kClientCancelled);  // after the end: nothing
}

TEST_F(CallTest, CancelRacesWithEveryStep) {
  for (int round = 0; round < 300; ++round) {
    const auto call = Start(Options(), Endless);
    std::thread other([&] { call->Cancel(Cancellation::Reason::kClientCancelled); });
    EXPECT_EQ(ended_.get().code(), absl::StatusCode::kCancelled);
    other.join();
  }
}

TEST_F(CallTest, IsRefusedWhileDraining) {
  environment_->active_calls().StartDraining();
  Start(Options(), Endless);
  EXPECT_EQ(ended_.get().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(environment_->active_calls().WaitUntilIdle(absl::InfiniteDuration()));
}

TEST_F(CallTest, WaitsWithoutLimitForTheLastCall) {
  std::atomic<bool> over = false;
  std::promise<void> begun;
  Start(Options(), [&](CallContext&) -> absl::StatusOr<Work> {
    return Work{1, [&] {
                  begun.set_value();
                  std::this_thread::sleep_for(std::chrono::milliseconds(20));
                  over = true;
                  return absl::OkStatus();
                }};
  });
  begun.get_future().wait();
  EXPECT_FALSE(environment_->active_calls().WaitUntilIdle(absl::ZeroDuration()));
  EXPECT_TRUE(environment_->active_calls().WaitUntilIdle(absl::InfiniteDuration()));
  EXPECT_TRUE(over);
}

TEST(CancellationStatus, HasACodeForEachReason) {
  using Reason = Cancellation::Reason;
  EXPECT_TRUE(CancellationStatus(Reason::kNone).ok());
  EXPECT_EQ(CancellationStatus(Reason::kClientCancelled).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(CancellationStatus(Reason::kDeadlineExceeded).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(CancellationStatus(Reason::kShuttingDown).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace costate

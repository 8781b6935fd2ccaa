#include "engine/gradients/stop_check.h"

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

absl::StatusCode CodeAfter(Cancellation::Reason reason) {
  Cancellation cancellation;
  const StopSource source = {.cancellation = &cancellation};
  StopCheck stop(&source);
  EXPECT_TRUE(stop.Poll().ok());
  cancellation.Cancel(reason);
  return stop.Poll().code();
}

TEST(StopCheck, SaysWhyItStops) {
  EXPECT_EQ(CodeAfter(Cancellation::Reason::kClientCancelled), absl::StatusCode::kCancelled);
  EXPECT_EQ(CodeAfter(Cancellation::Reason::kDeadlineExceeded),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(CodeAfter(Cancellation::Reason::kShuttingDown), absl::StatusCode::kUnavailable);
}

TEST(StopCheck, LooksAtTheClockNowAndThen) {
  const StopSource source = {.deadline = absl::InfinitePast()};
  StopCheck past(&source);
  EXPECT_EQ(past.Poll().code(), absl::StatusCode::kDeadlineExceeded);  // at once
  int refused = 0;
  for (int i = 0; i < 1000; ++i) refused += past.Poll().ok() ? 0 : 1;
  EXPECT_GE(refused, 10);
  EXPECT_LT(refused, 1000);
}

// With polls 2 ms apart the clock is read ever more often: long steps overrun no budget by many.
TEST(StopCheck, LooksAtTheClockOftenWhenStepsAreLong) {
  StopSource source;
  StopCheck stop(&source);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(stop.Poll().ok());  // short ones
  for (int i = 0; i < 70; ++i) {
    absl::SleepFor(absl::Milliseconds(2));
    ASSERT_TRUE(stop.Poll().ok());
  }
  source.deadline = absl::InfinitePast();
  absl::SleepFor(absl::Milliseconds(2));
  int polls = 1;
  while (stop.Poll().ok()) {
    absl::SleepFor(absl::Milliseconds(2));
    ++polls;
  }
  EXPECT_LE(polls, 20);
}

TEST(StopCheck, WithoutLimitsGoesOn) {
  StopCheck stop(&kNeverStops);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(stop.Poll().ok());
}

TEST(StopCheck, HeedsWhatItsSourceSaysNow) {
  Cancellation first, second;
  StopSource source = {.cancellation = &first};
  StopCheck stop(&source);
  first.Cancel(Cancellation::Reason::kClientCancelled);
  EXPECT_EQ(stop.Poll().code(), absl::StatusCode::kCancelled);
  source.cancellation = &second;
  EXPECT_TRUE(stop.Poll().ok());
  second.Cancel(Cancellation::Reason::kShuttingDown);
  EXPECT_EQ(stop.Poll().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace costate

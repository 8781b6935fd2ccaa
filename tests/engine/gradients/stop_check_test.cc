#include "engine/gradients/stop_check.h"

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

absl::StatusCode CodeAfter(Cancellation::Reason reason) {
  Cancellation cancellation;
  StopCheck stop(&cancellation, absl::InfiniteFuture());
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
  StopCheck past(nullptr, absl::InfinitePast());
  EXPECT_EQ(past.Poll().code(), absl::StatusCode::kDeadlineExceeded);  // at once
  int refused = 0;
  for (int i = 0; i < 1000; ++i) refused += past.Poll().ok() ? 0 : 1;
  EXPECT_GE(refused, 10);
  EXPECT_LT(refused, 1000);
}

TEST(StopCheck, WithoutLimitsGoesOn) {
  StopCheck stop(nullptr, absl::InfiniteFuture());
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(stop.Poll().ok());
}

}  // namespace
}  // namespace costate

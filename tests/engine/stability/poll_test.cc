#include "engine/stability/poll.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace costate::stability {
namespace {

using ::testing::HasSubstr;

absl::Status Cancelled(Cancellation::Reason reason) {
  Cancellation cancellation;
  cancellation.Cancel(reason);
  return Poll({&cancellation}, "tests ran");
}

TEST(PollTest, StatusOfEveryReason) {
  EXPECT_TRUE(Poll(kNeverStops, "tests ran").ok());
  Cancellation untouched;
  EXPECT_TRUE(Poll({&untouched}, "tests ran").ok());
  EXPECT_TRUE(absl::IsCancelled(Cancelled(Cancellation::Reason::kClientCancelled)));
  EXPECT_TRUE(absl::IsUnavailable(Cancelled(Cancellation::Reason::kShuttingDown)));
  const absl::Status late = Cancelled(Cancellation::Reason::kDeadlineExceeded);
  EXPECT_TRUE(absl::IsDeadlineExceeded(late));
  EXPECT_THAT(std::string(late.message()), HasSubstr("while tests ran"));
  EXPECT_TRUE(absl::IsDeadlineExceeded(Poll({nullptr, absl::InfinitePast()}, "tests ran")));
  EXPECT_TRUE(Poll({nullptr, absl::Now() + absl::Hours(1)}, "tests ran").ok());
}

}  // namespace
}  // namespace costate::stability

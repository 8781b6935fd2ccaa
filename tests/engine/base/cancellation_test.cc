#include "engine/base/cancellation.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace costate {
namespace {

TEST(CancellationTest, StartsUnset) {
  const Cancellation cancellation;
  EXPECT_FALSE(cancellation.cancelled());
  EXPECT_EQ(cancellation.reason(), Cancellation::Reason::kNone);
}

TEST(CancellationTest, TheFirstReasonStays) {
  Cancellation cancellation;
  cancellation.Cancel(Cancellation::Reason::kDeadlineExceeded);
  cancellation.Cancel(Cancellation::Reason::kClientCancelled);
  EXPECT_TRUE(cancellation.cancelled());
  EXPECT_EQ(cancellation.reason(), Cancellation::Reason::kDeadlineExceeded);
}

TEST(CancellationTest, OneOfManyThreadsWinsAndNothingChangesAfterwards) {
  Cancellation cancellation;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&cancellation, i] {
      cancellation.Cancel(i % 2 == 0 ? Cancellation::Reason::kShuttingDown
                                     : Cancellation::Reason::kClientCancelled);
    });
  }
  while (!cancellation.cancelled()) std::this_thread::yield();
  const Cancellation::Reason first = cancellation.reason();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cancellation.reason(), first);
}

}  // namespace
}  // namespace costate

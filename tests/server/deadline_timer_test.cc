#include "server/deadline_timer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <mutex>
#include <vector>

namespace costate {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

TEST(DeadlineTimer, RunsInOrderOfTime) {
  std::mutex mutex;
  std::vector<int> order;
  std::promise<void> done;
  DeadlineTimer timer;
  const auto now = steady_clock::now();
  const auto note = [&](int which) {
    const std::lock_guard<std::mutex> lock(mutex);
    order.push_back(which);
  };
  timer.Schedule(now + milliseconds(60), [&] {
    note(3);
    done.set_value();
  });
  timer.Schedule(now + milliseconds(20), [&] { note(1); });
  timer.Schedule(now + milliseconds(40), [&] { note(2); });
  done.get_future().wait();
  const std::lock_guard<std::mutex> lock(mutex);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(DeadlineTimer, NeverRunsEarly) {
  DeadlineTimer timer;
  std::promise<steady_clock::time_point> ran;
  const auto due = steady_clock::now() + milliseconds(30);
  timer.Schedule(due, [&] { ran.set_value(steady_clock::now()); });
  EXPECT_GE(ran.get_future().get(), due);
}

TEST(DeadlineTimer, RunsWhatIsLateAtOnce) {
  DeadlineTimer timer;
  std::promise<void> ran;
  timer.Schedule(steady_clock::now() - milliseconds(1), [&] { ran.set_value(); });
  ran.get_future().wait();
}

TEST(DeadlineTimer, ForgetsWhatIsCancelled) {
  std::promise<void> second;
  bool first_ran = false;
  DeadlineTimer timer;
  const auto now = steady_clock::now();
  const DeadlineTimer::Id first = timer.Schedule(now + milliseconds(20), [&] { first_ran = true; });
  timer.Schedule(now + milliseconds(40), [&] { second.set_value(); });
  timer.Cancel(first);
  timer.Cancel(first);
  second.get_future().wait();
  EXPECT_FALSE(first_ran);
}

TEST(DeadlineTimer, MayBeUsedFromItsCallbacks) {
  std::promise<void> done;
  DeadlineTimer timer;
  timer.Schedule(steady_clock::now(),
                 [&] { timer.Schedule(steady_clock::now(), [&] { done.set_value(); }); });
  done.get_future().wait();
}

TEST(DeadlineTimer, DropsTheRestAtItsEnd) {
  bool ran = false;
  {
    DeadlineTimer timer;
    timer.Schedule(DeadlineTimer::TimePoint::max(), [&] { ran = true; });
  }
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace costate

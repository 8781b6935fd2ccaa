#include "server/jobs/waiters.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace costate::jobs {
namespace {

constexpr absl::Duration kLong = absl::InfiniteDuration();

TEST(Waiters, WhatIsThereIsNotWaitedFor) {
  Waiters waiters;
  waiters.WaitForJob("a", kLong, [] { return true; });
  waiters.WaitForJob("a", absl::ZeroDuration(), [] { return false; });
  waiters.WaitForJob("a", -kLong, [] { return false; });
  waiters.WaitForWork(absl::ZeroDuration());
  waiters.Changed(1, {});
  waiters.WaitForWork(kLong);
}

// A change between the look and the wait is not missed.
TEST(Waiters, AChangeDuringTheLookIsSeen) {
  Waiters waiters;
  waiters.WaitForJob("a", kLong, [&] {
    waiters.Changed(0, {"b", "a"});
    return false;
  });
}

TEST(Waiters, OnlyTheJobThatChangedIsWoken) {
  Waiters waiters;
  std::atomic<bool> watching = false;
  std::atomic<bool> woken = false;
  std::thread watcher([&] {
    waiters.WaitForJob("a", kLong, [&] {
      watching = true;
      return false;
    });
    woken = true;
  });
  while (!watching) std::this_thread::yield();
  for (int i = 0; i < 100; ++i) waiters.Changed(1, {"b"});
  EXPECT_FALSE(woken);
  waiters.Changed(0, {"a"});
  watcher.join();
}

TEST(Waiters, ManyMayWatchOneJob) {
  Waiters waiters;
  std::atomic<int> watching = 0;
  std::vector<std::thread> watchers;
  for (int i = 0; i < 4; ++i) {
    watchers.emplace_back([&] {
      waiters.WaitForJob("a", kLong, [&] {
        ++watching;
        return false;
      });
    });
  }
  while (watching < 4) std::this_thread::yield();
  waiters.Changed(0, {"a"});
  for (std::thread& watcher : watchers) watcher.join();
}

}  // namespace
}  // namespace costate::jobs

#include "engine/codegen/kernel_cache.h"

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace costate::codegen {
namespace {

void Nothing(const void*, const double* const*, double* const*, double*) {}

CacheKey Key(uint8_t name) {
  CacheKey key = {};
  key[0] = name;
  return key;
}

absl::StatusOr<BuiltKernel> Built(int64_t bytes, std::shared_ptr<const void> owner = nullptr) {
  return BuiltKernel{Kernel(Nothing, nullptr, std::move(owner), 1, 0), bytes};
}

TEST(KernelCache, BuildsOnce) {
  KernelCache cache(1 << 20);
  int builds = 0;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(cache.GetOrBuild(Key(1), [&] { return ++builds, Built(100); }).ok());
  }
  EXPECT_EQ(builds, 1);
  EXPECT_EQ(cache.hits(), 2);
}

TEST(KernelCache, DropsTheLeastRecentlyUsed) {
  KernelCache cache(100'000);
  std::vector<std::weak_ptr<const void>> alive;
  const auto get = [&](uint8_t name) {
    return cache.GetOrBuild(Key(name), [&] {
      const auto owner = std::make_shared<const int>(name);
      alive.push_back(owner);
      return Built(40'000, owner);
    });
  };
  EXPECT_TRUE(get(1).ok() && get(2).ok());
  EXPECT_TRUE(get(1).ok());  // now 2 is the oldest
  EXPECT_TRUE(get(3).ok());
  EXPECT_FALSE(alive[0].expired());
  EXPECT_TRUE(alive[1].expired());
  EXPECT_FALSE(alive[2].expired());
  EXPECT_LE(cache.bytes(), 100'000);
}

TEST(KernelCache, AKernelLargerThanTheCacheIsGivenOutAndNotKept) {
  KernelCache cache(1000);
  const auto owner = std::make_shared<const int>(1);
  const std::weak_ptr<const void> alive = owner;
  {
    const auto kernel = cache.GetOrBuild(Key(1), [&] { return Built(5000, owner); });
    EXPECT_TRUE(kernel.ok() && *kernel);
    EXPECT_EQ(owner.use_count(), 2);
  }
  EXPECT_EQ(owner.use_count(), 1);
  EXPECT_EQ(cache.bytes(), 0);
}

TEST(KernelCache, RequestsForOneKeyWaitForOneBuild) {
  KernelCache cache(1 << 20);
  std::atomic<int> builds = 0, done = 0;
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto kernel = cache.GetOrBuild(Key(1), [&] {
        ++builds;
        released.wait();
        return Built(10);
      });
      if (kernel.ok()) ++done;
    });
  }
  // Another key is not held up.
  EXPECT_TRUE(cache.GetOrBuild(Key(2), [] { return Built(10); }).ok());
  release.set_value();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(builds, 1);
  EXPECT_EQ(done, 8);
}

TEST(KernelCache, FailuresAreReportedAndNotKept) {
  KernelCache cache(1 << 20);
  const auto failing = [] { return absl::StatusOr<BuiltKernel>(absl::InternalError("no")); };
  EXPECT_EQ(cache.GetOrBuild(Key(1), failing).status().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(cache.GetOrBuild(Key(1), [] { return Built(10); }).ok());
}

}  // namespace
}  // namespace costate::codegen

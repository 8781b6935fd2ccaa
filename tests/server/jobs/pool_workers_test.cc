#include "server/jobs/pool_workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace costate::jobs {
namespace {

ComputePoolOptions Threads(int threads) {
  ComputePoolOptions options;
  options.threads = threads;
  options.interactive_threads = 1;
  return options;
}

// Runs `work` as a batch task of the pool.
void RunInside(ComputePool& pool, const std::function<void()>& work) {
  std::promise<void> done;
  ComputePool::Task task;
  task.task_class = TaskClass::kBatch;
  task.run = [&](ComputePool::Slot&) {
    work();
    done.set_value();
  };
  ASSERT_TRUE(pool.Submit(std::move(task)).ok());
  done.get_future().wait();
}

TEST(PoolWorkers, DoesEveryPieceOnce) {
  for (const int threads : {2, 3, 6}) {
    ComputePool pool(Threads(threads));
    PoolWorkers workers(pool);
    RunInside(pool, [&] {
      for (const int64_t count : {0, 1, 2, 100}) {
        std::vector<std::atomic<int>> done(static_cast<size_t>(count));
        workers.Run(count, [&](int64_t i) { ++done[static_cast<size_t>(i)]; });
        for (const std::atomic<int>& times : done) EXPECT_EQ(times, 1);
      }
    });
  }
}

TEST(PoolWorkers, IsAsWideAsThereAreIdleBatchThreads) {
  ComputePool pool(Threads(4));
  PoolWorkers workers(pool);
  RunInside(pool, [&] {
    EXPECT_EQ(workers.width(), 3) << "the caller's own and two idle ones";
    RunInside(pool, [&] { EXPECT_EQ(workers.width(), 2); });
  });
}

// Two pieces that wait for each other need two threads.
TEST(PoolWorkers, SharesWithIdleThreads) {
  ComputePool pool(Threads(4));
  PoolWorkers workers(pool);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  RunInside(pool, [&] {
    std::promise<void> first, second;
    workers.Run(2, [&](int64_t i) {
      {
        const std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
      }
      (i == 0 ? first : second).set_value();
      (i == 0 ? second : first).get_future().wait();
    });
  });
  EXPECT_EQ(threads.size(), 2u);
}

TEST(PoolWorkers, RunsWithinItself) {
  ComputePool pool(Threads(4));
  PoolWorkers workers(pool);
  std::atomic<int> done{0};
  RunInside(pool,
            [&] { workers.Run(4, [&](int64_t) { workers.Run(4, [&](int64_t) { ++done; }); }); });
  EXPECT_EQ(done, 16);
}

TEST(PoolWorkers, ThrowsWhatAPieceThrew) {
  ComputePool pool(Threads(3));
  PoolWorkers workers(pool);
  std::atomic<int> done{0};
  RunInside(pool, [&] {
    EXPECT_THROW(workers.Run(50,
                             [&](int64_t i) {
                               if (i == 7) throw std::length_error("too long");
                               ++done;
                             }),
                 std::length_error);
  });
  EXPECT_EQ(done, 49) << "the others were done";
}

}  // namespace
}  // namespace costate::jobs

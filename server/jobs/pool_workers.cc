#include "server/jobs/pool_workers.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace costate::jobs {
namespace {

// Pieces that several threads take one after another. Outlives Run in the hands of helpers that
// come too late; those find nothing left and do not touch `piece`.
class Pieces {
 public:
  Pieces(int64_t count, absl::FunctionRef<void(int64_t)> piece) : count_(count), piece_(piece) {}

  // Takes pieces until there are none.
  void Work() {
    for (int64_t i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) {
      try {
        piece_(i);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (error_ == nullptr) error_ = std::current_exception();
      }
      const std::lock_guard<std::mutex> lock(mutex_);
      if (++done_ == count_) ended_.notify_all();
    }
  }

  void WaitForAll() {
    std::unique_lock<std::mutex> lock(mutex_);
    ended_.wait(lock, [this] { return done_ == count_; });
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

 private:
  const int64_t count_;
  const absl::FunctionRef<void(int64_t)> piece_;
  std::atomic<int64_t> next_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
  int64_t done_ = 0;
  std::exception_ptr error_;
};

int64_t IdleBatchThreads(const ComputePool& pool) {
  const ComputePool::Stats stats = pool.stats();
  const int64_t batch = pool.options().threads - pool.options().interactive_threads;
  constexpr auto kBatch = static_cast<size_t>(TaskClass::kBatch);
  return std::max<int64_t>(0, batch - stats.running[kBatch] - stats.queued[kBatch]);
}

}  // namespace

int64_t PoolWorkers::width() const { return 1 + IdleBatchThreads(pool_); }

void PoolWorkers::Run(int64_t count, absl::FunctionRef<void(int64_t)> piece) {
  const int64_t helpers = std::min(count - 1, IdleBatchThreads(pool_));
  if (helpers <= 0) {
    for (int64_t i = 0; i < count; ++i) piece(i);
    return;
  }
  const auto pieces = std::make_shared<Pieces>(count, piece);
  std::vector<uint64_t> tickets;
  for (int64_t i = 0; i < helpers; ++i) {
    ComputePool::Task task;
    task.task_class = TaskClass::kBatch;
    task.run = [pieces](ComputePool::Slot&) { pieces->Work(); };
    // Refused when others were faster: the pieces are done without them.
    if (absl::StatusOr<uint64_t> ticket = pool_.Submit(std::move(task)); ticket.ok()) {
      tickets.push_back(*ticket);
    }
  }
  pieces->Work();
  for (const uint64_t ticket : tickets) pool_.Withdraw(ticket);
  pieces->WaitForAll();
}

}  // namespace costate::jobs

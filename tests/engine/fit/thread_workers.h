// Workers with a thread for every piece, for tests.
#ifndef COSTATE_TESTS_ENGINE_FIT_THREAD_WORKERS_H_
#define COSTATE_TESTS_ENGINE_FIT_THREAD_WORKERS_H_

#include <thread>
#include <vector>

#include "engine/base/workers.h"

namespace costate::fit::testing {

class ThreadWorkers final : public Workers {
 public:
  explicit ThreadWorkers(int64_t width) : width_(width) {}
  int64_t width() const override { return width_; }
  void Run(int64_t count, absl::FunctionRef<void(int64_t)> piece) override {
    std::vector<std::thread> threads;
    for (int64_t i = 1; i < count; ++i) threads.emplace_back([&, i] { piece(i); });
    if (count > 0) piece(0);
    for (std::thread& thread : threads) thread.join();
  }

 private:
  const int64_t width_;
};

}  // namespace costate::fit::testing

#endif  // COSTATE_TESTS_ENGINE_FIT_THREAD_WORKERS_H_

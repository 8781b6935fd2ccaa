// Threads to share work with, as far as there are any.
#ifndef COSTATE_ENGINE_BASE_WORKERS_H_
#define COSTATE_ENGINE_BASE_WORKERS_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace costate {

// Thread-safety: Run may be called from any thread, and from within itself.
class Workers {
 public:
  virtual ~Workers() = default;
  // How many pieces it pays to cut work into, >= 1. May change.
  virtual int64_t width() const = 0;
  // Calls piece(i) for i in [0, count), in any order and on any thread, the calling one included;
  // returns when all have returned.
  virtual void Run(int64_t count, absl::FunctionRef<void(int64_t)> piece) = 0;
};

// Runs everything in the calling thread.
class NoWorkers final : public Workers {
 public:
  int64_t width() const override { return 1; }
  void Run(int64_t count, absl::FunctionRef<void(int64_t)> piece) override {
    for (int64_t i = 0; i < count; ++i) piece(i);
  }
};

}  // namespace costate

#endif  // COSTATE_ENGINE_BASE_WORKERS_H_

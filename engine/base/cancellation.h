// A flag that says "stop": set once by whoever owns the work, polled by every long loop.
#ifndef COSTATE_ENGINE_BASE_CANCELLATION_H_
#define COSTATE_ENGINE_BASE_CANCELLATION_H_

#include <atomic>

namespace costate {

// Fed by deadline, client cancel, job cancel and drain. Solvers take a `const Cancellation*`
// (null means never cancelled), so they can read but not fire it.
//
// Thread-safety: all members may be called from any thread.
class Cancellation {
 public:
  enum class Reason { kNone = 0, kClientCancelled, kDeadlineExceeded, kShuttingDown };

  Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  // The first reason given stays; later calls have no effect.
  void Cancel(Reason reason) {
    Reason expected = Reason::kNone;
    reason_.compare_exchange_strong(expected, reason, std::memory_order_release,
                                    std::memory_order_relaxed);
  }
  bool cancelled() const { return reason_.load(std::memory_order_relaxed) != Reason::kNone; }
  Reason reason() const { return reason_.load(std::memory_order_acquire); }

 private:
  std::atomic<Reason> reason_{Reason::kNone};
};

}  // namespace costate

#endif  // COSTATE_ENGINE_BASE_CANCELLATION_H_

// Everything outside the mathematics that ends a solve: cancellation and the wall budget.
#ifndef COSTATE_ENGINE_SOLVERS_STOP_WATCH_H_
#define COSTATE_ENGINE_SOLVERS_STOP_WATCH_H_

#include <algorithm>
#include <chrono>
#include <optional>

#include "absl/time/time.h"
#include "engine/base/cancellation.h"
#include "engine/solvers/problem.h"

namespace costate {

class StopWatch {
 public:
  // `cancellation` may be null. The budget runs from construction, on the steady clock.
  StopWatch(const Cancellation* cancellation, absl::Duration budget)
      : cancellation_(cancellation), limited_(budget < absl::Hours(24 * 365)) {
    if (limited_) {
      last_look_ = std::chrono::steady_clock::now();
      deadline_ = last_look_ + absl::ToChronoNanoseconds(budget);
    }
  }

  // The reason to stop, if any. Cancellation is looked at always (one relaxed load), the clock
  // about once in 0.1 ms to 1 ms, at every call if calls are rarer.
  std::optional<Termination::Reason> Poll() {
    if (cancellation_ != nullptr && cancellation_->cancelled()) return CancelReason();
    if (limited_ && --calls_left_ <= 0 && ClockPassed()) return Termination::Reason::kWallBudget;
    return std::nullopt;
  }

 private:
  bool ClockPassed() {
    const auto now = std::chrono::steady_clock::now();
    const auto since = now - last_look_;
    last_look_ = now;
    if (since > std::chrono::milliseconds(1)) {
      interval_ = std::max(interval_ / 4, 1);
    } else if (since < std::chrono::microseconds(100)) {
      interval_ = std::min(interval_ * 2, 1024);
    }
    calls_left_ = interval_;
    return now >= deadline_;
  }

  Termination::Reason CancelReason() const {
    switch (cancellation_->reason()) {
      case Cancellation::Reason::kDeadlineExceeded:
        return Termination::Reason::kDeadlineExceeded;
      case Cancellation::Reason::kShuttingDown:
        return Termination::Reason::kShuttingDown;
      case Cancellation::Reason::kNone:
      case Cancellation::Reason::kClientCancelled:
        break;
    }
    return Termination::Reason::kCancelled;
  }

  const Cancellation* cancellation_;
  bool limited_;
  std::chrono::steady_clock::time_point deadline_, last_look_;
  int interval_ = 1;    // calls between looks at the clock
  int calls_left_ = 1;  // until the next
};

// The end of a trajectory at (t, step) for one of these reasons.
Termination StopTermination(Termination::Reason reason, double t, int64_t step);

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_STOP_WATCH_H_

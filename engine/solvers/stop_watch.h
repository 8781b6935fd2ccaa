// Everything outside the mathematics that ends a solve: cancellation and the wall budget.
#ifndef COSTATE_ENGINE_SOLVERS_STOP_WATCH_H_
#define COSTATE_ENGINE_SOLVERS_STOP_WATCH_H_

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
      deadline_ = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(budget);
    }
  }

  // The reason to stop, if any. Cancellation is looked at always (one relaxed load), the clock
  // only with `look_at_clock`.
  std::optional<Termination::Reason> Poll(bool look_at_clock) const {
    if (cancellation_ != nullptr && cancellation_->cancelled()) return CancelReason();
    if (limited_ && look_at_clock && std::chrono::steady_clock::now() >= deadline_) {
      return Termination::Reason::kWallBudget;
    }
    return std::nullopt;
  }

 private:
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
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_STOP_WATCH_H_

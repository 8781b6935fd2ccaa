// Whether a reverse pass has to stop: cancelled, or past its wall budget.
#ifndef COSTATE_ENGINE_GRADIENTS_STOP_CHECK_H_
#define COSTATE_ENGINE_GRADIENTS_STOP_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/cancellation.h"

namespace costate {

// Thread-safety: one thread.
class StopCheck {
 public:
  // `cancellation` may be null.
  StopCheck(const Cancellation* cancellation, absl::Time deadline)
      : cancellation_(cancellation), deadline_(deadline) {}

  // Once a step. CANCELLED, DEADLINE_EXCEEDED or UNAVAILABLE by the reason of the cancellation;
  // DEADLINE_EXCEEDED past the deadline, for which the clock is read every 64th time.
  absl::Status Poll() {
    const bool cancelled = cancellation_ != nullptr && cancellation_->cancelled();
    if (!cancelled && calls_++ % kCallsBetweenClockReads != 0) return absl::OkStatus();
    return Look(cancelled);
  }

 private:
  static constexpr int64_t kCallsBetweenClockReads = 64;
  absl::Status Look(bool cancelled) const;

  const Cancellation* cancellation_;
  const absl::Time deadline_;
  int64_t calls_ = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_STOP_CHECK_H_

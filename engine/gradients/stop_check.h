// Whether a reverse pass has to stop: cancelled, or past its wall budget.
#ifndef COSTATE_ENGINE_GRADIENTS_STOP_CHECK_H_
#define COSTATE_ENGINE_GRADIENTS_STOP_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "engine/base/stop_source.h"

namespace costate {

// Thread-safety: one thread.
class StopCheck {
 public:
  // `source`, which outlives this, is read each time.
  explicit StopCheck(const StopSource* source) : source_(source) {}

  // Once a step. CANCELLED, DEADLINE_EXCEEDED or UNAVAILABLE by the reason of the cancellation;
  // DEADLINE_EXCEEDED past the deadline, for which the clock is read every 64th time.
  absl::Status Poll() {
    const Cancellation* cancellation = source_->cancellation;
    const bool cancelled = cancellation != nullptr && cancellation->cancelled();
    if (!cancelled && calls_++ % kCallsBetweenClockReads != 0) return absl::OkStatus();
    return Look(cancelled);
  }

 private:
  static constexpr int64_t kCallsBetweenClockReads = 64;
  absl::Status Look(bool cancelled) const;

  const StopSource* source_;
  int64_t calls_ = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_STOP_CHECK_H_

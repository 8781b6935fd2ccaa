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
  // DEADLINE_EXCEEDED past the deadline, for which the clock is read about once in 0.1 ms to 1 ms:
  // every time if steps are longer, every 64th time if they are much shorter.
  absl::Status Poll() {
    const Cancellation* cancellation = source_->cancellation;
    const bool cancelled = cancellation != nullptr && cancellation->cancelled();
    if (!cancelled && --calls_left_ > 0) return absl::OkStatus();
    return Look(cancelled);
  }

 private:
  absl::Status Look(bool cancelled);

  const StopSource* source_;
  absl::Time last_look_ = absl::InfinitePast();
  int interval_ = 1;    // calls between looks at the clock
  int calls_left_ = 1;  // until the next
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_STOP_CHECK_H_

#include "engine/gradients/stop_check.h"

#include "absl/time/clock.h"

namespace costate {

absl::Status StopCheck::Look(bool cancelled) const {
  if (cancelled) {
    switch (source_->cancellation->reason()) {
      case Cancellation::Reason::kDeadlineExceeded:
        return absl::DeadlineExceededError("deadline passed during the reverse pass");
      case Cancellation::Reason::kShuttingDown:
        return absl::UnavailableError("shutting down during the reverse pass");
      case Cancellation::Reason::kClientCancelled:
      case Cancellation::Reason::kNone:
        break;
    }
    return absl::CancelledError("cancelled during the reverse pass");
  }
  if (source_->deadline != absl::InfiniteFuture() && absl::Now() > source_->deadline) {
    return absl::DeadlineExceededError("wall budget spent during the reverse pass");
  }
  return absl::OkStatus();
}

}  // namespace costate

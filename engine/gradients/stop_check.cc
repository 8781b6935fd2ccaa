#include "engine/gradients/stop_check.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace costate {
namespace {

constexpr int kLongestInterval = 64;

}  // namespace

absl::Status StopCheck::Look(bool cancelled) {
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
  const absl::Time now = absl::Now();
  const absl::Duration since = now - last_look_;
  last_look_ = now;
  if (since > absl::Milliseconds(1)) {
    interval_ = std::max(interval_ / 4, 1);
  } else if (since < absl::Microseconds(100)) {
    interval_ = std::min(interval_ * 2, kLongestInterval);
  }
  calls_left_ = interval_;
  if (now > source_->deadline) {
    return absl::DeadlineExceededError("wall budget spent during the reverse pass");
  }
  return absl::OkStatus();
}

}  // namespace costate

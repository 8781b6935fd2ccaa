#include "engine/stability/poll.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace costate::stability {

absl::Status Poll(const StopSource& stop, const char* doing) {
  if (stop.cancellation != nullptr && stop.cancellation->cancelled()) {
    switch (stop.cancellation->reason()) {
      case Cancellation::Reason::kDeadlineExceeded:
        return absl::DeadlineExceededError(absl::StrCat("the deadline passed while ", doing));
      case Cancellation::Reason::kShuttingDown:
        return absl::UnavailableError(absl::StrCat("the server shut down while ", doing));
      case Cancellation::Reason::kClientCancelled:
      case Cancellation::Reason::kNone:
        break;
    }
    return absl::CancelledError(absl::StrCat("cancelled while ", doing));
  }
  if (stop.deadline != absl::InfiniteFuture() && absl::Now() > stop.deadline) {
    return absl::DeadlineExceededError(absl::StrCat("the wall budget was spent while ", doing));
  }
  return absl::OkStatus();
}

}  // namespace costate::stability

// How loops of this folder are stopped.
#ifndef COSTATE_ENGINE_STABILITY_POLL_H_
#define COSTATE_ENGINE_STABILITY_POLL_H_

#include "absl/status/status.h"
#include "engine/base/stop_source.h"

namespace costate::stability {

// CANCELLED, DEADLINE_EXCEEDED or UNAVAILABLE by the reason of the cancellation; DEADLINE_EXCEEDED
// past the deadline. `doing` completes the message: "cancelled while ...".
absl::Status Poll(const StopSource& stop, const char* doing);

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_POLL_H_

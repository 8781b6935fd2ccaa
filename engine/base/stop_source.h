// When work has to stop: what a long computation polls, kept apart from the computation so that
// one which outlives a call can be given the limits of the next.
#ifndef COSTATE_ENGINE_BASE_STOP_SOURCE_H_
#define COSTATE_ENGINE_BASE_STOP_SOURCE_H_

#include "absl/time/time.h"
#include "engine/base/cancellation.h"

namespace costate {

// Read when polled, so its owner may change it between calls. Thread-safety: one thread.
struct StopSource {
  const Cancellation* cancellation = nullptr;    // null: never cancelled
  absl::Time deadline = absl::InfiniteFuture();  // of the wall budget
};

// For work that nothing stops.
inline constexpr StopSource kNeverStops;

}  // namespace costate

#endif  // COSTATE_ENGINE_BASE_STOP_SOURCE_H_

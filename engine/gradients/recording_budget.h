// How much of a trajectory one gradient may store.
#ifndef COSTATE_ENGINE_GRADIENTS_RECORDING_BUDGET_H_
#define COSTATE_ENGINE_GRADIENTS_RECORDING_BUDGET_H_

#include <algorithm>
#include <cstdint>

#include "engine/base/limits.h"
#include "engine/gradients/adjoint.h"

namespace costate {

// Bytes: what was asked for, within what one adjoint may ever hold.
inline int64_t RecordingBudget(const AdjointOptions& options) {
  return std::min(options.memory_budget, limits::kMaxRecordingBytes);
}

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_RECORDING_BUDGET_H_

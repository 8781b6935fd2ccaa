// How many steps a solve will take, where that is known before it.
#ifndef COSTATE_ENGINE_GRADIENTS_KNOWN_STEPS_H_
#define COSTATE_ENGINE_GRADIENTS_KNOWN_STEPS_H_

#include <cstdint>
#include <optional>

#include "engine/solvers/problem.h"

namespace costate {

// Unset with error control. Of fixed steps an estimate, right but for rounding; the steps
// themselves are counted as they come.
std::optional<int64_t> KnownNumberOfSteps(const Problem& problem, const SolveOptions& options);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_KNOWN_STEPS_H_

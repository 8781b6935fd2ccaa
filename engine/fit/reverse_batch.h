// Gradients by the engine's passes: every method in reverse, and tangents on the plain steps.
#ifndef COSTATE_ENGINE_FIT_REVERSE_BATCH_H_
#define COSTATE_ENGINE_FIT_REVERSE_BATCH_H_

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/base/stop_source.h"
#include "engine/bind.h"
#include "engine/fit/bound_fit.h"
#include "engine/fit/evaluate_batch.h"

namespace costate::fit {

// Fills value and gradient of every task; trajectory i of `bound` is that of tasks[i]. In lanes
// where the method can, with the bits of each alone. RESOURCE_EXHAUSTED where they do not fit in
// memory together.
absl::Status DifferentiateByPasses(const BoundFit& fit, const Bundle& bundle,
                                   const BoundSimulation& bound,
                                   absl::Span<ConditionTask* const> tasks, const StopSource& stop);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_REVERSE_BATCH_H_

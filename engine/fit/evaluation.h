// Answers to questions about a bound fit: cut into pieces for lanes and workers, and summed.
#ifndef COSTATE_ENGINE_FIT_EVALUATION_H_
#define COSTATE_ENGINE_FIT_EVALUATION_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/stop_source.h"
#include "engine/base/workers.h"
#include "engine/fit/bound_fit.h"
#include "engine/fit/likelihood.h"
#include "engine/optimise/optimiser.h"

namespace costate::fit {

// CANCELLED, DEADLINE_EXCEEDED or UNAVAILABLE once `stop` fires.
absl::Status CheckFitStop(const StopSource& stop);

// Adds the steps of one to those of the other.
void AddSteps(const SolveStats& more, SolveStats* total);

// As Objective::Evaluate, with the points of the questions. Terms are summed in the order of the
// conditions, whatever ran where. `work` is added to: the steps taken, those of failed solves
// included.
absl::StatusOr<std::vector<optimise::Answer>> EvaluateQuestions(
    const BoundFit& fit, const std::vector<SearchPoint>& points,
    absl::Span<const optimise::Question* const> questions, const StopSource& stop, Workers& workers,
    SolveStats* work);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_EVALUATION_H_

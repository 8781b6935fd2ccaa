// Answers for several conditions and points of one bundle, in the calling thread.
#ifndef COSTATE_ENGINE_FIT_EVALUATE_BATCH_H_
#define COSTATE_ENGINE_FIT_EVALUATE_BATCH_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/base/stop_source.h"
#include "engine/fit/bound_fit.h"
#include "engine/fit/likelihood.h"
#include "engine/optimise/optimiser.h"

namespace costate::fit {

// What one condition adds to the answer of one question.
struct ConditionTask {
  const BoundCondition* condition = nullptr;
  const SearchPoint* point = nullptr;
  int64_t question = 0;
  double factor = 1;      // of this condition's terms in the answer
  bool expected = false;  // see optimise::Question

  // Results. Infinite where the integration failed or a prediction is out of its domain.
  double value = std::numeric_limits<double>::infinity();  // without factor
  std::string failure = {};           // why the integration failed, one sentence
  SolveStats stats = {};              // of the forward solve
  std::vector<double> gradient = {};  // [touched], natural, without factor; with kGradient
  double* residuals = nullptr;        // [num_rows]; with kResiduals, factor included
  double* jacobian = nullptr;         // [num_rows, q], zero on entry
};

// All tasks are of `bundle`; together as far as memory allows. An error is RESOURCE_EXHAUSTED or
// INTERNAL. When `stop` fires, trajectories end early like failed ones: the caller looks at it
// afterwards.
absl::Status EvaluateBatch(const BoundFit& fit, const Bundle& bundle, optimise::Wanted wanted,
                           absl::Span<ConditionTask* const> tasks, const StopSource& stop);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_EVALUATE_BATCH_H_

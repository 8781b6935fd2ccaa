// Measurements of a fit.
#ifndef COSTATE_ENGINE_FIT_BIND_DATA_H_
#define COSTATE_ENGINE_FIT_BIND_DATA_H_

#include "absl/status/status.h"
#include "engine/fit/bound_fit.h"
#include "engine/fit/problem.h"

namespace costate::fit {

// Fills times and series of the conditions, and appends the nuisance elements, sigmas first, then
// scales, then offsets, without starts and bounds. Conditions and free elements are bound. Field
// paths: data[i]....
absl::Status BindData(const FitProblem& problem, BoundFit* fit);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_BIND_DATA_H_

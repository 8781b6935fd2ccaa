// Free elements of a fit, and what each condition takes from them.
#ifndef COSTATE_ENGINE_FIT_BIND_FREE_H_
#define COSTATE_ENGINE_FIT_BIND_FREE_H_

#include "absl/status/status.h"
#include "engine/fit/bound_fit.h"
#include "engine/fit/problem.h"

namespace costate::fit {

// Appends the elements asked for and fills columns and `touched` of the conditions, which are
// bound; free initial values become given ones. Field paths: free[i]..., conditions[i]....
absl::Status BindFree(const FitProblem& problem, BoundFit* fit);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_BIND_FREE_H_

// Reverse accumulation over a recorded trajectory with full storage: discretise, then
// differentiate. Exact for the accepted steps; the choice of step sizes is not differentiated
// (this is also ACA, Zhuang et al. 2020, arXiv 2006.02493).
#ifndef COSTATE_ENGINE_GRADIENTS_DISCRETE_ADJOINT_H_
#define COSTATE_ENGINE_GRADIENTS_DISCRETE_ADJOINT_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/base/cancellation.h"
#include "engine/solvers/integrate.h"
#include "engine/solvers/vector_field.h"

namespace costate {

struct AdjointStats {
  int64_t replayed_steps = 0;
  int64_t rhs_evaluations = 0;
  int64_t vjp_evaluations = 0;
  int64_t stored_bytes = 0;  // of the recording
};

// Cotangents of the states a solve returned.
struct StateCotangents {
  absl::Span<const double> times;     // [K], monotone along the recording; fixed numbers
  absl::Span<const double> saved;     // [K, n]
  absl::Span<const double> terminal;  // [n] at t1, which moves with t1; or empty
};

// t0 and t1 move the outer ends of the first and the last step; the inner grid points stay. A
// value saved at a fixed time inside such a step moves as its dense output does: for a time equal
// to t0 that is -f(t0, y0) per unit of t0.
struct AdjointResult {
  std::vector<double> initial_state;  // [n], dL/dy(t0)
  std::vector<double> params;         // [m], through the right-hand side only
  double t0 = 0;                      // at fixed y(t0)
  double t1 = 0;
  AdjointStats stats;
};

// The recording reached t1. O(steps) replays of one step and its transpose; no memory per step.
// CANCELLED, DEADLINE_EXCEEDED or UNAVAILABLE (draining) when `cancellation` fires, polled each
// step; DEADLINE_EXCEEDED past `deadline`, looked at now and then. INVALID_ARGUMENT for sizes that
// do not fit.
absl::StatusOr<AdjointResult> DiscreteAdjoint(const VectorField& field,
                                              absl::Span<const double> params,
                                              const Recording& recording,
                                              const StateCotangents& cotangents,
                                              const Cancellation* cancellation = nullptr,
                                              absl::Time deadline = absl::InfiniteFuture());

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_DISCRETE_ADJOINT_H_

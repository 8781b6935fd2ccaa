// How much a change of the initial state grows along a trajectory.
#ifndef COSTATE_ENGINE_GRADIENTS_GROWTH_H_
#define COSTATE_ENGINE_GRADIENTS_GROWTH_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradients/stop_check.h"
#include "engine/solvers/integrate.h"
#include "engine/solvers/problem.h"

namespace costate {

struct GrowthEstimate {
  double sigma = 0;  // largest singular value of D^-1 Phi D
  int64_t jvp_evaluations = 0;
  int64_t vjp_evaluations = 0;
};

// The flow map Phi = dy(t1)/dy(t0) of recorded steps, states in units of scale[i] > 0, D =
// diag(scale). Up to 2 blocks of states: all columns, then power iteration on the matrix; else at
// most `kLanczosSteps` Golub-Kahan steps (Golub and Van Loan 2013, section 10.4) with products
// and transposed products over the recording, a lower bound that is sharp when one direction
// dominates. `params` is [m]. Errors are those of `stop`.
inline constexpr int kLanczosSteps = 6;
absl::StatusOr<GrowthEstimate> EstimateGrowth(const VectorField& field, const Recording& recording,
                                              absl::Span<const double> params,
                                              absl::Span<const double> scale, StopCheck* stop);

// Largest singular value of a matrix given by its products, by Golub-Kahan bidiagonalisation with
// full reorthogonalisation from a fixed random start. Each product may fail.
using MatrixProduct =
    absl::FunctionRef<absl::Status(absl::Span<const double> x, absl::Span<double> result)>;
absl::StatusOr<double> LargestSingularValue(int64_t n, int steps, MatrixProduct apply,
                                            MatrixProduct apply_transposed);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_GROWTH_H_

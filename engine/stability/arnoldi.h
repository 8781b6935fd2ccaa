// Outer eigenvalues of a large matrix known by its products.
#ifndef COSTATE_ENGINE_STABILITY_ARNOLDI_H_
#define COSTATE_ENGINE_STABILITY_ARNOLDI_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/base/stop_source.h"
#include "engine/stability/polynomial.h"

namespace costate::stability {

struct ArnoldiOptions {
  int64_t largest = 20;     // wanted, of largest modulus
  int64_t rightmost = 4;    // beside them, where they converge: they may lie deep inside
  double tolerance = 1e-6;  // on residuals, of the largest modulus
  int max_restarts = 50;
};

struct RitzValues {
  std::vector<Complex> values;  // larger modulus first, conjugates together
  bool converged = false;       // the largest, to the tolerance; else they are estimates
  std::vector<double> start;  // [n]: rich in the wanted directions, to begin a nearby problem with
  int64_t products = 0;
};

// Dimension of the subspace: memory is that many vectors [n]. At least the whole of small problems.
int64_t ArnoldiDimension(int64_t n, const ArnoldiOptions& options);

// Arnoldi's method with thick restarts (Krylov-Schur: Stewart 2001, SIAM J. Matrix Anal. Appl. 23)
// in real arithmetic, for a real matrix of n > ArnoldiDimension rows. `multiply` writes J v for v
// [n]. Ends at the tolerance, or when the outermost value moves no more from restart to restart.
// `start` [n], or null for a fixed vector; the result is a function of the arguments alone.
// INTERNAL if a product is not finite. `stop` is polled at each product.
absl::StatusOr<RitzValues> FindOuterEigenvalues(
    absl::FunctionRef<void(const double* v, double* jv)> multiply, int64_t n,
    const ArnoldiOptions& options, const double* start, const StopSource& stop);

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_ARNOLDI_H_

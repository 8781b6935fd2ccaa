// A Tsit5 solve of the Lorenz equations as a user would write it by hand: fixed size, no
// interfaces, the right-hand side inlined. The yardstick of the stepping loop.
#ifndef COSTATE_TESTS_BENCHMARKS_REFERENCE_TSIT5_H_
#define COSTATE_TESTS_BENCHMARKS_REFERENCE_TSIT5_H_

#include <cstdint>

namespace costate {

struct ReferenceResult {
  double y[3];
  int64_t accepted = 0, rejected = 0;
};

// Lorenz (sigma, rho, beta) = p from y0 over [0, t1], with the error norm, PI controller, initial
// step and end game of the engine, so that it takes the same steps.
ReferenceResult ReferenceTsit5Lorenz(const double* p, const double* y0, double t1, double rtol,
                                     double atol);

}  // namespace costate

#endif  // COSTATE_TESTS_BENCHMARKS_REFERENCE_TSIT5_H_

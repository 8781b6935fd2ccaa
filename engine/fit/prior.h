// Priors of free elements: -log density without constants, and rows as those of the data.
//
// A prior of x, the natural value or with `scaled` the search coordinate, adds v(x) with gradient g
// and a row s = g / sqrt(h), J = sqrt(h) dx. h is v'' where that is positive for every x of the
// support, else a positive curvature of the same size, since J'J must not be negative:
//
//   normal        (x - a)^2 / (2 b^2)                   h = 1 / b^2
//   Laplace       |x - a| / b                           h = 1 / b^2, its Fisher information
//   log-normal    (ln x - a)^2 / (2 b^2) + ln x         h = 1 / (b x)^2, exact in ln x
//   log-Laplace   |ln x - a| / b + ln x                 h = 1 / (b x)^2
//   Cauchy        ln(1 + z^2), z = (x - a) / b          h = 2 / (b^2 (1 + z^2)), that of the
//                                                       weighted least squares which majorise it
//   gamma         x / b - (a - 1) ln x                  h = (a - 1) / x^2; a <= 1: 1 / b^2
//   exponential   x / a                                 h = 1 / a^2
//   uniform       0
//   log-uniform   ln x                                  h = 12 / (x ln(upper / lower))^2: that of
//                                                       the variance of ln x; over [1e-5, 1e5] in
//                                                       place of bounds that are not there
//   Rayleigh      x^2 / (2 a^2) - ln x                  h = 1 / a^2 + 1 / x^2
//   chi squared   gamma with shape a / 2 and scale 2
//
// Those with ln x, and exponential and Rayleigh, have the support x > 0 (exponential: x >= 0).
#ifndef COSTATE_ENGINE_FIT_PRIOR_H_
#define COSTATE_ENGINE_FIT_PRIOR_H_

#include "absl/status/status.h"
#include "engine/fit/problem.h"

namespace costate::fit {

// INVALID_ARGUMENT at "a" or "b".
absl::Status CheckPrior(const Prior& prior);

struct PriorTerm {
  double value = 0;  // infinite outside of the support
  double score = 0;  // s
  double slope = 0;  // J per dx
};

// `lower` and `upper` bound x.
PriorTerm EvaluatePrior(const Prior& prior, double x, double lower, double upper);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_PRIOR_H_

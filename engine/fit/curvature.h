// What the curvature of the objective at a point says about the free elements: information,
// covariance, and what is not determined.
//
// Notation: J [M, q] the Jacobian of the answers' residuals s by search coordinates x, so that J'J
// is the (expected) Fisher information, priors included, and J's the gradient; D = diag(dv/dx) the
// slopes of natural values v.
//
// The covariance is the inverse of the information: with known sigma (J'J)^-1 and no factor of
// residual variance, which is what SciPy's curve_fit calls absolute_sigma=True; an estimated sigma
// is a free element like any other.
#ifndef COSTATE_ENGINE_FIT_CURVATURE_H_
#define COSTATE_ENGINE_FIT_CURVATURE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace costate::fit {

struct CurvatureProblem {
  int64_t elements = 0;               // q
  absl::Span<const double> jacobian;  // [M, q], row-major; finite
  absl::Span<const double> slopes;    // [q], of natural values by search coordinates
  absl::Span<const double> units;     // [q], > 0: a large change of each search coordinate
  std::vector<bool> at_bound;         // [q], held: their values are taken as known
  // Columns of J are scaled to length 1; singular values of the scaled J at or below this are taken
  // as 0. What J itself is accurate to.
  double threshold = 1e-8;
};

struct Curvature {
  std::vector<double> fisher_information;  // [q, q], natural: D^-1 J'J D^-1
  std::vector<double> eigenvalues;         // [q], of J'J, ascending
  // [q, q], natural: inverse of the information over what is determined and not at a bound; NaN
  // rows and columns for the rest. From the singular values of J: J'J would square its condition.
  std::vector<double> covariance;
  std::vector<double> correlation;    // [q, q], NaN likewise
  std::vector<double> search_errors;  // [q], standard errors of search coordinates; NaN likewise
  // Elements on which the data do not depend: a large change moves all data together by less than
  // 1e-10 of their sigma. Those at a bound are left out.
  std::vector<int64_t> flat;
  // Directions in search coordinates [q] along which nothing changes to first order, each with as
  // few elements as elimination leaves; the largest change of data per element is 1 on the scale
  // of the columns' lengths. Elements at a bound and flat ones are 0.
  std::vector<std::vector<double>> free_directions;
};

Curvature AnalyseCurvature(const CurvatureProblem& problem);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_CURVATURE_H_

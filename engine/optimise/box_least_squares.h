// The step of a bounded Levenberg-Marquardt method: linear least squares in a box and a ball.
//
// minimise |A p + b|^2 / 2 over lower <= p <= upper and |p| <= radius, where lower <= 0 <= upper.
//
// For a damping L the minimiser p(L) of |A p + b|^2 / 2 + L |p|^2 / 2 in the box is found exactly,
// by block principal pivoting on the set of elements that are at a bound (Portugal, Judice and
// Vicente 1994, Math. Comput. 63, 625-643). |p(L)| falls with L; L is sought so that it is the
// radius to within a tenth, by Newton's method on 1 / |p(L)| (Hebden 1973; More 1978). A singular
// value decomposition of the columns of A that are free serves every damping.
#ifndef COSTATE_ENGINE_OPTIMISE_BOX_LEAST_SQUARES_H_
#define COSTATE_ENGINE_OPTIMISE_BOX_LEAST_SQUARES_H_

#include <Eigen/Core>

namespace costate::optimise {

struct BoxLeastSquares {
  Eigen::MatrixXd a;             // [k, q]
  Eigen::VectorXd b;             // [k]
  Eigen::VectorXd lower, upper;  // [q], infinite where there is no bound
};

struct BoxStep {
  Eigen::VectorXd p;  // [q]
  // |b|^2 / 2 - |A p + b|^2 / 2, without cancellation; 0 or less where p is 0 to rounding.
  double decrease = 0;
  double slope = 0;  // b'A p
  bool cut = false;  // whether the radius shortened it
};

// O(k q^2) for each set of free elements met, O(k q) for each damping.
BoxStep SolveBoxLeastSquares(const BoxLeastSquares& problem, double radius);

}  // namespace costate::optimise

#endif  // COSTATE_ENGINE_OPTIMISE_BOX_LEAST_SQUARES_H_

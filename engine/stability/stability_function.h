// What one step of a scheme does to y' = lambda y, in closed form: the carried vectors are
// multiplied by a matrix M(z), z = h lambda.
//
//   scheme                       carried          M(z)
//   Runge-Kutta                  y                R(z) = 1 + z b' (I - z A)^-1 1
//   McCallum-Foster, coupling l  y, z             [[l, 1 - l + r], [-l q, 1 - q (1 - l + r)]],
//                                                 r = R(z) - 1, q = R(-z) - 1 (arXiv 2410.11648;
//                                                 entry (2, 2) is derived from the recursion)
//   ALF, damping e               x, h v           [[1 + e z, 1 - e + e z / 2], [2 e z, 1 - 2 e +
//                                                 e z]] (Mutze 2013; MALI, arXiv 2102.04668)
//   reversible Heun              y, z, h f        rows of y' = y + h (f + f') / 2,
//                                                 z' = 2 y - z + h f, f' = lambda z'
//   leapfrog-midpoint            y, h s           [[1 + 2 z, -1], [2 z, -1]]
//
// In all of these the eigenvalues other than 0 solve mu^2 - t(z) mu + d = 0 with a polynomial t and
// a constant d in [-1, 1]: d = 0 and t = R, or d = l, 1 - 2 e, -1, -1. Everything else follows from
// t and d: both mu are in the closed unit disc iff t lies in the ellipse
//   (Re t / (1 + d))^2 + (Im t / (1 - d))^2 <= 1,
// which for d = 1 is the segment [-2, 2] and for d = -1 the segment [-2i, 2i]; schemes with such d
// are *undamped*: their region has no interior.
//
// On the boundary: a scheme is called stable where the spectral radius is at most 1. It is then
// also power-bounded but for the points where both mu agree and have modulus 1, which exist only if
// undamped (z = +-i for ALF with e = 1, reversible Heun and leapfrog); there it grows linearly.
#ifndef COSTATE_ENGINE_STABILITY_STABILITY_FUNCTION_H_
#define COSTATE_ENGINE_STABILITY_STABILITY_FUNCTION_H_

#include <array>

#include "engine/solvers/problem.h"
#include "engine/stability/polynomial.h"

namespace costate::stability {

// Row-major, size x size, size at most 3.
struct StepMatrix {
  int size = 1;
  std::array<Complex, 9> entries = {};

  Complex& at(int i, int j) { return entries[i * size + j]; }
  Complex at(int i, int j) const { return entries[i * size + j]; }
};

// Largest modulus of an eigenvalue; by a QR iteration for a size above 2. Infinite if an entry is
// not finite.
double SpectralRadius(const StepMatrix& matrix);

// Thread-safety: immutable.
class StabilityFunction {
 public:
  // `scheme` is valid (ValidateScheme).
  explicit StabilityFunction(const Scheme& scheme);

  const Scheme& scheme() const { return scheme_; }
  int carried() const { return carried_; }
  const Polynomial& trace() const { return trace_; }   // t
  double determinant() const { return determinant_; }  // d
  bool undamped() const { return determinant_ == 1 || determinant_ == -1; }

  // Of the carried vectors as in the table above.
  StepMatrix Matrix(Complex z) const;

  // Infinite where the closed form overflows.
  double SpectralRadius(Complex z) const;

  // ln(spectral radius) - Re z, the logarithm of the order star's level, without cancellation near
  // z = 0, where it is of the size |z|^(order + 1).
  double LogOrderStar(Complex z) const;

  // ln of what one step backwards does to an error in what is carried, for schemes that are taken
  // back: -ln(smallest modulus of a mu), or ln |R(-z)| for a Runge-Kutta method.
  double LogReverseGrowth(Complex z) const;

 private:
  double PrincipalOrderStar(Complex z) const;

  Scheme scheme_;
  int carried_ = 1;
  Polynomial increment_;  // r = R - 1, of schemes with a table
  Polynomial trace_;
  double determinant_ = 0;
  std::vector<double> defect_;  // Taylor coefficients of t(z) - (e^z + d e^-z)
};

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_STABILITY_FUNCTION_H_

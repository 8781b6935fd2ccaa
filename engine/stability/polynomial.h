// Polynomials with real coefficients at complex points.
#ifndef COSTATE_ENGINE_STABILITY_POLYNOMIAL_H_
#define COSTATE_ENGINE_STABILITY_POLYNOMIAL_H_

#include <complex>
#include <vector>

namespace costate::stability {

using Complex = std::complex<double>;

// sum_k coefficients[k] z^k.
struct Polynomial {
  std::vector<double> coefficients;

  int degree() const { return static_cast<int>(coefficients.size()) - 1; }
};

Complex Evaluate(const Polynomial& p, Complex z);
double Evaluate(const Polynomial& p, double x);
// p(z) and p'(z).
void EvaluateWithSlope(const Polynomial& p, Complex z, Complex* value, Complex* slope);

Polynomial Multiply(const Polynomial& p, const Polynomial& q);
// factor * p + q.
Polynomial Combine(double factor, const Polynomial& p, const Polynomial& q);
// p(-z).
Polynomial Reflect(const Polynomial& p);

// Without leading coefficients that are exactly zero.
Polynomial Trimmed(Polynomial p);

// All z with p(z) = value, with multiplicity: eigenvalues of the companion matrix, each improved by
// Newton steps. Simple roots are right to rounding. None for a constant.
std::vector<Complex> Solve(const Polynomial& p, Complex value);

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_POLYNOMIAL_H_

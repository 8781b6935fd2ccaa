#include "engine/stability/polynomial.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <Eigen/Eigenvalues>

namespace costate::stability {
namespace {

constexpr int kNewtonSteps = 3;

// Written out: std::complex looks for NaN in every product.
Complex Product(Complex a, Complex b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

Complex Improved(const Polynomial& p, Complex value, Complex z) {
  for (int i = 0; i < kNewtonSteps; ++i) {
    Complex at, slope;
    EvaluateWithSlope(p, z, &at, &slope);
    const Complex better = z - (at - value) / slope;
    if (!std::isfinite(better.real()) || !std::isfinite(better.imag())) return z;
    if (std::abs(Evaluate(p, better) - value) >= std::abs(at - value)) return z;
    z = better;
  }
  return z;
}

}  // namespace

Complex Evaluate(const Polynomial& p, Complex z) {
  Complex sum = 0;
  for (int k = p.degree(); k >= 0; --k) sum = Product(sum, z) + p.coefficients[k];
  return sum;
}

double Evaluate(const Polynomial& p, double x) {
  double sum = 0;
  for (int k = p.degree(); k >= 0; --k) sum = sum * x + p.coefficients[k];
  return sum;
}

void EvaluateWithSlope(const Polynomial& p, Complex z, Complex* value, Complex* slope) {
  *value = 0;
  *slope = 0;
  for (int k = p.degree(); k >= 0; --k) {
    *slope = Product(*slope, z) + *value;
    *value = Product(*value, z) + p.coefficients[k];
  }
}

Polynomial Multiply(const Polynomial& p, const Polynomial& q) {
  Polynomial product;
  product.coefficients.resize(p.coefficients.size() + q.coefficients.size() - 1);
  for (size_t i = 0; i < p.coefficients.size(); ++i) {
    for (size_t j = 0; j < q.coefficients.size(); ++j) {
      product.coefficients[i + j] += p.coefficients[i] * q.coefficients[j];
    }
  }
  return product;
}

Polynomial Combine(double factor, const Polynomial& p, const Polynomial& q) {
  Polynomial sum = q;
  sum.coefficients.resize(std::max(p.coefficients.size(), q.coefficients.size()));
  for (size_t k = 0; k < p.coefficients.size(); ++k) {
    sum.coefficients[k] += factor * p.coefficients[k];
  }
  return sum;
}

Polynomial Reflect(const Polynomial& p) {
  Polynomial reflected = p;
  for (size_t k = 1; k < reflected.coefficients.size(); k += 2) {
    reflected.coefficients[k] = -reflected.coefficients[k];
  }
  return reflected;
}

Polynomial Trimmed(Polynomial p) {
  while (p.coefficients.size() > 1 && p.coefficients.back() == 0) p.coefficients.pop_back();
  return p;
}

// In w = z / s, with s such that the leading coefficient is 1 in modulus: coefficients of stability
// polynomials fall like 1 / k!.
std::vector<Complex> Solve(const Polynomial& p, Complex value) {
  const int n = p.degree();
  if (n < 1) return {};
  const double lead = p.coefficients[n];
  const double s = std::pow(std::fabs(lead), -1.0 / n);
  Eigen::MatrixXcd companion = Eigen::MatrixXcd::Zero(n, n);
  for (int i = 1; i < n; ++i) companion(i, i - 1) = 1;
  for (int k = 0; k < n; ++k) {
    const Complex c = k == 0 ? p.coefficients[0] - value : Complex(p.coefficients[k]);
    companion(k, n - 1) = -c / lead * std::pow(s, k - n);
  }
  const Eigen::ComplexEigenSolver<Eigen::MatrixXcd> solver(companion, false);
  std::vector<Complex> roots(n);
  for (int i = 0; i < n; ++i) roots[i] = Improved(p, value, solver.eigenvalues()[i] * s);
  return roots;
}

}  // namespace costate::stability

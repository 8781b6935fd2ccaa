#include "engine/stability/stability_function.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <Eigen/Eigenvalues>

#include "engine/solvers/rk/erk.h"

namespace costate::stability {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kDefectTerms = 40;     // enough for rounding where the series is used
constexpr double kSeriesRadius = 1;  // |z| up to which LogOrderStar uses the series
constexpr double kCoefficientNoise = 1e-12;
constexpr int kFixedPointSteps = 60;

bool IsFinite(Complex z) { return std::isfinite(z.real()) && std::isfinite(z.imag()); }

bool HasTable(Method method) {
  for (const Method known : RungeKuttaMethods()) {
    if (known == method) return true;
  }
  return false;
}

// r = R - 1 = sum_k (b' A^(k-1) 1) z^k.
Polynomial IncrementOf(const rk::TableauView& table) {
  const int stages = table.info.stages;
  Polynomial r;
  r.coefficients.push_back(0);
  std::vector<double> v(stages, 1.0);
  for (int k = 1; k <= stages; ++k) {
    double sum = 0;
    for (int i = 0; i < stages; ++i) sum += table.b[i] * v[i];
    r.coefficients.push_back(sum);
    std::vector<double> next(stages, 0.0);
    for (int i = 0; i < stages; ++i) {
      for (int j = 0; j < i; ++j) next[i] += table.a[i * table.rows + j] * v[j];
    }
    v = std::move(next);
  }
  return Trimmed(r);
}

// 1 + l - (1 - l) q - q r.
Polynomial CoupledTrace(const Polynomial& r, double l) {
  const Polynomial q = Reflect(r);
  Polynomial t = Multiply(q, r);
  for (double& c : t.coefficients) c = -c;
  t = Combine(-(1 - l), q, t);
  t.coefficients[0] += 1 + l;
  return Trimmed(t);
}

// Larger modulus of the roots of mu^2 - t mu + d.
double LargerRoot(Complex t, double d) {
  if (!IsFinite(t)) return kInfinity;
  if (d == 0) return std::abs(t);
  const Complex half = 0.5 * t;
  const Complex root = std::sqrt(half * half - d);
  const double size = std::max(std::abs(half + root), std::abs(half - root));
  return std::isfinite(size) ? size : kInfinity;
}

// ln |1 + w|.
double LogOfOnePlus(Complex w) { return 0.5 * std::log1p(2 * w.real() + std::norm(w)); }

}  // namespace

double SpectralRadius(const StepMatrix& matrix) {
  const int n = matrix.size;
  for (int i = 0; i < n * n; ++i) {
    if (!IsFinite(matrix.entries[i])) return kInfinity;
  }
  if (n == 1) return std::abs(matrix.entries[0]);
  Eigen::Matrix<Complex, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor, 3, 3> dense(n, n);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) dense(i, j) = matrix.at(i, j);
  }
  const Eigen::ComplexEigenSolver<Eigen::MatrixXcd> solver(Eigen::MatrixXcd(dense), false);
  double largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::abs(solver.eigenvalues()[i]));
  return largest;
}

StabilityFunction::StabilityFunction(const Scheme& scheme) : scheme_(scheme) {
  carried_ = GetMethodInfo(scheme).carried;
  if (HasTable(scheme.method)) {
    increment_ = IncrementOf(rk::GetTableau(scheme.method));
    if (scheme.coupling.has_value()) {
      determinant_ = *scheme.coupling;
      trace_ = CoupledTrace(increment_, determinant_);
    } else {
      trace_ = increment_;
      trace_.coefficients[0] += 1;
    }
  } else {
    const double eta = scheme.method == Method::kAlf ? scheme.eta : 1;
    determinant_ = 1 - 2 * eta;
    trace_.coefficients = {2 - 2 * eta, 2 * eta};
  }
  defect_.resize(kDefectTerms);
  double inverse_factorial = 1;
  for (int k = 0; k < kDefectTerms; ++k) {
    if (k > 0) inverse_factorial /= k;
    const double exact = (1 + (k % 2 == 0 ? determinant_ : -determinant_)) * inverse_factorial;
    const double got = k <= trace_.degree() ? trace_.coefficients[k] : 0;
    const double noise = kCoefficientNoise * std::ldexp(inverse_factorial, k);
    defect_[k] = std::fabs(got - exact) < noise ? 0 : got - exact;
  }
}

StepMatrix StabilityFunction::Matrix(Complex z) const {
  StepMatrix m;
  m.size = carried_;
  if (increment_.coefficients.empty()) {
    const double e = scheme_.eta;
    if (scheme_.method == Method::kAlf) {
      m.entries = {1.0 + e * z, 1 - e + 0.5 * e * z, 2 * e * z, 1 - 2 * e + e * z};
    } else if (scheme_.method == Method::kReversibleHeun) {
      m.entries = {1.0 + z, -0.5 * z, 0.5 + 0.5 * z, 2, -1, 1, 2.0 * z, -z, z};
    } else {
      m.entries = {1.0 + 2.0 * z, -1, 2.0 * z, -1};
    }
    return m;
  }
  const Complex r = Evaluate(increment_, z);
  if (carried_ == 1) {
    m.entries[0] = 1.0 + r;
    return m;
  }
  const double l = determinant_;
  const Complex q = Evaluate(increment_, -z);
  const Complex to_y = 1 - l + r;
  m.entries = {l, to_y, -l * q, 1.0 - q * to_y};
  return m;
}

double StabilityFunction::SpectralRadius(Complex z) const {
  return LargerRoot(Evaluate(trace_, z), determinant_);
}

// With mu = e^z (1 + w) and the defect s = t(z) - (e^z + d e^-z), mu + d / mu = t becomes
//   w (1 - d e^-2z / (1 + w)) = s e^-z.
double StabilityFunction::PrincipalOrderStar(Complex z) const {
  Complex defect = 0;
  for (int k = kDefectTerms - 1; k >= 0; --k) defect = defect * z + defect_[k];
  const Complex target = defect * std::exp(-z);
  if (target == 0.0) return 0;
  const Complex parasite = determinant_ * std::exp(-2.0 * z);
  Complex w = 0;
  for (int i = 0; i < kFixedPointSteps; ++i) {
    const Complex next = target / (1.0 - parasite / (1.0 + w));
    const bool settled = std::abs(next - w) <= 1e-15 * std::abs(next);
    w = next;
    if (settled) return LogOfOnePlus(w);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

double StabilityFunction::LogOrderStar(Complex z) const {
  if (std::abs(z) < kSeriesRadius) {
    const double principal = PrincipalOrderStar(z);
    if (std::isfinite(principal)) {
      if (determinant_ == 0) return principal;
      const double other = std::log(std::fabs(determinant_)) - principal - 2 * z.real();
      return std::max(principal, other);
    }
  }
  return std::log(SpectralRadius(z)) - z.real();
}

double StabilityFunction::LogReverseGrowth(Complex z) const {
  if (determinant_ == 0) return std::log(SpectralRadius(-z));
  return std::log(SpectralRadius(z)) - std::log(std::fabs(determinant_));
}

}  // namespace costate::stability

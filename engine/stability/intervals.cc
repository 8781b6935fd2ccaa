#include "engine/stability/intervals.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace costate::stability {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Coefficients this small against the terms they are sums of are rounding.
constexpr double kNoise = 1e-12;
// A value this small against its terms counts as zero.
constexpr double kTouch = 1e-12;
constexpr double kNearlyReal = 1e-5;

// "p(x) <= 0 for x > 0", with the factor x^k that p has at 0 taken out, so that its sign is right
// however near to 0.
class Condition {
 public:
  // `sizes` are the sums of moduli that the coefficients are sums of.
  Condition(const Polynomial& p, const std::vector<double>& sizes) {
    size_t k = 0;
    while (k < p.coefficients.size() && std::fabs(p.coefficients[k]) <= kNoise * sizes[k]) ++k;
    p_.coefficients.assign(p.coefficients.begin() + static_cast<int64_t>(k), p.coefficients.end());
    p_ = Trimmed(p_);
  }

  bool Holds(double x) const {
    if (p_.coefficients.empty()) return true;
    double size = 0;
    for (int k = p_.degree(); k >= 0; --k) size = size * x + std::fabs(p_.coefficients[k]);
    return Evaluate(p_, x) <= kTouch * size;
  }

  void AppendPositiveRoots(std::vector<double>* roots) const {
    for (const Complex z : Solve(p_, 0)) {
      if (z.real() > 0 && std::fabs(z.imag()) <= kNearlyReal * z.real()) {
        roots->push_back(z.real());
      }
    }
  }

 private:
  Polynomial p_;
};

// The largest b with all conditions on (0, b). They can only fail from one of their roots on.
double HoldUntil(const std::vector<Condition>& conditions) {
  std::vector<double> roots;
  for (const Condition& condition : conditions) condition.AppendPositiveRoots(&roots);
  std::sort(roots.begin(), roots.end());
  double last = 0;
  for (size_t i = 0; i <= roots.size(); ++i) {
    const double next = i < roots.size() ? roots[i] : 2 * last + 1;
    const double middle = last + (next - last) / 2;
    for (const Condition& condition : conditions) {
      if (!condition.Holds(middle)) return last;
    }
    last = next;
  }
  return kInfinity;
}

std::vector<double> Moduli(const Polynomial& p) {
  std::vector<double> moduli = p.coefficients;
  for (double& c : moduli) c = std::fabs(c);
  return moduli;
}

// With y = sqrt(u): the even or odd part of t(iy), squared, as a polynomial in u.
Polynomial SquaredPart(const Polynomial& t, bool odd) {
  Polynomial part;
  for (int k = odd ? 1 : 0; k <= t.degree(); k += 2) {
    part.coefficients.push_back(k / 2 % 2 == 0 ? t.coefficients[k] : -t.coefficients[k]);
  }
  if (part.coefficients.empty()) part.coefficients = {0};
  Polynomial square = Multiply(part, part);
  if (odd) square.coefficients.insert(square.coefficients.begin(), 0.0);
  return square;
}

Polynomial Sizes(const Polynomial& t) {
  Polynomial sizes = t;
  sizes.coefficients = Moduli(t);
  return sizes;
}

// Whether the part is there at all, above rounding.
bool HasPart(const Polynomial& t, bool odd) {
  double all = 0, part = 0;
  for (int k = 0; k <= t.degree(); ++k) {
    all = std::max(all, std::fabs(t.coefficients[k]));
    if (k % 2 == (odd ? 1 : 0)) part = std::max(part, std::fabs(t.coefficients[k]));
  }
  return part > kNoise * all;
}

}  // namespace

// |t(x)| <= 1 + d for x < 0; for d = -1 that is t(x) = 0.
double RealIntervalLeft(const StabilityFunction& function) {
  const double d = function.determinant();
  if (d == -1) return 0;
  const Polynomial t = Reflect(function.trace());
  std::vector<double> sizes = Moduli(t);
  sizes[0] += 1 + d;
  Polynomial above = t;
  above.coefficients[0] -= 1 + d;
  Polynomial below = t;
  for (double& c : below.coefficients) c = -c;
  below.coefficients[0] -= 1 + d;
  const double length = HoldUntil({Condition(above, sizes), Condition(below, sizes)});
  return length == 0 ? 0 : -length;
}

// (Re t / (1 + d))^2 + (Im t / (1 - d))^2 <= 1 at z = iy; a part over 0 must vanish.
double ImaginaryInterval(const StabilityFunction& function) {
  const double d = function.determinant();
  const Polynomial& t = function.trace();
  if (d == 1 && HasPart(t, /*odd=*/true)) return 0;
  if (d == -1 && HasPart(t, /*odd=*/false)) return 0;
  Polynomial excess, sizes;
  excess.coefficients = {-1};
  sizes.coefficients = {1};
  const auto add = [&](bool odd, double axis) {
    if (axis == 0) return;
    excess = Combine(1 / (axis * axis), SquaredPart(t, odd), excess);
    Polynomial moduli = Sizes(t);
    // Signs that undo those of i^k, so that all terms add up.
    for (int k = 0; k <= moduli.degree(); ++k) {
      if (k / 2 % 2 != 0) moduli.coefficients[k] = -moduli.coefficients[k];
    }
    sizes = Combine(1 / (axis * axis), SquaredPart(moduli, odd), sizes);
  };
  add(false, 1 + d);
  add(true, 1 - d);
  return std::sqrt(HoldUntil({Condition(excess, Moduli(sizes))}));
}

}  // namespace costate::stability

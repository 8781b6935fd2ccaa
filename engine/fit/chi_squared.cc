#include "engine/fit/chi_squared.h"

#include <cmath>
#include <numbers>

namespace costate::fit {

double ChiSquaredQuantile(double p) {
  const double target = std::log1p(-p);
  double z = std::sqrt(-2 * target);
  for (int i = 0; i < 100; ++i) {
    const double x = z / std::numbers::sqrt2;
    // By the body where the tail is close to 1: p may be tiny.
    const double value = z < 0.5 ? std::log1p(-std::erf(x)) : std::log(std::erfc(x));
    const double slope = -std::sqrt(2 / std::numbers::pi) * std::exp(-x * x) / std::erfc(x);
    const double next = z - (value - target) / slope;
    const bool settled = std::abs(next - z) <= 1e-15 * next;
    z = next;
    if (settled) break;
  }
  return z * z;
}

}  // namespace costate::fit

#include "engine/fit/chi_squared.h"

#include <cmath>
#include <numbers>

namespace costate::fit {

double ChiSquaredQuantile(double p) {
  const double target = std::log1p(-p);
  double z = 0;
  for (int i = 0; i < 100; ++i) {
    const double tail = std::erfc(z / std::numbers::sqrt2);
    const double slope = -std::sqrt(2 / std::numbers::pi) * std::exp(-0.5 * z * z) / tail;
    // log1p of the body where the tail is close to 1: p may be tiny.
    const double value = z < 0.5 ? std::log1p(-std::erf(z / std::numbers::sqrt2)) : std::log(tail);
    const double next = z - (value - target) / slope;
    const bool settled = std::abs(next - z) <= 1e-15 * next;
    z = next;
    if (settled) break;
  }
  return z * z;
}

}  // namespace costate::fit

#include "engine/gradients/difference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/base/status_macros.h"

namespace costate {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int kNoisePoints = 7;
constexpr double kLevelsAgree = 4;
constexpr double kShrink = 8;
constexpr int kMaxShrinks = 9;
constexpr double kLeastOfLast = 1e-5;  // how far below the last step tried the best may lie
constexpr double kAgree = 0.02;        // of two differences, whose truncation differs by kShrink^2

}  // namespace

double NoiseOf(absl::Span<const double> values) {
  std::vector<double> level(values.begin(), values.end());
  double largest = 0;
  for (const double f : values) largest = std::fmax(largest, std::fabs(f));
  const double rounding = kEpsilon * largest;
  std::vector<double> sigma;
  std::vector<bool> sign_change;
  double gamma = 1;
  for (int k = 1; level.size() > 1; ++k) {
    bool rises = false, falls = false;
    double square = 0;
    for (size_t i = 0; i + 1 < level.size(); ++i) {
      level[i] = level[i + 1] - level[i];
      rises |= level[i] > 0;
      falls |= level[i] < 0;
      square += level[i] * level[i];
    }
    level.pop_back();
    gamma *= 0.5 * k / (2 * k - 1);
    sigma.push_back(std::sqrt(gamma * square / static_cast<double>(level.size())));
    sign_change.push_back(rises && falls);
  }
  for (size_t k = 0; k + 2 < sigma.size(); ++k) {
    const auto [low, high] = std::minmax_element(sigma.begin() + k, sigma.begin() + k + 3);
    if (sign_change[k] && *high <= kLevelsAgree * *low) return std::fmax(sigma[k], rounding);
  }
  return std::fmax(*std::min_element(sigma.begin(), sigma.end()), rounding);
}

absl::StatusOr<double> MeasureNoise(LineFunction f, double spacing) {
  std::vector<double> values;
  for (int i = 0; i < kNoisePoints; ++i) {
    ASSIGN_OR_RETURN(const double value, f((i - kNoisePoints / 2) * spacing));
    if (!std::isfinite(value)) return kNaN;
    values.push_back(value);
  }
  return NoiseOf(values);
}

absl::StatusOr<double> DifferenceAt(LineFunction f, double step, int side) {
  if (side == 0) {
    ASSIGN_OR_RETURN(const double up, f(step));
    ASSIGN_OR_RETURN(const double down, f(-step));
    return (up - down) / (2 * step);
  }
  const double h = side * step;
  ASSIGN_OR_RETURN(const double at0, f(0));
  ASSIGN_OR_RETURN(const double at1, f(h));
  ASSIGN_OR_RETURN(const double at2, f(2 * h));
  return (4 * at1 - at2 - 3 * at0) / (2 * h);
}

absl::StatusOr<LineDerivative> DifferentiateLine(LineFunction f, double noise, double largest,
                                                 int side) {
  LineDerivative result;
  result.step = largest;
  ASSIGN_OR_RETURN(result.value, DifferenceAt(f, largest, side));
  double last_step = largest, last = result.value;
  double curvature = kNaN;  // truncation per step^2
  for (int i = 0; i < kMaxShrinks; ++i) {
    const double step = last_step / kShrink;
    ASSIGN_OR_RETURN(const double value, DifferenceAt(f, step, side));
    const double off = std::fabs(value - last);
    const double noise_here = 2 * noise / step;
    curvature = off / (last_step * last_step - step * step);
    result.value = value;
    result.step = step;
    last = value;
    last_step = step;
    if (off <= kAgree * std::fabs(value) || off <= noise_here) break;
  }
  // What noise alone would make of it bounds what was seen from below.
  const bool seen = curvature * last_step * last_step * kShrink * kShrink > 4 * noise / last_step;
  result.third = seen ? 6 * curvature : kNaN;
  if (std::isfinite(result.value) && curvature > 0) {
    const double best = std::clamp(std::cbrt(noise / (2 * curvature)), last_step * kLeastOfLast,
                                   last_step * kShrink);
    ASSIGN_OR_RETURN(const double value, DifferenceAt(f, best, side));
    if (std::isfinite(value)) {
      result.value = value;
      result.step = best;
    }
  }
  result.error = curvature * result.step * result.step + noise / result.step;
  return result;
}

}  // namespace costate

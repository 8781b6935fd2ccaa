#include "engine/fit/noise.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace costate::fit {
namespace {

constexpr double kLogRootTwoPi = 0.918938533204672742;  // ln sqrt(2 pi)
constexpr double kLeastWeighed = 1e-6;                  // |r| of Reweigh
constexpr double kLog2 = 0.693147180559945309;

bool IsLaplace(Noise noise) { return noise == Noise::kLaplace || noise == Noise::kLogLaplace; }

}  // namespace

bool IsLogNoise(Noise noise) {
  switch (noise) {
    case Noise::kGaussian:
    case Noise::kLaplace:
      return false;
    case Noise::kLogNormal:
    case Noise::kLogLaplace:
      return true;
  }
  return false;
}

NoiseTerm EvaluateNoise(Noise noise, double m, double y, double sigma) {
  NoiseTerm term;
  const bool log = IsLogNoise(noise);
  if (log && !(m > 0)) {
    term.value = std::numeric_limits<double>::infinity();
    return term;
  }
  const double log_y = log ? std::log(y) : 0;
  const double r = (log ? std::log(m) - log_y : m - y) / sigma;
  term.residual = -r;
  term.slope = (log ? 1 / m : 1) / sigma;
  if (IsLaplace(noise)) {
    term.value = kLog2 + std::log(sigma) + std::fabs(r) + log_y;
    term.score = r > 0 ? 1 : (r < 0 ? -1 : 0);
    term.sigma_gradient = 1 - std::fabs(r);
  } else {
    term.value = kLogRootTwoPi + std::log(sigma) + 0.5 * r * r + log_y;
    term.score = r;
    term.sigma_gradient = 1 - r * r;
  }
  return term;
}

void Reweigh(Noise noise, NoiseTerm* term) {
  if (!IsLaplace(noise)) return;
  const double root = std::sqrt(std::max(std::fabs(term->residual), kLeastWeighed));
  term->score = -term->residual / root;
  term->slope /= root;
}

double SigmaInformation(Noise noise) { return IsLaplace(noise) ? 1 : 2; }

}  // namespace costate::fit

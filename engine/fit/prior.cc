#include "engine/fit/prior.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"

namespace costate::fit {
namespace {

using Distribution = Prior::Distribution;

constexpr double kLogUnboundedRange = 23.02585092994045684;  // ln 1e10

// The row of gradient g and curvature h.
PriorTerm Row(double value, double g, double h) {
  if (!(h > 0)) return {.value = value};
  const double slope = std::sqrt(h);
  return {.value = value, .score = g / slope, .slope = slope};
}

PriorTerm OutOfSupport() { return {.value = std::numeric_limits<double>::infinity()}; }

double Sign(double x) { return x > 0 ? 1 : (x < 0 ? -1 : 0); }

PriorTerm Gamma(double shape, double scale, double x) {
  if (shape == 1) return Row(x / scale, 1 / scale, 1 / (scale * scale));
  const double value = x / scale - (shape - 1) * std::log(x);
  const double g = 1 / scale - (shape - 1) / x;
  return Row(value, g, shape > 1 ? (shape - 1) / (x * x) : 1 / (scale * scale));
}

PriorTerm LogUniform(double x, double lower, double upper) {
  const bool bounded = lower > 0 && std::isfinite(upper) && upper > lower;
  const double range = bounded ? std::log(upper / lower) : kLogUnboundedRange;
  return Row(std::log(x), 1 / x, 12 / (range * range * x * x));
}

// The support is x > 0.
PriorTerm Positive(const Prior& prior, double x, double lower, double upper) {
  const double a = prior.a, b = prior.b;
  switch (prior.distribution) {
    case Distribution::kLogNormal: {
      const double z = (std::log(x) - a) / b;
      return Row(0.5 * z * z + std::log(x), (z / b + 1) / x, 1 / (b * b * x * x));
    }
    case Distribution::kLogLaplace: {
      const double z = (std::log(x) - a) / b;
      return Row(std::fabs(z) + std::log(x), (Sign(z) / b + 1) / x, 1 / (b * b * x * x));
    }
    case Distribution::kGamma:
      return Gamma(a, b, x);
    case Distribution::kChiSquared:
      return Gamma(0.5 * a, 2, x);
    case Distribution::kLogUniform:
      return LogUniform(x, lower, upper);
    case Distribution::kRayleigh: {
      const double precision = 1 / (a * a);
      return Row(0.5 * x * x * precision - std::log(x), x * precision - 1 / x,
                 precision + 1 / (x * x));
    }
    case Distribution::kNormal:
    case Distribution::kLaplace:
    case Distribution::kCauchy:
    case Distribution::kExponential:
    case Distribution::kUniform:
      break;
  }
  return {};
}

bool UsesB(Distribution distribution) {
  switch (distribution) {
    case Distribution::kNormal:
    case Distribution::kLaplace:
    case Distribution::kLogNormal:
    case Distribution::kLogLaplace:
    case Distribution::kCauchy:
    case Distribution::kGamma:
      return true;
    case Distribution::kExponential:
    case Distribution::kUniform:
    case Distribution::kLogUniform:
    case Distribution::kRayleigh:
    case Distribution::kChiSquared:
      return false;
  }
  return false;
}

// What `a` has to be.
enum class First { kFinite, kPositive, kUnused };
First FirstFigure(Distribution distribution) {
  switch (distribution) {
    case Distribution::kNormal:
    case Distribution::kLaplace:
    case Distribution::kLogNormal:
    case Distribution::kLogLaplace:
    case Distribution::kCauchy:
      return First::kFinite;
    case Distribution::kGamma:
    case Distribution::kExponential:
    case Distribution::kRayleigh:
    case Distribution::kChiSquared:
      return First::kPositive;
    case Distribution::kUniform:
    case Distribution::kLogUniform:
      return First::kUnused;
  }
  return First::kUnused;
}

}  // namespace

absl::Status CheckPrior(const Prior& prior) {
  const First first = FirstFigure(prior.distribution);
  if (first != First::kUnused && !std::isfinite(prior.a)) {
    return FieldError("a", absl::StrCat(prior.a), "a finite number");
  }
  if (first == First::kPositive && !(prior.a > 0)) {
    return FieldError("a", absl::StrCat(prior.a), "a number above 0");
  }
  if (UsesB(prior.distribution) && !(prior.b > 0 && std::isfinite(prior.b))) {
    return FieldError("b", absl::StrCat(prior.b), "a finite number above 0");
  }
  return absl::OkStatus();
}

PriorTerm EvaluatePrior(const Prior& prior, double x, double lower, double upper) {
  const double a = prior.a, b = prior.b;
  switch (prior.distribution) {
    case Distribution::kNormal: {
      const double z = (x - a) / b;
      return Row(0.5 * z * z, z / b, 1 / (b * b));
    }
    case Distribution::kLaplace:
      return Row(std::fabs(x - a) / b, Sign(x - a) / b, 1 / (b * b));
    case Distribution::kCauchy: {
      const double z = (x - a) / b;
      const double spread = 1 + z * z;
      return Row(std::log1p(z * z), 2 * z / (b * spread), 2 / (b * b * spread));
    }
    case Distribution::kUniform:
      return {};
    case Distribution::kExponential:
      return x >= 0 ? Gamma(1, a, x) : OutOfSupport();
    case Distribution::kLogNormal:
    case Distribution::kLogLaplace:
    case Distribution::kGamma:
    case Distribution::kLogUniform:
    case Distribution::kRayleigh:
    case Distribution::kChiSquared:
      return x > 0 ? Positive(prior, x, lower, upper) : OutOfSupport();
  }
  return {};
}

}  // namespace costate::fit

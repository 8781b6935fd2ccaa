#include "engine/fit/transform.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace costate::fit {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLn10 = 2.302585092994045684;
constexpr double kLogitMargin = 1e-12;  // of the range, that ToSearch keeps off the bounds

// 1 / (1 + exp(-x)), without overflow.
double Logistic(double x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1 + e);
}

}  // namespace

double Transform::ToSearch(double natural) const {
  const double v = std::clamp(natural, lower, upper);
  switch (scale) {
    case Scale::kLinear:
      return v;
    case Scale::kLog:
      return std::clamp(std::log(v), SearchLower(), SearchUpper());
    case Scale::kLog10:
      return std::clamp(std::log10(v), SearchLower(), SearchUpper());
    case Scale::kLogit: {
      const double share = (v - lower) / (upper - lower);
      const double inside = std::clamp(share, kLogitMargin, 1 - kLogitMargin);
      return std::log(inside / (1 - inside));
    }
  }
  return v;
}

double Transform::ToNatural(double search) const {
  // What is at a bound stays there, whatever the logarithm rounds to.
  if (search >= SearchUpper()) return upper;
  if (search <= SearchLower()) return lower;
  double v = search;
  switch (scale) {
    case Scale::kLinear:
      break;
    case Scale::kLog:
      v = std::exp(search);
      break;
    case Scale::kLog10:
      v = std::pow(10.0, search);
      break;
    case Scale::kLogit:
      v = lower + (upper - lower) * Logistic(search);
      break;
  }
  if (std::isnan(v)) return v;
  return std::clamp(v, lower, upper);
}

double Transform::Slope(double search) const {
  switch (scale) {
    case Scale::kLinear:
      return 1;
    case Scale::kLog:
      return std::exp(search);
    case Scale::kLog10:
      return kLn10 * std::pow(10.0, search);
    case Scale::kLogit:
      return (upper - lower) * Logistic(search) * Logistic(-search);
  }
  return 1;
}

double Transform::SearchLower() const {
  switch (scale) {
    case Scale::kLinear:
      return lower;
    case Scale::kLog:
      return lower > 0 ? std::log(lower) : -kInfinity;
    case Scale::kLog10:
      return lower > 0 ? std::log10(lower) : -kInfinity;
    case Scale::kLogit:
      return -kInfinity;
  }
  return lower;
}

double Transform::SearchUpper() const {
  switch (scale) {
    case Scale::kLinear:
      return upper;
    case Scale::kLog:
      return std::log(upper);
    case Scale::kLog10:
      return std::log10(upper);
    case Scale::kLogit:
      return kInfinity;
  }
  return upper;
}

}  // namespace costate::fit

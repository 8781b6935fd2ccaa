#include "engine/fit/prior.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "gtest/gtest.h"

namespace costate::fit {
namespace {

using Distribution = Prior::Distribution;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Prior Of(Distribution distribution, double a, double b) {
  Prior prior;
  prior.distribution = distribution;
  prior.a = a;
  prior.b = b;
  return prior;
}

PriorTerm At(const Prior& prior, double x) { return EvaluatePrior(prior, x, 0.1, 10); }

const std::vector<Prior>& Proper() {
  static const auto& priors = *new std::vector<Prior>{
      Of(Distribution::kNormal, 1.5, 0.7),    Of(Distribution::kLaplace, 1.5, 0.7),
      Of(Distribution::kLogNormal, 0.3, 0.6), Of(Distribution::kLogLaplace, 0.3, 0.6),
      Of(Distribution::kCauchy, 1.5, 0.7),    Of(Distribution::kGamma, 2.5, 0.8),
      Of(Distribution::kGamma, 0.6, 0.8),     Of(Distribution::kGamma, 1, 0.8),
      Of(Distribution::kExponential, 0.9, 0), Of(Distribution::kRayleigh, 1.3, 0),
      Of(Distribution::kChiSquared, 5, 0),    Of(Distribution::kLogUniform, 0, 0),
      Of(Distribution::kUniform, 0, 0)};
  return priors;
}

// Logarithms of the densities as textbooks write them.
double LogDensity(const Prior& prior, double x) {
  const double a = prior.a, b = prior.b;
  switch (prior.distribution) {
    case Distribution::kNormal:
      return std::log(std::exp(-(x - a) * (x - a) / (2 * b * b)) / (b * std::sqrt(2 * M_PI)));
    case Distribution::kLaplace:
      return std::log(std::exp(-std::fabs(x - a) / b) / (2 * b));
    case Distribution::kLogNormal:
      return std::log(std::exp(-std::pow(std::log(x) - a, 2) / (2 * b * b)) /
                      (x * b * std::sqrt(2 * M_PI)));
    case Distribution::kLogLaplace:
      return std::log(std::exp(-std::fabs(std::log(x) - a) / b) / (2 * b * x));
    case Distribution::kCauchy:
      return -std::log(M_PI * b * (1 + std::pow((x - a) / b, 2)));
    case Distribution::kGamma:
      return std::log(std::pow(x, a - 1) * std::exp(-x / b) / (std::tgamma(a) * std::pow(b, a)));
    case Distribution::kExponential:
      return std::log(std::exp(-x / a) / a);
    case Distribution::kUniform:
      return 0;
    case Distribution::kLogUniform:
      return -std::log(x);
    case Distribution::kRayleigh:
      return std::log(x / (a * a) * std::exp(-x * x / (2 * a * a)));
    case Distribution::kChiSquared:
      return std::log(std::pow(x, a / 2 - 1) * std::exp(-x / 2) /
                      (std::pow(2, a / 2) * std::tgamma(a / 2)));
  }
  return 0;
}

TEST(Prior, ValuesAreLogDensitiesUpToAConstant) {
  for (const Prior& prior : Proper()) {
    const double constant = At(prior, 1).value + LogDensity(prior, 1);
    for (const double x : {0.2, 0.9, 2.0, 4.5}) {
      EXPECT_NEAR(At(prior, x).value, constant - LogDensity(prior, x), 1e-12)
          << static_cast<int>(prior.distribution) << " at " << x;
    }
  }
}

TEST(Prior, RowsGiveTheGradient) {
  for (const Prior& prior : Proper()) {
    for (const double x : {0.2, 0.9, 2.0, 4.5}) {
      const double h = 1e-6;
      const double difference = (At(prior, x + h).value - At(prior, x - h).value) / (2 * h);
      const PriorTerm term = At(prior, x);
      EXPECT_NEAR(term.score * term.slope, difference, 1e-7 * (1 + std::fabs(difference)))
          << static_cast<int>(prior.distribution) << " at " << x;
    }
  }
}

TEST(Prior, CurvatureIsExactWhereThePriorIsConvex) {
  for (const Prior& prior :
       {Of(Distribution::kNormal, 1.5, 0.7), Of(Distribution::kGamma, 2.5, 1),
        Of(Distribution::kRayleigh, 1.3, 0), Of(Distribution::kChiSquared, 5, 0)}) {
    const double x = 1.2, h = 1e-4;
    const double second =
        (At(prior, x + h).value - 2 * At(prior, x).value + At(prior, x - h).value) / (h * h);
    const double slope = At(prior, x).slope;
    EXPECT_NEAR(slope * slope, second, 1e-5 * second);
  }
}

// Least squares with these weights lie above the Cauchy's own value and touch it.
TEST(Prior, CurvatureOfCauchyMajorises) {
  const Prior prior = Of(Distribution::kCauchy, 0, 1);
  for (const double x : {-3.0, 0.0, 0.5, 4.0}) {
    const PriorTerm term = At(prior, x);
    for (const double y : {-5.0, -1.0, 0.3, 2.0, 7.0}) {
      const double d = y - x;
      const double model =
          term.value + term.score * term.slope * d + 0.5 * term.slope * term.slope * d * d;
      EXPECT_GE(model, At(prior, y).value - 1e-12);
    }
  }
}

TEST(Prior, SupportsAreKept) {
  for (const Distribution distribution :
       {Distribution::kLogNormal, Distribution::kLogLaplace, Distribution::kGamma,
        Distribution::kLogUniform, Distribution::kRayleigh, Distribution::kChiSquared}) {
    EXPECT_TRUE(std::isinf(At(Of(distribution, 1, 1), 0).value));
    EXPECT_TRUE(std::isinf(At(Of(distribution, 1, 1), -1).value));
  }
  EXPECT_TRUE(std::isinf(At(Of(Distribution::kExponential, 1, 0), -1e-9).value));
  EXPECT_EQ(At(Of(Distribution::kExponential, 1, 0), 0).value, 0);
  EXPECT_TRUE(std::isfinite(At(Of(Distribution::kCauchy, 1, 1), -5).value));
}

TEST(Prior, LogUniformHasTheInformationOfItsRange) {
  const PriorTerm term = EvaluatePrior(Of(Distribution::kLogUniform, 0, 0), 2, 1, std::exp(1.0));
  EXPECT_NEAR(term.slope * 2, std::sqrt(12.0), 1e-12);  // variance of a uniform: range^2 / 12
  EXPECT_TRUE(std::isfinite(
      EvaluatePrior(Of(Distribution::kLogUniform, 0, 0), 2, -kInfinity, kInfinity).slope));
}

TEST(Prior, FiguresAreChecked) {
  EXPECT_EQ(FieldOf(CheckPrior(Of(Distribution::kNormal, 0, 0))), "b");
  EXPECT_EQ(FieldOf(CheckPrior(Of(Distribution::kNormal, NAN, 1))), "a");
  EXPECT_EQ(FieldOf(CheckPrior(Of(Distribution::kGamma, 0, 1))), "a");
  EXPECT_EQ(FieldOf(CheckPrior(Of(Distribution::kGamma, 1, kInfinity))), "b");
  EXPECT_EQ(FieldOf(CheckPrior(Of(Distribution::kExponential, -1, 0))), "a");
  EXPECT_EQ(FieldOf(CheckPrior(Of(Distribution::kChiSquared, 0, 0))), "a");
  for (const Prior& prior : Proper()) EXPECT_TRUE(CheckPrior(prior).ok());
}

}  // namespace
}  // namespace costate::fit

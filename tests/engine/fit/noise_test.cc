#include "engine/fit/noise.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace costate::fit {
namespace {

constexpr Noise kAll[] = {Noise::kGaussian, Noise::kLogNormal, Noise::kLaplace, Noise::kLogLaplace};

// Simpson's rule over y of f(y, -log density) exp(-(-log density)), in ln y for log noise. Kinks
// lie at the middle of the range, which is a node.
template <typename F>
double Expectation(Noise noise, double m, double sigma, const F& f) {
  const int n = 40'000;
  const double centre = IsLogNoise(noise) ? std::log(m) : m;
  const double low = centre - 40 * sigma, h = 80 * sigma / n;
  double sum = 0;
  for (int i = 0; i <= n; ++i) {
    const double u = low + i * h;
    const double y = IsLogNoise(noise) ? std::exp(u) : u;
    const NoiseTerm term = EvaluateNoise(noise, m, y, sigma);
    const double density = std::exp(-term.value) * (IsLogNoise(noise) ? y : 1);  // in u
    sum += (i == 0 || i == n ? 1 : (i % 2 == 1 ? 4 : 2)) * f(term) * density;
  }
  return sum * h / 3;
}

TEST(Noise, DensitiesIntegrateToOne) {
  for (const Noise noise : kAll) {
    EXPECT_NEAR(Expectation(noise, 2.5, 0.2, [](const NoiseTerm&) { return 1.0; }), 1, 1e-6);
  }
}

TEST(Noise, ScoresTimesSlopesAreDerivativesByTheModelsValue) {
  for (const Noise noise : kAll) {
    for (const double y : {0.7, 2.0, 3.1}) {
      const NoiseTerm term = EvaluateNoise(noise, 1.9, y, 0.4);
      const double h = 1e-5;
      const double difference = (EvaluateNoise(noise, 1.9 + h, y, 0.4).value -
                                 EvaluateNoise(noise, 1.9 - h, y, 0.4).value) /
                                (2 * h);
      EXPECT_NEAR(term.score * term.slope, difference, 1e-8);
    }
  }
}

TEST(Noise, SigmaGradientsAreDerivativesByLnSigma) {
  for (const Noise noise : kAll) {
    const NoiseTerm term = EvaluateNoise(noise, 1.9, 2.6, 0.4);
    const double h = 1e-5;
    const double difference = (EvaluateNoise(noise, 1.9, 2.6, 0.4 * std::exp(h)).value -
                               EvaluateNoise(noise, 1.9, 2.6, 0.4 * std::exp(-h)).value) /
                              (2 * h);
    EXPECT_NEAR(term.sigma_gradient, difference, 1e-8);
  }
}

// J'J of a row is the variance of the score, which is the Fisher information.
TEST(Noise, SquaredSlopesAreFisherInformation) {
  for (const Noise noise : kAll) {
    const double m = 2.5, sigma = 0.2;
    const double information = Expectation(noise, m, sigma, [](const NoiseTerm& term) {
      return term.score * term.score * term.slope * term.slope;
    });
    const double slope = EvaluateNoise(noise, m, 2.2, sigma).slope;
    EXPECT_NEAR(slope * slope / information, 1, 1e-3);  // the Laplace score jumps at a node
    const double of_sigma = Expectation(noise, m, sigma, [](const NoiseTerm& term) {
      return term.sigma_gradient * term.sigma_gradient;
    });
    EXPECT_NEAR(SigmaInformation(noise) / of_sigma, 1, 1e-5);
    EXPECT_NEAR(Expectation(noise, m, sigma,
                            [](const NoiseTerm& term) {
                              return term.score * term.slope * term.sigma_gradient;
                            }),
                0, 1e-6);
  }
}

TEST(Noise, ResidualsAreDataLessModelInSigmas) {
  EXPECT_DOUBLE_EQ(EvaluateNoise(Noise::kGaussian, 2, 5, 3).residual, 1);
  EXPECT_DOUBLE_EQ(EvaluateNoise(Noise::kLogLaplace, 1, std::exp(1), 2).residual, 0.5);
}

TEST(Noise, LogarithmsNeedAPositiveModel) {
  EXPECT_TRUE(std::isinf(EvaluateNoise(Noise::kLogNormal, 0, 1, 1).value));
  EXPECT_TRUE(std::isinf(EvaluateNoise(Noise::kLogLaplace, -1, 1, 1).value));
  EXPECT_TRUE(std::isfinite(EvaluateNoise(Noise::kGaussian, -1, 1, 1).value));
}

}  // namespace
}  // namespace costate::fit

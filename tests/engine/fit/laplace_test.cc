// Fits with Laplace noise against the exact optimum of a sum of absolute values: a line through two
// of the data points (Bloomfield and Steiger, "Least Absolute Deviations", 1983).
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "engine/fit/fit.h"
#include "engine/fit/objective.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate::fit {
namespace {

const std::vector<double> kTimes = {0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5};
const std::vector<double> kValues = {1.9, 2.7, 2.6, 9.0, 4.4, 4.6, 5.9, -3.0, 6.8};

// y = a + b t with outliers.
FitProblem Line() {
  FitProblem problem;
  problem.simulation = costate::testing::Simulate(
      costate::testing::CompileText("param a = 1\nparam b = 1\nstate y = a\ny' = b\n"), 0, 5,
      1e-10);
  Series series;
  series.channel_kind = Channel::Kind::kState;
  series.channel = "y";
  series.times = kTimes;
  series.values = kValues;
  series.noise = Noise::kLaplace;
  series.sigma = {0.5};
  problem.data = {series};
  for (const char* name : {"a", "b"}) {
    Free free;
    free.name = name;
    free.start = {-2};
    problem.free.push_back(free);
  }
  return problem;
}

// The least sum of absolute deviations, over lines through two points.
double LeastDeviations() {
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < kTimes.size(); ++i) {
    for (size_t j = i + 1; j < kTimes.size(); ++j) {
      const double slope = (kValues[j] - kValues[i]) / (kTimes[j] - kTimes[i]);
      double sum = 0;
      for (size_t k = 0; k < kTimes.size(); ++k) {
        sum += std::fabs(kValues[k] - kValues[i] - slope * (kTimes[k] - kTimes[i]));
      }
      least = std::min(least, sum);
    }
  }
  return least;
}

FitResult Fit(const FitProblem& problem) {
  FitOptions options;
  const std::shared_ptr<const Objective> objective =
      Objective::Create(costate::testing::TestEngine(), problem, options.gradient).value();
  options = ResolveFitOptions(*objective, options).value();
  NoWorkers workers;
  const auto starts = Starts::Create(objective, options, 0, 1).value();
  while (!starts->done()) EXPECT_TRUE(starts->Advance(kNeverStops, workers).ok());
  return Summarise(*objective, options, starts->results(), kNeverStops, workers).value();
}

TEST(Laplace, FindsTheLineOfLeastDeviations) {
  const FitResult result = Fit(Line());
  const double least = LeastDeviations() / 0.5 + 9 * std::log(2 * 0.5);
  EXPECT_NEAR(result.starts[0].objective, least, 1e-5);
  EXPECT_EQ(result.starts[0].outcome, optimise::Outcome::kConverged) << result.starts[0].detail;
}

TEST(Laplace, EstimatesItsScaleWithIt) {
  FitProblem problem = Line();
  problem.data[0].sigma.clear();
  const FitResult result = Fit(problem);
  const double sigma = LeastDeviations() / 9;  // at the optimum, the mean deviation
  EXPECT_NEAR(result.starts[0].objective, 9 * (std::log(2 * sigma) + 1), 1e-5);
  EXPECT_NEAR(result.estimates[2].value, sigma, 1e-4 * sigma);
}

// Fisher information, not the curvature that steps are taken by: (X'X / sigma^2)^-1.
TEST(Laplace, HasTheCovarianceOfItsInformation) {
  const FitResult result = Fit(Line());
  double n = 0, t = 0, tt = 0;
  for (const double time : kTimes) n += 1, t += time, tt += time * time;
  const double scale = 0.25 / (n * tt - t * t);
  EXPECT_NEAR(result.covariance[0], scale * tt, 1e-6 * scale * tt);
  EXPECT_NEAR(result.covariance[1], -scale * t, 1e-6 * scale * t);
  EXPECT_NEAR(result.covariance[3], scale * n, 1e-6 * scale * n);
}

}  // namespace
}  // namespace costate::fit

#include "engine/fit/summary.h"

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/fit/fit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/fit/fake_objective.h"

namespace costate::fit {
namespace {

using testing::DecayModel;
using testing::Element;
using ::testing::ElementsAre;
using testing::FakeObjective;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kInfinity;
using testing::Residuals;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

FitResult Fit(std::shared_ptr<const Objective> objective, int64_t count = 1) {
  FitOptions options;
  options.starts = count;
  options = ResolveFitOptions(*objective, options).value();
  NoWorkers workers;
  std::unique_ptr<Starts> starts = Starts::Create(objective, options, 0, count).value();
  while (!starts->done()) EXPECT_TRUE(starts->Advance(kNeverStops, workers).ok());
  return Summarise(*objective, options, starts->results(), kNeverStops, workers).value();
}

StartResult Ended(int64_t index, double objective) {
  StartResult start;
  start.index = index;
  start.objective = objective;
  return start;
}

TEST(SummaryTest, SortsByObjectiveThenIndex) {
  std::vector<StartResult> starts = {Ended(0, 3),    Ended(1, kInfinity), Ended(2, 1),
                                     Ended(3, kNaN), Ended(5, 1.05),      Ended(4, 1)};
  SortStarts(&starts);
  std::vector<int64_t> order;
  for (const StartResult& start : starts) order.push_back(start.index);
  EXPECT_THAT(order, ElementsAre(2, 4, 5, 0, 1, 3));
  EXPECT_EQ(CountAtBest(starts), 3);
  EXPECT_EQ(CountAtBest({}), 0);
  EXPECT_EQ(CountAtBest({Ended(0, kInfinity)}), 0);
}

TEST(SummaryTest, FindsBounds) {
  const optimise::Box box = {{0, 0, 0, -kInfinity, 0}, {1, 1, 1, kInfinity, kInfinity}};
  EXPECT_THAT(FindBounds(box, {0, 1e-7, 1e-7, 5, 1e-5}, {-1, 1, -1, 1, 1}),
              ElementsAre(true, true, false, false, false));
  EXPECT_THAT(FindBounds(box, {1, 1 - 1e-7, 0.5, -5, 0}, {}),
              ElementsAre(true, false, false, false, true));
}

// y = A exp(-k t) with sigma: information [S0, -A S1; -A S1, A^2 S2] / sigma^2 with
// S_i = sum t^i exp(-2 k t), inverted by hand.
TEST(SummaryTest, ExponentialDecayInClosedForm) {
  const std::vector<double> times = {0.5, 1, 1.5, 2, 3, 4}, y = {7.9, 6.1, 4.8, 3.7, 2.2, 1.4};
  const double sigma = 0.2;
  const auto objective = std::make_shared<FakeObjective>(
      std::vector<FreeElement>{Element("A", 5), Element("k", 1, 0.01, 10, Scale::kLog10)},
      DecayModel(times, y, sigma));
  const FitResult result = Fit(objective);
  const double a = result.estimates[0].value, k = result.estimates[1].value;
  double s0 = 0, s1 = 0, s2 = 0, gradient_a = 0, gradient_k = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const double e = std::exp(-k * times[i]);
    s0 += e * e;
    s1 += times[i] * e * e;
    s2 += times[i] * times[i] * e * e;
    gradient_a += (a * e - y[i]) * e;
    gradient_k += (a * e - y[i]) * times[i] * e;
  }
  EXPECT_NEAR(gradient_a, 0, 1e-7);
  EXPECT_NEAR(gradient_k, 0, 1e-7);
  const double det = s0 * s2 - s1 * s1;
  const double caa = sigma * sigma * s2 / det, cak = sigma * sigma * s1 / (a * det);
  const double ckk = sigma * sigma * s0 / (a * a * det);
  EXPECT_NEAR(result.covariance[0], caa, 1e-10 * caa);
  EXPECT_NEAR(result.covariance[1], cak, 1e-10 * cak);
  EXPECT_NEAR(result.covariance[2], cak, 1e-10 * cak);
  EXPECT_NEAR(result.covariance[3], ckk, 1e-10 * ckk);
  EXPECT_NEAR(result.correlation[1], s1 / std::sqrt(s0 * s2), 1e-12);
  const double f01 = -a * s1 / (sigma * sigma);
  EXPECT_NEAR(result.fisher_information[1], f01, 1e-10 * std::abs(f01));
  EXPECT_NEAR(result.estimates[0].standard_error, std::sqrt(caa), 1e-10);
  // A: symmetric; k: symmetric in its logarithm.
  EXPECT_NEAR(result.estimates[0].interval_lower, a - 1.959964 * std::sqrt(caa), 1e-6);
  EXPECT_NEAR(result.estimates[0].interval_upper, a + 1.959964 * std::sqrt(caa), 1e-6);
  const double factor = std::exp(1.959964 * std::sqrt(ckk) / k);
  EXPECT_NEAR(result.estimates[1].interval_lower, k / factor, 1e-6);
  EXPECT_NEAR(result.estimates[1].interval_upper, k * factor, 1e-6);
  // Of J'J by A and log10 k: trace and determinant.
  const double per = k * std::log(10.0), v = sigma * sigma;
  EXPECT_NEAR(result.eigenvalues[0] + result.eigenvalues[1], (s0 + per * per * a * a * s2) / v,
              1e-7);
  EXPECT_NEAR(result.eigenvalues[0] * result.eigenvalues[1], per * per * a * a * det / (v * v),
              1e-5);
  EXPECT_LT(result.eigenvalues[0], result.eigenvalues[1]);
  EXPECT_THAT(result.unidentified, IsEmpty());
  EXPECT_EQ(result.fitted.size(), 1u);
  EXPECT_EQ(result.starts_at_best, 1);
  EXPECT_FALSE(result.options.method_auto);
}

// Only A*c enters.
TEST(SummaryTest, SaysThatAProductAloneIsDetermined) {
  const std::vector<double> times = {1, 2, 3, 4}, y = {2.1, 3.9, 6.2, 7.8};
  const auto objective = std::make_shared<FakeObjective>(
      std::vector<FreeElement>{Element("b", 1, 0.01, 100, Scale::kLog),
                               Element("s0", 1, 0.01, 100, Scale::kLog10), Element("d", 0)},
      [=](const std::vector<double>& v) {
        Residuals r;
        for (size_t i = 0; i < y.size(); ++i) {
          r.s.push_back(v[0] * v[1] * times[i] + v[2] - y[i]);
          for (const double d : {v[1] * times[i], v[0] * times[i], 1.0}) r.jacobian.push_back(d);
        }
        return r;
      });
  const FitResult result = Fit(objective);
  EXPECT_THAT(result.unidentified,
              ElementsAre("Only b*s0 is determined by the data, neither b nor s0 alone."));
  EXPECT_TRUE(std::isnan(result.estimates[0].standard_error));
  EXPECT_TRUE(std::isnan(result.estimates[1].interval_lower));
  EXPECT_TRUE(std::isnan(result.covariance[4]));
  // The intercept's variance in a straight line: sum t^2 / (n sum t^2 - (sum t)^2) = 30 / 20.
  EXPECT_NEAR(result.estimates[2].standard_error, std::sqrt(1.5), 1e-9);
  EXPECT_NEAR(result.eigenvalues[0], 0, 1e-12);
}

TEST(SummaryTest, AnEstimateOnABoundIsTakenAsKnown) {
  const std::vector<double> times = {0.5, 1, 1.5, 2, 3, 4}, y = {7.9, 6.1, 4.8, 3.7, 2.2, 1.4};
  const auto objective = std::make_shared<FakeObjective>(
      std::vector<FreeElement>{Element("A", 5), Element("k", 1, 0.6, 10)},
      DecayModel(times, y, 0.2));
  const FitResult result = Fit(objective);
  EXPECT_EQ(result.estimates[1].value, 0.6);
  EXPECT_TRUE(result.estimates[1].at_bound);
  EXPECT_TRUE(std::isnan(result.estimates[1].standard_error));
  EXPECT_THAT(result.unidentified,
              ElementsAre(HasSubstr("k lies on its lower bound 0.6, and the fit would be better")));
  double s0 = 0;
  for (const double t : times) s0 += std::exp(-1.2 * t);
  EXPECT_NEAR(result.estimates[0].standard_error, 0.2 / std::sqrt(s0), 1e-12);
}

TEST(SummaryTest, AWideIntervalIsCutAtTheBoundsAndSaidSo) {
  const auto objective = std::make_shared<FakeObjective>(
      std::vector<FreeElement>{Element("x", 1, 0, 2)}, testing::LinearModel({1}, {1}, 10));
  const FitResult result = Fit(objective);
  EXPECT_EQ(result.estimates[0].interval_lower, 0);
  EXPECT_EQ(result.estimates[0].interval_upper, 2);
  EXPECT_NEAR(result.estimates[0].standard_error, 10, 1e-12);
  EXPECT_THAT(result.unidentified, ElementsAre(HasSubstr("The data say little of x")));
}

// As far as the solves are accurate: a column that differs from another by 1e-5 of itself is taken
// for another at rtol 1e-8, not at 1e-4.
TEST(SummaryTest, TheThresholdFollowsTheSolves) {
  FakeObjective objective({Element("a", 1), Element("b", 1)},
                          testing::LinearModel({1, 1, 1, 1 + 2e-5}, {1, 2}));
  const FitOptions options = ResolveFitOptions(objective, {}).value();
  StartResult start = Ended(0, 0);
  start.values = {1, 1};
  NoWorkers workers;
  const auto sentences = [&](double rtol) {
    objective.mutable_resolution().options.control.rtol = rtol;
    return Summarise(objective, options, {start}, kNeverStops, workers).value().unidentified;
  };
  EXPECT_THAT(sentences(1e-8), IsEmpty());
  EXPECT_THAT(sentences(1e-4), ElementsAre(HasSubstr("Only a + b is determined")));
}

TEST(SummaryTest, WithoutAFiniteObjective) {
  const auto objective = std::make_shared<FakeObjective>(
      std::vector<FreeElement>{Element("x", 1), Element("y", 5)}, testing::ValleyModel(-kInfinity));
  const FitResult result = Fit(objective, 3);
  EXPECT_EQ(result.starts.size(), 3u);
  EXPECT_EQ(result.starts_at_best, 0);
  EXPECT_EQ(result.estimates.size(), 2u);
  EXPECT_TRUE(std::isnan(result.estimates[0].standard_error));
  EXPECT_THAT(result.covariance, IsEmpty());
  EXPECT_THAT(result.fitted, IsEmpty());
  EXPECT_THAT(result.unidentified, ElementsAre(HasSubstr("No start reached a finite objective")));
}

TEST(SummaryTest, WithoutFiniteDerivatives) {
  const FakeObjective objective(
      {Element("x", 1)}, [](const std::vector<double>& v) { return Residuals{{v[0]}, {kNaN}}; });
  StartResult start = Ended(0, 0.5);
  start.values = {1};
  NoWorkers workers;
  const FitResult result =
      Summarise(objective, ResolveFitOptions(objective, {}).value(), {start}, kNeverStops, workers)
          .value();
  EXPECT_THAT(result.unidentified, ElementsAre(HasSubstr("derivatives at the best point")));
  ASSERT_EQ(result.covariance.size(), 1u);
  EXPECT_TRUE(std::isnan(result.covariance[0]));
  EXPECT_EQ(result.fitted.size(), 1u);
}

TEST(SummaryTest, SaysNothingOfUncertaintyWhereMatricesWouldBeTooLarge) {
  std::vector<FreeElement> elements;
  for (int j = 0; j < kMaxUncertainElements + 1; ++j) elements.push_back(Element("w", 1, 0, 2));
  const FakeObjective objective(elements, testing::LinearModel({}, {}));
  StartResult start = Ended(0, 0);
  start.values.assign(elements.size(), 1.0);
  NoWorkers workers;
  const FitResult result =
      Summarise(objective, ResolveFitOptions(objective, {}).value(), {start}, kNeverStops, workers)
          .value();
  EXPECT_THAT(result.unidentified, ElementsAre(HasSubstr("With 1001 free elements, over 1000")));
  EXPECT_THAT(result.covariance, IsEmpty());
  EXPECT_TRUE(std::isnan(result.estimates[0].standard_error));
}

}  // namespace
}  // namespace costate::fit

// Whole fits of real models: against SciPy (scipy_reference.py), from many starts, resumed.
#include "engine/fit/fit.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/fit/objective.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"
#include "tests/engine/fit/scipy_reference.h"
#include "tests/engine/fit/thread_workers.h"

namespace costate::fit {
namespace {

using costate::testing::CompileProblem;
using costate::testing::CompileText;
using costate::testing::Simulate;
using costate::testing::TestEngine;
using ::testing::HasSubstr;

std::vector<double> Days(double first, int count) {
  std::vector<double> days;
  for (int i = 0; i < count; ++i) days.push_back(first + i);
  return days;
}

Free Searched(std::string name, double start, double lower, double upper,
              Scale scale = Scale::kLog10) {
  Free free;
  free.name = std::move(name);
  free.start = {start};
  free.lower = lower;
  free.upper = upper;
  free.scale = scale;
  return free;
}

// Boys in bed in an English boarding school, January 1978: counts on 14 days.
FitProblem Influenza() {
  FitProblem problem;
  problem.simulation = Simulate(CompileProblem("sir.ode"), 0, 14, 1e-9, 1e-9);
  Series series;
  series.channel = "in_bed";
  series.times = Days(1, 14);
  series.values = {3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4};
  series.sigma = {10};
  problem.data = {series};
  problem.free = {Searched("b", 1, 0.1, 10), Searched("k", 0.5, 0.05, 5),
                  Searched("i", 1, 0.1, 100)};
  return problem;
}

constexpr char kPreyText[] =
    "param a = 0.5\nparam b = 0.02\nparam c = 0.8\nparam d = 0.02\n"
    "state hare = 30\nstate lynx = 4\n"
    "hare' = a*hare - b*hare*lynx\nlynx' = -c*lynx + d*hare*lynx\n";

// Pelts of the Hudson Bay Company in thousands, 1900 to 1920.
FitProblem HareLynx(Noise noise, double sigma) {
  FitProblem problem;
  problem.simulation = Simulate(CompileText(kPreyText), 1900, 1920, 1e-9, 1e-9);
  const auto add = [&](const char* state, std::vector<double> values) {
    Series series;
    series.channel_kind = Channel::Kind::kState;
    series.channel = state;
    series.times = Days(1900, 21);
    series.values = std::move(values);
    series.noise = noise;
    series.sigma = {sigma};
    problem.data.push_back(series);
  };
  add("hare", {30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1,
               40.3, 57.0, 76.6, 52.3, 19.5, 11.2, 7.6,  14.6, 16.2, 24.7});
  add("lynx", {4.0, 6.1,  9.8,  35.2, 59.4, 41.7, 19.0, 13.0, 8.3,  9.1, 7.4,
               8.0, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7,  10.1, 8.6});
  // A decade each, about what a look at the data gives: periods 2 pi / sqrt(a c) of 3 to 31 years.
  problem.free = {Searched("a", 0.5, 0.2, 2),    Searched("b", 0.02, 0.01, 0.1),
                  Searched("c", 0.8, 0.2, 2),    Searched("d", 0.02, 0.01, 0.1),
                  Searched("hare", 30, 10, 100), Searched("lynx", 4, 1, 10)};
  return problem;
}

struct Fitted {
  std::shared_ptr<const Objective> objective;
  FitOptions options;
  FitResult result;
};

std::shared_ptr<const Objective> ObjectiveOf(const FitProblem& problem,
                                             const FitOptions& options = {}) {
  return Objective::Create(TestEngine(), problem, options.gradient).value();
}

Fitted Fit(const FitProblem& problem, FitOptions options = {}) {
  Fitted fitted;
  fitted.objective = ObjectiveOf(problem, options);
  fitted.options = ResolveFitOptions(*fitted.objective, options).value();
  testing::ThreadWorkers workers(2);
  std::unique_ptr<Starts> starts =
      Starts::Create(fitted.objective, fitted.options, 0, fitted.options.starts).value();
  while (!starts->done()) EXPECT_TRUE(starts->Advance(kNeverStops, workers).ok());
  fitted.result =
      Summarise(*fitted.objective, fitted.options, starts->results(), kNeverStops, workers).value();
  return fitted;
}

// Values to 1e-6 of themselves, covariances to 1e-4 of the standard errors they are of.
void ExpectAgrees(const FitResult& result, const double* values, const double* covariance) {
  const size_t q = result.estimates.size();
  for (size_t a = 0; a < q; ++a) {
    EXPECT_NEAR(result.estimates[a].value, values[a], 1e-6 * values[a]) << result.estimates[a].name;
    const double variance = covariance[a * q + a];
    EXPECT_NEAR(result.estimates[a].standard_error, std::sqrt(variance),
                1e-4 * std::sqrt(variance));
    for (size_t b = 0; b < q; ++b) {
      const double size = std::sqrt(variance * covariance[b * q + b]);
      EXPECT_NEAR(result.covariance[a * q + b], covariance[a * q + b], 1e-4 * size);
      EXPECT_NEAR(result.correlation[a * q + b], covariance[a * q + b] / size, 1e-4);
    }
  }
  EXPECT_THAT(result.unidentified, ::testing::IsEmpty());
}

// As far as rounding goes: with large residuals the last digits come slowly.
FitOptions Tight() {
  FitOptions options;
  options.optimiser.function_tolerance = 1e-14;
  options.optimiser.gradient_tolerance = 1e-10;
  options.optimiser.step_tolerance = 1e-12;
  return options;
}

double NormalConstant(int64_t count, double sigma) {
  return static_cast<double>(count) * std::log(sigma * std::sqrt(2 * M_PI));
}

TEST(FitTest, InfluenzaAgreesWithScipy) {
  const Fitted fitted = Fit(Influenza(), Tight());
  ExpectAgrees(fitted.result, reference::kInfluenza, reference::kInfluenzaCovariance);
  EXPECT_NEAR(fitted.result.starts[0].objective,
              reference::kInfluenzaCost[0] + NormalConstant(14, 10), 1e-6);
  double squares = 0;
  for (const double r : fitted.result.residuals[0]) squares += r * r;
  EXPECT_NEAR(0.5 * squares, reference::kInfluenzaCost[0], 1e-6);
  EXPECT_EQ(fitted.result.trajectories.size(), 1u);
}

TEST(FitTest, HareAndLynxWithLogNormalNoiseAgreesWithScipy) {
  const Fitted fitted = Fit(HareLynx(Noise::kLogNormal, 0.25), Tight());
  ExpectAgrees(fitted.result, reference::kHareLynxLogNormal,
               reference::kHareLynxLogNormalCovariance);
}

TEST(FitTest, HareAndLynxWithGaussianNoiseAgreesWithScipy) {
  const Fitted fitted = Fit(HareLynx(Noise::kGaussian, 5), Tight());
  ExpectAgrees(fitted.result, reference::kHareLynxGaussian, reference::kHareLynxGaussianCovariance);
  EXPECT_NEAR(fitted.result.starts[0].objective,
              reference::kHareLynxGaussianCost[0] + NormalConstant(42, 5), 1e-6);
}

// Every method that minimises finds the same estimates, as far as it goes.
TEST(FitTest, MethodsAgree) {
  FitOptions options;
  options.method_auto = false;
  options.optimiser.algorithm = optimise::Algorithm::kLbfgsb;
  const Fitted lbfgsb = Fit(Influenza(), options);
  options.optimiser.algorithm = optimise::Algorithm::kNlopt;
  options.optimiser.nlopt_algorithm = "LN_BOBYQA";
  const Fitted bobyqa = Fit(Influenza(), options);
  for (int j = 0; j < 3; ++j) {
    const double value = reference::kInfluenza[j];
    EXPECT_NEAR(lbfgsb.result.estimates[j].value, value, 1e-4 * value);
    EXPECT_NEAR(bobyqa.result.estimates[j].value, value, 1e-3 * value);
  }
}

// From points drawn over the whole box: two to three decades wide for influenza, one for hare and
// lynx (of which 20 to 35 % reach the best from two decades).
int64_t StartsThatReachTheBest(const FitProblem& problem, double expected) {
  FitOptions options;
  options.starts = 64;
  options.seed = 1;
  const Fitted fitted = Fit(problem, options);
  const double best = fitted.result.starts[0].objective;
  EXPECT_NEAR(best, expected, 1e-6 * std::abs(expected));
  int64_t count = 0;
  for (const StartResult& start : fitted.result.starts) {
    count += start.objective <= best + 1e-6 * std::abs(best);
  }
  EXPECT_GE(fitted.result.starts_at_best, count);
  ::testing::Test::RecordProperty("starts_at_best", std::to_string(count));
  return count;
}

TEST(FitTest, MostStartsOfInfluenzaReachTheBest) {
  const int64_t count =
      StartsThatReachTheBest(Influenza(), reference::kInfluenzaCost[0] + NormalConstant(14, 10));
  EXPECT_GE(count, 32);
  std::printf("influenza: %d of 64 starts reach the best\n", static_cast<int>(count));
}

// The others end where nothing oscillates.
TEST(FitTest, MostStartsOfHareAndLynxReachTheBest) {
  double logarithms = 0;  // of the data: the density of ln y is that of y times y
  const FitProblem problem = HareLynx(Noise::kLogNormal, 0.25);
  for (const Series& series : problem.data) {
    for (const double y : series.values) logarithms += std::log(y);
  }
  const int64_t count = StartsThatReachTheBest(
      problem, reference::kHareLynxLogNormalCost[0] + NormalConstant(42, 0.25) + logarithms);
  EXPECT_GE(count, 32);
  std::printf("hare and lynx: %d of 64 starts reach the best\n", static_cast<int>(count));
}

std::string RunRange(const std::shared_ptr<const Objective>& objective, const FitOptions& options,
                     int64_t first, int64_t count, Workers& workers) {
  std::unique_ptr<Starts> starts = Starts::Create(objective, options, first, count).value();
  while (!starts->done()) EXPECT_TRUE(starts->Advance(kNeverStops, workers).ok());
  return SaveResults(starts->results());
}

// However starts fall into lanes, ranges and threads.
TEST(FitTest, BitsDoNotDependOnRangesLanesOrThreads) {
  const auto objective = ObjectiveOf(Influenza());
  FitOptions options;
  options.starts = 16;
  options = ResolveFitOptions(*objective, options).value();
  NoWorkers alone;
  testing::ThreadWorkers threads(3);
  const std::string whole = RunRange(objective, options, 0, 16, alone);
  EXPECT_EQ(RunRange(objective, options, 0, 16, threads), whole);
  std::vector<StartResult> pieces;
  for (const int64_t first : {0, 1, 4, 9}) {
    const int64_t next = first == 0 ? 1 : first == 1 ? 4 : first == 4 ? 9 : 16;
    const std::vector<StartResult> some =
        RestoreResults(RunRange(objective, options, first, next - first, threads)).value();
    pieces.insert(pieces.end(), some.begin(), some.end());
  }
  EXPECT_EQ(SaveResults(pieces), whole);
}

TEST(FitTest, ResumedAfterEveryRoundWithTheSameBits) {
  const auto objective = ObjectiveOf(Influenza());
  FitOptions options;
  options.starts = 3;
  options = ResolveFitOptions(*objective, options).value();
  NoWorkers workers;
  const std::string unbroken = RunRange(objective, options, 0, 3, workers);
  std::unique_ptr<Starts> starts = Starts::Create(objective, options, 0, 3).value();
  while (!starts->done()) {
    // As after a crash: a new objective too.
    const auto again = ObjectiveOf(Influenza());
    starts = Starts::Restore(again, options, 0, 3, starts->Save()).value();
    ASSERT_TRUE(starts->Advance(kNeverStops, workers).ok());
  }
  EXPECT_EQ(SaveResults(starts->results()), unbroken);
}

// y' = a y^2 is infinite at t = 1 / (a y0).
TEST(FitTest, StartsThatBlowUpAreTypedAndTheOthersArrive) {
  FitProblem problem;
  problem.simulation = Simulate(CompileText("param a = 0.2\nstate y = 1\ny' = a*y^2\n"), 0, 2);
  Series series;
  series.channel_kind = Channel::Kind::kState;
  series.channel = "y";
  series.times = {0.5, 1, 1.5, 2};
  for (const double t : series.times) series.values.push_back(1 / (1 - 0.3 * t));
  series.sigma = {0.1};
  problem.data = {series};
  problem.free = {Searched("a", 0.2, 0.05, 5)};
  FitOptions options;
  options.starts = 24;
  const Fitted fitted = Fit(problem, options);
  int64_t diverged = 0;
  for (const StartResult& start : fitted.result.starts) {
    const bool blows_up = start.start_values[0] >= 0.5;
    EXPECT_EQ(start.outcome == optimise::Outcome::kDiverged, blows_up) << start.start_values[0];
    if (blows_up) {
      ++diverged;
      EXPECT_THAT(start.detail, HasSubstr("not finite at the start."));
      EXPECT_THAT(start.detail, HasSubstr("the solution may have a singularity"));
    } else {
      EXPECT_NEAR(start.values[0], 0.3, 1e-5);
    }
  }
  EXPECT_NEAR(diverged, 12, 2);
}

// Data that fall faster than the bounds of the rate allow: on the logit scale the bound is never
// reached, and yet it is what holds the rate.
TEST(FitTest, SaysThatABoundHoldsARateOnTheLogitScale) {
  FitProblem problem;
  problem.simulation = Simulate(CompileText("param k = 0.5\nstate y = 2\ny' = -k*y\n"), 0, 2, 1e-8);
  Series series;
  series.channel_kind = Channel::Kind::kState;
  series.channel = "y";
  series.times = {0.5, 1, 1.5, 2};
  for (const double t : series.times) series.values.push_back(2 * std::exp(-3 * t));
  series.sigma = {0.1};
  problem.data = {series};
  problem.free = {Searched("k", 0.5, 0.1, 1, Scale::kLogit)};
  const FitResult result = Fit(problem).result;
  EXPECT_NEAR(result.estimates[0].value, 1, 1e-5);
  EXPECT_TRUE(result.estimates[0].at_bound);
  EXPECT_TRUE(std::isnan(result.estimates[0].standard_error));
  EXPECT_THAT(result.unidentified, ::testing::ElementsAre(HasSubstr("upper bound")));
}

// Growth at the rate a*b, on either scale.
TEST(FitTest, SaysThatAProductAloneIsDetermined) {
  FitProblem problem;
  problem.simulation =
      Simulate(CompileText("param a = 2\nparam b = 0.3\nstate y = 1\ny' = a*b*y\n"), 0, 2, 1e-8);
  Series series;
  series.channel_kind = Channel::Kind::kState;
  series.channel = "y";
  series.times = {0.5, 1, 1.5, 2};
  series.values = {1.3, 1.8, 2.4, 3.4};
  series.sigma = {0.1};
  problem.data = {series};
  problem.free = {Searched("a", 2, 0.1, 10), Searched("b", 0.3, 0.01, 10),
                  Searched("y", 1, 0.1, 10)};
  EXPECT_THAT(Fit(problem).result.unidentified,
              ::testing::ElementsAre("Only a*b is determined by the data, neither a nor b alone."));
  problem.free[0].scale = problem.free[1].scale = Scale::kLinear;
  EXPECT_THAT(Fit(problem).result.unidentified,
              ::testing::ElementsAre("Only a*b is determined by the data, neither a nor b alone."));
}

TEST(FitTest, ProfileOfInfluenzaAgreesWithScipy) {
  const Fitted fitted = Fit(Influenza());
  std::vector<double> best;
  for (const Estimate& estimate : fitted.result.estimates) best.push_back(estimate.value);
  testing::ThreadWorkers workers(2);
  const Profile profile =
      ComputeProfile(*fitted.objective, fitted.options, best, 0, {}, kNeverStops, workers).value();
  EXPECT_EQ(profile.name, "b");
  const double *ends = reference::kInfluenzaProfile, b = reference::kInfluenza[0];
  EXPECT_NEAR(profile.interval_lower, ends[0], 1e-3 * (b - ends[0]));
  EXPECT_NEAR(profile.interval_upper, ends[1], 1e-3 * (ends[1] - b));
  EXPECT_THAT(profile.verdict, HasSubstr("b is identified: between 1.683"));
}

// Far from the optimum, and with sigma estimated, line searches are short now and then; no start
// takes that for an end.
TEST(LbfgsbFitTest, EndsWhereNothingIsGainedAnyMore) {
  FitProblem problem = Influenza();
  problem.data[0].sigma = {};
  problem.free = {Searched("b", 1, 0.01, 10), Searched("k", 0.2, 0.01, 10)};
  FitOptions options;
  options.method_auto = false;
  options.optimiser.algorithm = optimise::Algorithm::kLbfgsb;
  options.starts = 128;
  options.seed = 5;
  options.sampler = optimise::Sampler::kSobol;
  const Fitted fitted = Fit(problem, options);
  for (const StartResult& start : fitted.result.starts) {
    EXPECT_NE(start.outcome, optimise::Outcome::kDiverged) << start.detail;
    EXPECT_LE(start.gradient_norm, 0.01) << start.index << ": " << start.objective;
  }
  EXPECT_GE(fitted.result.starts_at_best, 80);
}

}  // namespace
}  // namespace costate::fit

// Starts of estimated sigmas, scales and offsets: closed forms against data made to them, and
// gradients that vanish there.
#include "engine/fit/nuisance.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/fit/fit_fixture.h"

namespace costate::fit {
namespace {

using ::costate::testing::CompileText;
using ::costate::testing::Simulate;
using testing::Ask;
using testing::FreeOf;
using testing::MakeObjective;
using testing::Measured;
using testing::StartOf;

const std::vector<double> kTimes = {0.2, 0.5, 1, 1.7, 2.5, 3};

double Channel(double t) { return 2 * std::exp(-0.5 * t); }

// Data scale * channel + offset, shaken by +-shake, or by factors e^(+-shake).
FitProblem Decay(double scale, double offset, double shake, Noise noise = Noise::kGaussian) {
  FitProblem problem;
  problem.simulation = Simulate(
      CompileText("param k = 0.5\nstate y = 2\ny' = -k*y\noutput v = y\n"), 0, 3, 1e-11, 1e-13);
  problem.free = {FreeOf("k")};
  std::vector<double> values;
  double sign = 1;
  for (const double t : kTimes) {
    const double m = scale * Channel(t) + offset;
    values.push_back(noise == Noise::kLogNormal || noise == Noise::kLogLaplace
                         ? m * std::exp(sign * shake)
                         : m + sign * shake);
    sign = -sign;
  }
  problem.data = {Measured("v", kTimes, values, noise)};
  return problem;
}

const FreeElement& Named(const Objective& objective, const std::string& name) {
  for (const FreeElement& element : objective.elements()) {
    if (element.name == name) return element;
  }
  ADD_FAILURE() << name;
  return objective.elements()[0];
}

TEST(Nuisance, ExactDataGiveScaleAndOffsetBack) {
  for (const auto& [scale, offset] : {std::pair(3.0, 0.0), std::pair(-2.0, 7.0)}) {
    FitProblem problem = Decay(scale, offset, 0);
    problem.data[0].estimate_scale = problem.data[0].estimate_offset = true;
    const auto objective = MakeObjective(problem);
    ASSERT_NE(objective, nullptr);
    EXPECT_NEAR(Named(*objective, "scale(v)").start, scale, 1e-8);
    EXPECT_NEAR(Named(*objective, "offset(v)").start, offset, 1e-8);
    EXPECT_EQ(Named(*objective, "scale(v)").scale, scale > 0 ? Scale::kLog : Scale::kLinear);
    EXPECT_TRUE(Named(*objective, "scale(v)").nuisance);
    EXPECT_FALSE(objective->elements()[0].nuisance);
  }
}

TEST(Nuisance, StartsLieWhereTheLikelihoodIsLeast) {
  for (const Noise noise : {Noise::kGaussian, Noise::kLogNormal}) {
    FitProblem problem = Decay(1.7, noise == Noise::kGaussian ? 4 : 0, 0.1, noise);
    problem.data[0].sigma.clear();
    problem.data[0].estimate_scale = true;
    problem.data[0].estimate_offset = noise == Noise::kGaussian;
    const auto objective = MakeObjective(problem);
    ASSERT_NE(objective, nullptr);
    const auto answer = Ask(*objective, StartOf(*objective), optimise::Wanted::kGradient);
    for (size_t e = 1; e < answer.gradient.size(); ++e) EXPECT_NEAR(answer.gradient[e], 0, 1e-6);
  }
}

TEST(Nuisance, SigmaIsTheSizeOfTheResiduals) {
  for (const Noise noise :
       {Noise::kGaussian, Noise::kLaplace, Noise::kLogNormal, Noise::kLogLaplace}) {
    FitProblem problem = Decay(1, 0, 0.1, noise);
    problem.data[0].sigma.clear();
    const auto objective = MakeObjective(problem);
    ASSERT_NE(objective, nullptr);
    const FreeElement& sigma = Named(*objective, "sigma(v)");
    EXPECT_NEAR(sigma.start, 0.1, 1e-8);
    EXPECT_EQ(sigma.scale, Scale::kLog);
    EXPECT_GT(sigma.lower, 0);
    EXPECT_LT(sigma.lower, 1e-5);
    EXPECT_GE(sigma.upper, 10);
  }
}

TEST(Nuisance, KnownSigmasWeighTheData) {
  FitProblem problem = Decay(1, 0, 0);
  for (double& y : problem.data[0].values) y += 1;
  problem.data[0].values[0] += 100;  // but that one hardly counts
  problem.data[0].sigma = {1e6, 1, 1, 1, 1, 1};
  problem.data[0].estimate_offset = true;
  const auto objective = MakeObjective(problem);
  EXPECT_NEAR(Named(*objective, "offset(v)").start, 1, 1e-6);
}

TEST(Nuisance, AGroupIsSettledOverAllItsSeries) {
  FitProblem problem = Decay(2, 0, 0);
  Series other = Measured("v", {1, 2}, {3 * Channel(1), 3 * Channel(2)});
  problem.data.push_back(other);
  for (Series& series : problem.data) {
    series.group = "g";
    series.estimate_scale = true;
  }
  const auto objective = MakeObjective(problem);
  double cc = 0, cy = 0;
  for (const double t : kTimes) {
    cc += Channel(t) * Channel(t);
    cy += 2 * Channel(t) * Channel(t);
  }
  for (const double t : {1.0, 2.0}) {
    cc += Channel(t) * Channel(t);
    cy += 3 * Channel(t) * Channel(t);
  }
  EXPECT_NEAR(Named(*objective, "scale(g)").start, cy / cc, 1e-8);
}

TEST(Nuisance, AFailedSolveLeavesFiguresOfTheData) {
  FitProblem problem;
  problem.simulation =
      Simulate(CompileText("param a = 3\nstate y = a\ny' = y^2\noutput v = y\n"), 0, 1);
  problem.free = {FreeOf("a")};
  problem.data = {Measured("v", {0.9, 1}, {30, 40})};
  problem.data[0].sigma.clear();
  problem.data[0].estimate_scale = problem.data[0].estimate_offset = true;
  const auto objective = MakeObjective(problem);
  ASSERT_NE(objective, nullptr);
  EXPECT_NEAR(Named(*objective, "sigma(v)").start, std::sqrt((900 + 1600) / 2.0), 1e-9);
  EXPECT_EQ(Named(*objective, "scale(v)").start, 1);
  EXPECT_EQ(Named(*objective, "offset(v)").start, 0);
}

TEST(Nuisance, ABadStartIsMovedOntoItsBound) {
  FitProblem problem = Decay(1, 0, 0.1);
  problem.free[0].start = {-9};  // e^27
  problem.data[0].sigma.clear();
  const auto objective = MakeObjective(problem);
  const FreeElement& sigma = Named(*objective, "sigma(v)");
  EXPECT_EQ(sigma.start, sigma.upper);
}

TEST(Nuisance, ZeroDataHaveFiguresToo) {
  FitProblem problem = Decay(0, 0, 0);
  problem.data[0].sigma.clear();
  problem.data[0].estimate_scale = problem.data[0].estimate_offset = true;
  const auto objective = MakeObjective(problem);
  ASSERT_NE(objective, nullptr);
  for (const FreeElement& element : objective->elements()) {
    EXPECT_TRUE(std::isfinite(element.start)) << element.name;
    if (!element.nuisance) continue;
    EXPECT_LT(element.lower, element.upper) << element.name;
  }
}

}  // namespace
}  // namespace costate::fit

// Value, gradient, residuals and Jacobian of a fit against each other, against differences and
// against likelihoods written by hand.
#include "engine/fit/objective.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/fit/fit_fixture.h"

namespace costate {
namespace {

using ::costate::testing::Ask;
using ::costate::testing::CompileText;
using ::costate::testing::DifferenceGradient;
using ::costate::testing::ExpectClose;
using ::costate::testing::GradientOfRows;
using ::costate::testing::MakeObjective;
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using ::costate::testing::StartOf;
using ::costate::testing::ThreadWorkers;
using fit::FitProblem;
using fit::Noise;
using fit::Scale;
using optimise::Answer;
using optimise::Wanted;

// Logistic growth with a decaying companion; an output of a parameter and of time, and initial
// values from a parameter.
constexpr char kModel[] =
    "model growth\nparam r = 0.8 in [0, 10]\nparam K = 5\nparam d = 0.3\nparam a = 0.4\n"
    "state x = a\nstate z = 1 + a\n"
    "x' = r*x*(1 - x/K)\nz' = -d*z + 0.1*x\n"
    "output u = x + d*z + 0.01*t\noutput w = [x, z]\n";

fit::Series Measured(std::string channel, std::vector<double> times, std::vector<double> values,
                     Noise noise = Noise::kGaussian) {
  fit::Series series;
  series.channel = std::move(channel);
  series.times = std::move(times);
  series.values = std::move(values);
  series.noise = noise;
  series.sigma = {0.3};
  return series;
}

fit::Free Unbounded(std::string name, Scale scale = Scale::kLinear) {
  fit::Free free;
  free.name = std::move(name);
  free.scale = scale;
  return free;
}

fit::Free Between(std::string name, double lower, double upper, Scale scale = Scale::kLinear) {
  fit::Free free = Unbounded(std::move(name), scale);
  free.lower = lower;
  free.upper = upper;
  return free;
}

FitProblem Growth(double rtol = 1e-10) {
  FitProblem problem;
  problem.simulation = Simulate(CompileText(kModel), 0, 6, rtol, rtol * 1e-2);
  problem.data = {Measured("u", {0, 4, 1, 2, 2, 6}, {0.9, 4.1, 1.4, 2.2, 2.6, 5.3})};
  problem.free = {Between("r", 0.01, 8, Scale::kLog), Unbounded("d"),
                  Between("a", 0.1, 1, Scale::kLogit)};
  return problem;
}

void ExpectDerivatives(const FitProblem& problem, double tolerance = 3e-7) {
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    const auto objective = MakeObjective(problem, {.method = method});
    ASSERT_NE(objective, nullptr);
    std::vector<double> point = StartOf(*objective);
    for (size_t e = 0; e < point.size(); ++e) point[e] += 0.01 * static_cast<double>(e + 1);
    const Answer value = Ask(*objective, point, Wanted::kValue);
    const Answer gradient = Ask(*objective, point, Wanted::kGradient);
    const Answer rows = Ask(*objective, point, Wanted::kResiduals);
    ASSERT_TRUE(std::isfinite(value.value));
    EXPECT_NEAR(gradient.value, value.value, 1e-7 * std::fabs(value.value));
    EXPECT_NEAR(rows.value, value.value, 1e-7 * std::fabs(value.value));
    const std::vector<double> witness = DifferenceGradient(*objective, point);
    ExpectClose(gradient.gradient, witness, tolerance);
    ExpectClose(GradientOfRows(rows), witness, tolerance);
  }
}

TEST(Objective, GradientsOfGaussianDataAreThoseOfTheValue) { ExpectDerivatives(Growth()); }

}  // namespace
}  // namespace costate

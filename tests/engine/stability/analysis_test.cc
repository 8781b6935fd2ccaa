#include "engine/stability/analysis.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

namespace costate::stability {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// n equal steps over [0, span] with the same eigenvalues.
AnalysisInput Steady(const Scheme& scheme, std::vector<Complex> eigenvalues, double span,
                     int64_t n) {
  AnalysisInput input;
  input.scheme = scheme;
  input.num_steps = n;
  input.span = span;
  const double h = span / static_cast<double>(n);
  for (int64_t i = 0; i < std::min<int64_t>(n, 100); ++i) {
    input.steps.push_back({static_cast<double>(i) * h, h, eigenvalues, true});
  }
  return input;
}

TEST(AnalysisTest, StepsInsideAndOutside) {
  const Analysis inside = Analyze(Steady(Method::kRk4, {-2.7, -0.1}, 100, 100));
  EXPECT_EQ(inside.share_outside, 0);
  EXPECT_EQ(inside.growth, 0);
  EXPECT_FALSE(inside.worst.has_value());
  EXPECT_NEAR(inside.largest_stable_step, 2.785293563405282 / 2.7, 2e-3);
  EXPECT_NEAR(inside.stiffness_ratio, 27, 1e-12);
  EXPECT_EQ(inside.points.size(), 50u);
  EXPECT_FALSE(inside.reconstruction.has_value());

  const AnalysisInput wide = Steady(Method::kRk4, {-3, -0.1}, 100, 100);
  const Analysis outside = Analyze(wide);
  EXPECT_EQ(outside.share_outside, 1);
  const double rho = 1 - 3 + 4.5 - 4.5 + 81.0 / 24;
  EXPECT_NEAR(outside.growth, 100 * std::log(rho), 1e-9);
  ASSERT_TRUE(outside.worst.has_value());
  EXPECT_EQ(outside.worst->lambda, Complex(-3));
}

// The steps are judged one by one: half of them are too long.
TEST(AnalysisTest, ShareOfSteps) {
  AnalysisInput input = Steady(Method::kRk4, {-1}, 100, 40);
  for (size_t i = 0; i < input.steps.size(); ++i) input.steps[i].h = i % 2 == 0 ? 1 : 4;
  EXPECT_EQ(Analyze(input).share_outside, 0.5);
  EXPECT_EQ(Analyze(input).typical_step, 4);
}

// What the exact solution does too is no fault of the steps.
TEST(AnalysisTest, GrowingModesDoNotCount) {
  const Analysis analysis = Analyze(Steady(Method::kRk4, {0.5, Complex(0.1, 2)}, 100, 100));
  EXPECT_EQ(analysis.share_outside, 0);
  EXPECT_EQ(analysis.largest_stable_step, kInfinity);
  EXPECT_TRUE(std::isnan(analysis.stiffness_ratio));
}

// Backwards in time, decay is growth.
TEST(AnalysisTest, BackwardsInTime) {
  AnalysisInput input = Steady(Method::kRk4, {3, -3}, 100, 100);
  for (StepSpectrum& step : input.steps) step.h = -1;
  const Analysis analysis = Analyze(input);
  EXPECT_EQ(analysis.share_outside, 1);
  EXPECT_EQ(analysis.worst->lambda, Complex(3));
  EXPECT_NEAR(analysis.largest_stable_step, 2.785293563405282 / 3, 2e-3);
}

// An oscillator: the region of tsit5 does not hold the axis, and yet a short solve is not harmed.
// |R(iy)|^2 - 1 is of order y^6 or above.
TEST(AnalysisTest, OscillationsAreJudgedOverTheWholeSolve) {
  const std::vector<Complex> pair = {Complex(0, 1), Complex(0, -1)};
  const Analysis shortly = Analyze(Steady(Method::kTsit5, pair, 100, 1000));
  EXPECT_EQ(shortly.share_outside, 0);
  EXPECT_LT(shortly.growth, 1e-2);
  const Analysis euler = Analyze(Steady(Method::kEuler, pair, 100, 1000));
  EXPECT_EQ(euler.share_outside, 1);
  EXPECT_NEAR(euler.growth, 1000 * 0.5 * std::log1p(0.01), 1e-9);
  // The largest stable step of Euler: h^2 / 2 = ln 2 h / span to leading order.
  EXPECT_NEAR(euler.largest_stable_step, 2 * std::numbers::ln2 / 100, 2e-4);
  const Analysis leapfrog = Analyze(Steady(Method::kLeapfrogMidpoint, pair, 100, 1000));
  EXPECT_EQ(leapfrog.share_outside, 0);
  EXPECT_NEAR(leapfrog.largest_stable_step, 1, 1e-2);
}

// The construction over RK4 at rates 5 to 50, 1000 steps over 10 units of time: the parasite's
// growth per step is ln(coupling e^(h a)) where positive.
TEST(AnalysisTest, ParasiteOfTheConstruction) {
  for (const double rate : {0.5, 1.0, 2.0, 5.0}) {
    for (const double coupling : {0.999, 0.99, 0.95}) {
      const Analysis analysis =
          Analyze(Steady(Scheme(Method::kRk4, coupling, 1), {-rate}, 10, 1000));
      const double per_step = std::max(0.0, std::log(coupling) + rate * 0.01);
      EXPECT_NEAR(analysis.growth, 1000 * per_step, 1e-2 + 1e-3 * rate * 10);
      ASSERT_TRUE(analysis.reconstruction.has_value());
      const double reverse = std::max(-std::log(coupling), rate * 0.01);
      EXPECT_NEAR(analysis.reconstruction->reverse_growth, 1000 * reverse, 0.01);
      const bool loses = 1000 * reverse > kMaxReverseGrowth;
      EXPECT_EQ(analysis.reconstruction->checkpoint_every > 0, loses);
      if (loses) {
        EXPECT_LE(analysis.reconstruction->checkpoint_every * reverse, kCheckpointGrowth + 1e-6);
        EXPECT_GE((analysis.reconstruction->checkpoint_every + 1) * reverse, kCheckpointGrowth);
      }
    }
  }
}

// Neutral problem y' = i y, h = 0.01: reconstruction lost e^10 of rounding in 1e4 steps at 0.999
// and everything at 0.99.
TEST(AnalysisTest, ReconstructionOfANeutralProblem) {
  const auto digits = [](double coupling) {
    return Analyze(Steady(Scheme(Method::kRk4, coupling, 1), {Complex(0, 1)}, 100, 10'000))
        .reconstruction->digits_left;
  };
  EXPECT_NEAR(digits(0.999), 15.95 - 10 / std::numbers::ln10, 0.01);
  EXPECT_EQ(digits(0.99), 0);
}

TEST(AnalysisTest, ExactlyReversibleWithoutDamping) {
  const Analysis heun = Analyze(Steady(Method::kReversibleHeun, {Complex(0, 1)}, 100, 10'000));
  EXPECT_NEAR(heun.reconstruction->reverse_growth, 0, 1e-6);
  const Analysis damped =
      Analyze(Steady(Scheme(Method::kAlf, std::nullopt, 0.9), {-1e-9}, 1, 1000));
  EXPECT_NEAR(damped.reconstruction->reverse_growth, -1000 * std::log(0.8), 1e-3);
  EXPECT_EQ(damped.reconstruction->checkpoint_every,
            static_cast<int64_t>(kCheckpointGrowth / -std::log(0.8)));
}

TEST(AnalysisTest, LargestStableStep) {
  const StabilityFunction rk4{Scheme(Method::kRk4)};
  EXPECT_NEAR(LargestStableStep(rk4, -1000, 1e3, 1), 2.785293563405282e-3, 1e-8);
  EXPECT_NEAR(LargestStableStep(rk4, Complex(0, 5), 1e6, 1), 2 * std::sqrt(2) / 5, 1e-5);
  EXPECT_EQ(LargestStableStep(rk4, 0, 1, 1), kInfinity);
  EXPECT_EQ(LargestStableStep(rk4, 3, 10, 1), kInfinity);
  EXPECT_NEAR(LargestStableStep(rk4, 3, 1e6, -1), 2.785293563405282 / 3, 1e-5);
  EXPECT_EQ(LargestStableStep(rk4, -1e-3, 1, 1), kInfinity);  // longer than the span
  const StabilityFunction coupled(Scheme(Method::kRk4, 0.999, 1));
  EXPECT_NEAR(LargestStableStep(coupled, -1, 1e9, 1), 1.0005e-3, 1e-7);
}

TEST(AnalysisTest, WhatIsNotKnownIsLeftOut) {
  AnalysisInput input = Steady(Method::kRk4, {-3}, 100, 100);
  for (size_t i = 0; i < 50; ++i) input.steps[i].eigenvalues = {{kNaN, kNaN}};
  const Analysis analysis = Analyze(input);
  EXPECT_FALSE(analysis.known);
  EXPECT_EQ(analysis.share_outside, 1);
  EXPECT_NEAR(analysis.growth, 100 * std::log(1 - 3 + 4.5 - 4.5 + 81.0 / 24), 1e-9);
  EXPECT_TRUE(std::isnan(analysis.largest_stable_steps.front()));
  EXPECT_GT(analysis.largest_stable_step, 0);
  const Analysis nothing = Analyze(AnalysisInput{});
  EXPECT_TRUE(std::isnan(nothing.share_outside));
}

}  // namespace
}  // namespace costate::stability

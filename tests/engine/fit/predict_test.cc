#include "engine/fit/predict.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/fit/fit_fixture.h"

namespace costate::fit {
namespace {

using ::costate::testing::CompileText;
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using testing::FreeOf;
using ::testing::IsNan;
using testing::MakeObjective;
using testing::Measured;
using testing::StartOf;

FitProblem Decay() {
  FitProblem problem;
  problem.simulation = Simulate(
      CompileText("param k = 0.5\nstate y = 2\ny' = -k*y\noutput v = 10*y\n"), 0, 3, 1e-11, 1e-13);
  problem.free = {FreeOf("k")};
  problem.data = {Measured("v", {2, 0, 1}, {8, NAN, 10})};
  problem.data[0].allow_missing = true;
  problem.data[0].sigma = {0.5};
  return problem;
}

TEST(Predict, FittedValuesAndResidualsFollowTheData) {
  const auto objective = MakeObjective(Decay());
  const Prediction prediction = objective->Predict({{0.5}}, kNeverStops).value();
  const double at1 = 20 * std::exp(-0.5), at2 = 20 * std::exp(-1);
  ASSERT_EQ(prediction.fitted.size(), 1u);
  EXPECT_THAT(prediction.fitted[0], ElementsAre(DoubleNear(at2, 1e-8), 20, DoubleNear(at1, 1e-8)));
  EXPECT_THAT(prediction.residuals[0], ElementsAre(DoubleNear((8 - at2) / 0.5, 1e-7), IsNan(),
                                                   DoubleNear((10 - at1) / 0.5, 1e-7)));
}

TEST(Predict, EstimatedFiguresAndLogarithmsAreInForce) {
  FitProblem problem = Decay();
  problem.data[0].noise = Noise::kLogNormal;
  problem.data[0].sigma.clear();
  problem.data[0].estimate_scale = true;
  const auto objective = MakeObjective(problem);
  const std::vector<double> point = objective->ToSearch(std::vector<double>{0.5, 0.2, 0.9});
  const Prediction prediction = objective->Predict(point, kNeverStops).value();
  const double at2 = 0.9 * 20 * std::exp(-1);
  EXPECT_NEAR(prediction.fitted[0][0], at2, 1e-8);
  EXPECT_NEAR(prediction.residuals[0][0], std::log(8 / at2) / 0.2, 1e-7);
}

TEST(Predict, TrajectoriesRunOverEachSpan) {
  FitProblem problem = Decay();
  problem.conditions.resize(3);
  problem.conditions[0].name = "a";
  problem.conditions[1].name = "without data, backwards";
  problem.conditions[1].t0 = 1;
  problem.conditions[1].t1 = -1;
  problem.conditions[1].params = {};
  problem.conditions[2].name = "of no length";
  problem.conditions[2].t1 = 0;
  problem.data[0].condition = "a";
  const auto objective = MakeObjective(problem);
  ASSERT_NE(objective, nullptr);
  const Prediction prediction = objective->Predict({{0.7}}, kNeverStops).value();
  ASSERT_EQ(prediction.trajectories.size(), 3u);
  const FittedTrajectory& first = prediction.trajectories[0];
  ASSERT_EQ(first.times.size(), 200u);
  EXPECT_EQ(first.times.front(), 0);
  EXPECT_EQ(first.times.back(), 3);
  EXPECT_NEAR(first.states[100], 2 * std::exp(-0.7 * first.times[100]), 1e-8);
  EXPECT_NEAR(first.outputs[199], 20 * std::exp(-2.1), 1e-7);
  const FittedTrajectory& second = prediction.trajectories[1];
  EXPECT_EQ(second.condition, "without data, backwards");
  EXPECT_EQ(second.times.back(), -1);
  EXPECT_NEAR(second.states.back(), 2 * std::exp(1.4), 1e-8);
  EXPECT_THAT(prediction.trajectories[2].states, ElementsAre(2));
}

TEST(Predict, WhatIsNotReachedIsNaN) {
  FitProblem problem;
  problem.simulation =
      Simulate(CompileText("param a = 0.5\nstate y = a\ny' = y^2\noutput v = y\n"), 0, 1);
  problem.data = {Measured("v", {0.25, 1}, {1, 1})};
  problem.free = {FreeOf("a")};
  const auto objective = MakeObjective(problem);
  const auto prediction = objective->Predict({{2}}, kNeverStops);
  ASSERT_TRUE(prediction.ok()) << prediction.status();
  EXPECT_NEAR(prediction->fitted[0][0], 4, 1e-4);
  EXPECT_THAT(prediction->fitted[0][1], IsNan());
  EXPECT_THAT(prediction->residuals[0][1], IsNan());
}

}  // namespace
}  // namespace costate::fit

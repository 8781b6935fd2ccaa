#include "engine/fit/bind_data.h"

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/fit/fit_fixture.h"

namespace costate::fit {
namespace {

using ::testing::ElementsAre;
using testing::Growth;
using ::testing::HasSubstr;
using testing::Measured;
using testing::MeasuredState;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

FitProblem TwoSeries() {
  FitProblem problem = Growth();
  problem.data.push_back(MeasuredState("z", {1, 2}, {1, 0.8}));
  return problem;
}

FitProblem TwoConditions() {
  FitProblem problem = TwoSeries();
  problem.conditions.resize(2);
  problem.conditions[0].name = "fast";
  problem.conditions[1].name = "slow";
  problem.conditions[1].t1 = 4;
  problem.data[0].condition = "fast";
  problem.data[1].condition = "slow";
  return problem;
}

struct Bad {
  std::string field;
  std::string part;
  std::function<void(FitProblem&)> spoil;
};

void ExpectBad(const FitProblem& good, const std::vector<Bad>& cases) {
  ASSERT_TRUE(BindFit(good, {}).ok()) << BindFit(good, {}).status();
  for (const Bad& bad : cases) {
    FitProblem problem = good;
    bad.spoil(problem);
    const absl::Status status = BindFit(problem, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.field;
    EXPECT_EQ(FieldOf(status), bad.field) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.part)) << bad.field;
  }
}

TEST(BindData, RefusesChannels) {
  ExpectBad(TwoSeries(),
            {{"data", "none", [](FitProblem& p) { p.data.clear(); }},
             {"data[0].output", "did you mean 'u'", [](FitProblem& p) { p.data[0].channel = "U"; }},
             {"data[1].state", "no state 'u'", [](FitProblem& p) { p.data[1].channel = "u"; }},
             {"data[0].output", "'w[0]'", [](FitProblem& p) { p.data[0].channel = "w"; }},
             {"data[0].output", "indices", [](FitProblem& p) { p.data[0].channel = "w[2]"; }},
             {"data[0].output", "no output", [](FitProblem& p) { p.data[0].channel = ""; }}});
}

TEST(BindData, RefusesTimesAndValues) {
  ExpectBad(
      TwoSeries(),
      {{"data[0].times", "at least one", [](FitProblem& p) { p.data[0].times.clear(); }},
       {"data[0].times[2]", "span [0, 6]", [](FitProblem& p) { p.data[0].times[2] = 6.5; }},
       {"data[0].times[0]", "span", [](FitProblem& p) { p.data[0].times[0] = NAN; }},
       {"data[0].values", "one for each time", [](FitProblem& p) { p.data[0].values.pop_back(); }},
       {"data[0].values[3]", "allow_missing", [](FitProblem& p) { p.data[0].values[3] = NAN; }},
       {"data[0].values[3]", "finite", [](FitProblem& p) { p.data[0].values[3] = kInfinity; }},
       {"data[1].values", "missing",
        [](FitProblem& p) {
          p.data[1].values = {NAN, NAN};
          p.data[1].allow_missing = true;
        }},
       {"data[0].values[1]", "logarithm",
        [](FitProblem& p) {
          p.data[0].noise = Noise::kLogNormal;
          p.data[0].values[1] = 0;
        }},
       {"data[0].values[1]", "logarithm", [](FitProblem& p) {
          p.data[0].noise = Noise::kLogLaplace;
          p.data[0].values[1] = -3;
        }}});
}

TEST(BindData, RefusesSigmasAndWeights) {
  ExpectBad(
      TwoSeries(),
      {{"data[0].sigma", "above 0", [](FitProblem& p) { p.data[0].sigma = {0}; }},
       {"data[0].sigma", "above 0", [](FitProblem& p) { p.data[0].sigma = {NAN}; }},
       {"data[0].sigma", "1 or 6", [](FitProblem& p) { p.data[0].sigma = {1, 2}; }},
       {"data[1].sigma[1]", "above 0", [](FitProblem& p) { p.data[1].sigma = {1, -2}; }},
       {"data[1].sigma[0]", "finite", [](FitProblem& p) { p.data[1].sigma = {kInfinity, 1}; }},
       {"data[1].weight", ">= 0", [](FitProblem& p) { p.data[1].weight = -1; }},
       {"data[1].weight", ">= 0", [](FitProblem& p) { p.data[1].weight = kInfinity; }}});
}

TEST(BindData, RefusesConditionsAndGroups) {
  ExpectBad(TwoConditions(),
            {{"data[1].condition", "several", [](FitProblem& p) { p.data[1].condition = ""; }},
             {"data[1].condition", "did you mean 'slow'",
              [](FitProblem& p) { p.data[1].condition = "slo"; }},
             {"data[1].times[1]", "'slow'", [](FitProblem& p) { p.data[1].times[1] = 5; }},
             {"data[1].group", "does not estimate the same",
              [](FitProblem& p) {
                p.data[0].group = p.data[1].group = "g";
                p.data[0].sigma.clear();
              }},
             {"data[1].group", "does not estimate the same",
              [](FitProblem& p) {
                p.data[0].group = p.data[1].group = "g";
                p.data[1].estimate_scale = true;
              }},
             {"data[1].group", "noise model",
              [](FitProblem& p) {
                p.data[0].group = p.data[1].group = "g";
                p.data[0].sigma.clear();
                p.data[1].sigma.clear();
                p.data[1].noise = Noise::kLaplace;
              }},
             {"data[2].group", "data[0] too",
              [](FitProblem& p) {
                p.data[0].sigma.clear();
                p.data.push_back(p.data[0]);
              }},
             {"data[1].group", "data[0] too",
              [](FitProblem& p) {
                p.data[0].sigma.clear();
                p.data[1].sigma.clear();
                p.data[1].group = "u@fast";
              }},
             {"data[0].group", "bytes", [](FitProblem& p) { p.data[0].group.assign(2000, 'g'); }}});
  FitProblem many = Growth();
  many.data[0].times.assign(kMaxMeasurements + 1, 1.0);
  many.data[0].values = many.data[0].times;
  EXPECT_EQ(FieldOf(BindFit(many, {}).status()), "data");
}

TEST(BindData, TimesAreTheUnionAlongTheSpan) {
  const BoundFit fit = BindFit(TwoSeries(), {}).value();
  EXPECT_THAT(fit.conditions[0].times, ElementsAre(0, 1, 2, 4, 6));
  EXPECT_THAT(fit.conditions[0].series[0].rows, ElementsAre(0, 3, 1, 2, 2, 4));
  FitProblem backwards = TwoSeries();
  backwards.simulation.t0 = {6};
  backwards.simulation.t1 = {0};
  const BoundFit back = BindFit(backwards, {}).value();
  EXPECT_THAT(back.conditions[0].times, ElementsAre(6, 4, 2, 1, 0));
  EXPECT_THAT(back.conditions[0].series[1].rows, ElementsAre(3, 2));
}

TEST(BindData, GroupsShareWhatTheyEstimate) {
  FitProblem problem = TwoConditions();
  for (Series& series : problem.data) {
    series.group = "boys";
    series.sigma.clear();
    series.estimate_scale = true;
  }
  problem.data.push_back(Measured("u", {1}, {2}));
  problem.data[2].condition = "slow";
  problem.data[2].sigma.clear();
  const BoundFit fit = BindFit(problem, {}).value();
  ASSERT_EQ(fit.elements.size(), 6u);
  EXPECT_EQ(fit.elements[3].info.name, "sigma(boys)");
  EXPECT_EQ(fit.elements[4].info.name, "sigma(u@slow)");
  EXPECT_EQ(fit.elements[5].info.name, "scale(boys)");
  EXPECT_TRUE(fit.elements[5].info.nuisance);
  EXPECT_EQ(fit.conditions[0].series[0].sigma_estimate.element, 3);
  EXPECT_EQ(fit.conditions[1].series[0].sigma_estimate.element, 3);
  EXPECT_EQ(fit.conditions[1].series[1].sigma_estimate.element, 4);
  EXPECT_EQ(fit.conditions[1].num_rows, 2 + 1 + 1 + 1);
}

TEST(BindData, ConditionsOfTheSameColumnsAndTimesShareLanes) {
  FitProblem problem = TwoConditions();
  problem.data[1] = problem.data[0];
  problem.data[1].condition = "slow";
  problem.conditions[1].t1 = 7;
  EXPECT_EQ(BindFit(problem, {})->bundles.size(), 1u);
  problem.data[1].times[0] = 0.5;
  EXPECT_EQ(BindFit(problem, {})->bundles.size(), 2u);
}

TEST(BindFit, RefusesGradientsThatAFitHasNoUseFor) {
  GradientOptions gradient;
  gradient.want_times = true;
  EXPECT_EQ(FieldOf(BindFit(Growth(), gradient).status()), "options.gradient.want_times");
  gradient = {};
  gradient.method = GradientMethod::kFiniteDifference;
  EXPECT_EQ(FieldOf(BindFit(Growth(), gradient).status()), "options.gradient.method");
  gradient.method = GradientMethod::kReversible;
  EXPECT_EQ(FieldOf(BindFit(Growth(), gradient).status()), "options.gradient.method");
  gradient.method = GradientMethod::kForward;
  gradient.adjoint.checkpoints = 3;
  EXPECT_EQ(FieldOf(BindFit(Growth(), gradient).status()), "options.gradient.checkpoints");
}

}  // namespace
}  // namespace costate::fit

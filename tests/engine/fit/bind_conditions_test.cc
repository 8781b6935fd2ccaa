#include "engine/fit/bind_conditions.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/field_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/fit/fit_fixture.h"

namespace costate::fit {
namespace {

using ::costate::testing::Batch;
using ::costate::testing::Scalar;
using ::testing::ElementsAre;
using testing::Growth;
using ::testing::HasSubstr;

FitProblem TwoConditions() {
  FitProblem problem = Growth();
  problem.conditions.resize(2);
  problem.conditions[0].name = "fast";
  problem.conditions[1].name = "slow";
  problem.simulation.params = {Scalar("K", 6), Scalar("d", 0.2)};
  return problem;
}

struct Bad {
  std::string field;
  std::string part;  // of the message
  std::function<void(FitProblem&)> spoil;
};

void ExpectBad(const FitProblem& good, const std::vector<Bad>& cases) {
  BoundFit unused;
  ASSERT_TRUE(BindConditions(good, &unused).ok());
  for (const Bad& bad : cases) {
    FitProblem problem = good;
    bad.spoil(problem);
    BoundFit fit;
    const absl::Status status = BindConditions(problem, &fit);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.field;
    EXPECT_EQ(FieldOf(status), bad.field) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.part));
  }
}

TEST(BindConditions, RefusesABadSimulation) {
  ExpectBad(
      Growth(),
      {{"simulation.model", "a model", [](FitProblem& p) { p.simulation.model = nullptr; }},
       {"simulation.t1", "none", [](FitProblem& p) { p.simulation.t1.clear(); }},
       {"simulation.t0", "finite", [](FitProblem& p) { p.simulation.t0 = {NAN}; }},
       {"simulation.params[1].name", "did you mean 'K'",
        [](FitProblem& p) { p.simulation.params = {Scalar("d", 1), Scalar("k", 1)}; }},
       {"simulation.params[0]", "declared range",
        [](FitProblem& p) { p.simulation.params = {Scalar("r", 11)}; }},
       {"simulation.initial_state[0].name", "no state",
        [](FitProblem& p) { p.simulation.initial_state = {Scalar("y", 11)}; }},
       {"simulation", "batch", [](FitProblem& p) { p.simulation.t1 = {5, 6}; }},
       {"simulation", "batch of 1", [](FitProblem& p) { p.simulation.params = {Batch("K", {5})}; }},
       {"simulation.options.adaptive.rtol", ">= 0",
        [](FitProblem& p) { p.simulation.options.control.rtol = -1; }},
       {"simulation.options.wall_budget", "clock",
        [](FitProblem& p) { p.simulation.options.wall_budget = absl::Seconds(1); }}});
}

TEST(BindConditions, RefusesBadConditions) {
  ExpectBad(
      TwoConditions(),
      {{"conditions[1].name", "a name", [](FitProblem& p) { p.conditions[1].name = ""; }},
       {"conditions[1].name", "each name once",
        [](FitProblem& p) { p.conditions[1].name = "fast"; }},
       {"conditions[0].name", "bytes",
        [](FitProblem& p) { p.conditions[0].name.assign(2000, 'a'); }},
       {"conditions", "at most", [](FitProblem& p) { p.conditions.resize(kMaxConditions + 1); }},
       {"conditions[1].params[0].name", "no parameter",
        [](FitProblem& p) { p.conditions[1].params = {Scalar("q", 1)}; }},
       {"conditions[1].params[1].name", "each name once",
        [](FitProblem& p) { p.conditions[1].params = {Scalar("d", 1), Scalar("d", 2)}; }},
       {"conditions[0].params[0].array", "shape",
        [](FitProblem& p) { p.conditions[0].params = {Scalar("c", 1)}; }},
       {"conditions[0].initial_state[0]", "finite",
        [](FitProblem& p) { p.conditions[0].initial_state = {Scalar("x", NAN)}; }},
       {"conditions[1]", "batch",
        [](FitProblem& p) { p.conditions[1].params = {Batch("d", {1, 2})}; }},
       {"conditions[1].t0", "finite", [](FitProblem& p) { p.conditions[1].t0 = NAN; }},
       {"simulation.params[0].name", "no parameter", [](FitProblem& p) {
          p.simulation.params[0].name = "q";
          p.conditions[1].params = {Scalar("K", 1)};
        }}});
}

TEST(BindConditions, AConditionsValuesStandInForThoseOfTheSimulation) {
  FitProblem problem = TwoConditions();
  problem.conditions[1].params = {Scalar("d", 0.9)};
  problem.conditions[1].initial_state = {Scalar("z", 7)};
  problem.conditions[1].t1 = 9;
  BoundFit fit;
  ASSERT_TRUE(BindConditions(problem, &fit).ok());
  ASSERT_EQ(fit.conditions.size(), 2u);
  EXPECT_THAT(fit.params, ElementsAre(0.8, 6, 0.2, 0.4, 0.1, 0.01));
  EXPECT_TRUE(fit.conditions[0].params.indices.empty());
  EXPECT_THAT(fit.conditions[1].params.indices, ElementsAre(2));
  EXPECT_THAT(fit.conditions[1].params.values, ElementsAre(0.9));
  EXPECT_THAT(fit.conditions[0].y0, ElementsAre(0.4, 1.4));
  EXPECT_THAT(fit.conditions[1].y0, ElementsAre(0.4, 7));
  EXPECT_THAT(fit.conditions[1].initial.indices, ElementsAre(1));
  EXPECT_EQ(fit.conditions[0].t1, 6);
  EXPECT_EQ(fit.conditions[1].t1, 9);
}

TEST(BindConditions, ASpanMayBeTheConditionsAlone) {
  FitProblem problem = TwoConditions();
  problem.simulation.t1.clear();
  problem.conditions[0].t1 = 3;
  problem.conditions[1].t1 = 4;
  BoundFit fit;
  ASSERT_TRUE(BindConditions(problem, &fit).ok());
  EXPECT_EQ(fit.conditions[1].t1, 4);
}

TEST(ConditionNames, FindsAndSuggests) {
  BoundFit fit, one;
  ASSERT_TRUE(BindConditions(TwoConditions(), &fit).ok());
  ASSERT_TRUE(BindConditions(Growth(), &one).ok());
  const ConditionNames names(fit.conditions), single(one.conditions);
  EXPECT_EQ(names.Find("slow", "f").value(), 1);
  EXPECT_EQ(single.Find("", "f").value(), 0);
  EXPECT_THAT(std::string(names.Find("", "f").status().message()), HasSubstr("several"));
  EXPECT_THAT(std::string(names.Find("fats", "f").status().message()),
              HasSubstr("did you mean 'fast'"));
  EXPECT_THAT(std::string(single.Find("fast", "f").status().message()), HasSubstr("none"));
}

TEST(ParamsOfInit, AreThoseThatInitialValuesRead) {
  const auto ranges = ParamsOfInit(::costate::testing::CompileText(testing::kGrowth)->ir());
  bool reads_a = false;
  for (const auto& [first, last] : ranges) {
    EXPECT_TRUE(first == 3 && last == 4) << first;
    reads_a = true;
  }
  EXPECT_TRUE(reads_a);
}

}  // namespace
}  // namespace costate::fit

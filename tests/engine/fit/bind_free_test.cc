#include "engine/fit/bind_free.h"

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

using ::costate::testing::Scalar;
using testing::Between;
using testing::FreeOf;
using testing::Growth;
using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

FitProblem TwoConditions() {
  FitProblem problem = Growth();
  problem.conditions.resize(2);
  problem.conditions[0].name = "fast";
  problem.conditions[1].name = "slow";
  for (Series& series : problem.data) series.condition = "fast";
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

TEST(BindFree, RefusesNames) {
  ExpectBad(Growth(),
            {{"free", "none", [](FitProblem& p) { p.free.clear(); }},
             {"free[1].name", "did you mean 'r'", [](FitProblem& p) { p.free[1].name = "R"; }},
             {"free[1].name", "indices", [](FitProblem& p) { p.free[1].name = "c[2]"; }},
             {"free[1].name", "again", [](FitProblem& p) { p.free[1].name = "r"; }},
             {"free[1].name", "again", [](FitProblem& p) {
                p.free[0] = FreeOf("c");
                p.free[1] = FreeOf("c[0]");
              }}});
}

TEST(BindFree, RefusesBoundsAndScales) {
  ExpectBad(
      Growth(),
      {{"free[0].lower", "not above",
        [](FitProblem& p) {
          p.free[0].lower = 9;
          p.free[0].upper = 8;
        }},
       {"free[1].lower", "not above", [](FitProblem& p) { p.free[1] = Between("d", 1, 0.5); }},
       {"free[1].upper", "a number", [](FitProblem& p) { p.free[1].upper = NAN; }},
       {"free[0].lower", "declared range", [](FitProblem& p) { p.free[0] = Between("r", -1, 5); }},
       {"free[0].upper", "declared range", [](FitProblem& p) { p.free[0].upper = 11; }},
       {"free[0].lower", "logarithmic", [](FitProblem& p) { p.free[0].lower = 0; }},
       {"free[1].lower", "logarithmic",
        [](FitProblem& p) { p.free[1] = Between("d", -1, 5, Scale::kLog10); }},
       {"free[1].upper", "logarithmic",
        [](FitProblem& p) {
          p.free[1] = FreeOf("d", Scale::kLog);
          p.free[1].upper = -1;
        }},
       {"free[1].scale", "finite bounds",
        [](FitProblem& p) { p.free[1] = FreeOf("d", Scale::kLogit); }},
       {"free[1].scale", "differ",
        [](FitProblem& p) { p.free[1] = Between("d", 0.3, 0.3, Scale::kLogit); }}});
}

TEST(BindFree, RefusesStarts) {
  ExpectBad(Growth(),
            {{"free[0].start", "within the bounds", [](FitProblem& p) { p.free[0].start = {9}; }},
             {"free[0].start", "within the bounds", [](FitProblem& p) { p.free[0].lower = 0.9; }},
             {"free[2].start", "inside the bounds", [](FitProblem& p) { p.free[2].start = {0.1}; }},
             {"free[1].start", "within", [](FitProblem& p) { p.free[1].start = {kInfinity}; }},
             {"free[1].start", "1 values", [](FitProblem& p) { p.free[1].start = {1, 2}; }},
             {"free[1].start", "1 or 2 values",
              [](FitProblem& p) {
                p.free[1] = FreeOf("c");
                p.free[1].start = {1, 2, 3};
              }},
             {"free[1].start[1]", "within",
              [](FitProblem& p) {
                p.free[1] = FreeOf("c");
                p.free[1].start = {1, NAN};
              }},
             {"free[1].start", "above 0", [](FitProblem& p) {
                p.free[1] = FreeOf("d", Scale::kLog);
                p.free[1].start = {0};
              }}});
}

TEST(BindFree, RefusesPriors) {
  ExpectBad(Growth(), {{"free[1].prior.b", "above 0",
                        [](FitProblem& p) {
                          p.free[1].prior = Prior();
                          p.free[1].prior->b = 0;
                        }},
                       {"free[1].start", "prior", [](FitProblem& p) {
                          p.free[1].prior = Prior();
                          p.free[1].prior->distribution = Prior::Distribution::kLogNormal;
                          p.free[1].start = {-1};
                        }}});
}

TEST(BindFree, RefusesConditions) {
  ExpectBad(TwoConditions(),
            {{"free[1].per_condition[0]", "did you mean 'fast'",
              [](FitProblem& p) { p.free[1].per_condition = {"fats"}; }},
             {"free[1].per_condition[1]", "once",
              [](FitProblem& p) { p.free[1].per_condition = {"fast", "fast"}; }},
             {"conditions[1].params[1]", "free",
              [](FitProblem& p) { p.conditions[1].params = {Scalar("K", 1), Scalar("d", 1)}; }},
             {"conditions[0].params[0]", "d@fast",
              [](FitProblem& p) {
                p.conditions[0].params = {Scalar("d", 1)};
                p.free[1].per_condition = {"fast"};
              }},
             {"conditions[0].params[0]", "c[1]",
              [](FitProblem& p) {
                p.conditions[0].params = {{"c", {2}, {1, 2}}};
                p.free[1] = FreeOf("c[1]");
              }},
             {"conditions[1].initial_state[0]", "x is free", [](FitProblem& p) {
                p.conditions[1].initial_state = {Scalar("x", 1)};
                p.free[1] = FreeOf("x");
              }}});
  FitProblem none = Growth();
  none.free[0].per_condition = {"fast"};
  EXPECT_EQ(FieldOf(BindFit(none, {}).status()), "free[0].per_condition[0]");
}

TEST(BindFree, BoundsOfTheModelStandWhereNoneAreGiven) {
  FitProblem problem = Growth();
  problem.free = {FreeOf("r"), FreeOf("x")};
  const BoundFit fit = BindFit(problem, {}).value();
  EXPECT_EQ(fit.elements[0].info.lower, 0);
  EXPECT_EQ(fit.elements[0].info.upper, 10);
  EXPECT_EQ(fit.elements[1].info.lower, -kInfinity);
  problem.free[0].scale = Scale::kLog;  // then the bound 0 is none
  EXPECT_EQ(BindFit(problem, {})->elements[0].transform.SearchLower(), -kInfinity);
}

TEST(BindFree, EveryConditionApartLeavesNothingShared) {
  FitProblem problem = TwoConditions();
  problem.free = {FreeOf("c")};
  problem.free[0].per_condition = {"slow", "fast"};
  problem.free[0].start = {0.2, 0.3};
  const BoundFit fit = BindFit(problem, {}).value();
  ASSERT_EQ(fit.elements.size(), 4u);
  EXPECT_EQ(fit.elements[0].info.name, "c[0]@slow");
  EXPECT_EQ(fit.elements[3].info.name, "c[1]@fast");
  EXPECT_EQ(fit.elements[3].info.start, 0.3);
  EXPECT_EQ(fit.conditions[0].columns[1].element, 3);
  EXPECT_EQ(fit.conditions[1].columns[1].element, 1);
}

TEST(BindFree, StartsComeFromTheSimulationOfTheFirstConditionThatHasThem) {
  FitProblem problem = TwoConditions();
  problem.simulation.params = {Scalar("a", 0.7)};
  problem.free = {FreeOf("x"), FreeOf("a")};
  const BoundFit fit = BindFit(problem, {}).value();
  EXPECT_EQ(fit.elements[0].info.start, 0.7);
  EXPECT_EQ(fit.elements[1].info.start, 0.7);
}

}  // namespace
}  // namespace costate::fit

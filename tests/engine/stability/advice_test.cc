#include "engine/stability/advice.h"

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace costate::stability {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string AdviceFor(const Scheme& scheme, std::vector<Complex> eigenvalues, double span,
                      int64_t n, bool adaptive = false, bool complete = true) {
  AnalysisInput input;
  input.scheme = scheme;
  input.num_steps = n;
  input.span = span;
  const double h = span / static_cast<double>(n);
  for (int64_t i = 0; i < std::min<int64_t>(n, 60); ++i) {
    input.steps.push_back({static_cast<double>(i) * h, h, eigenvalues, complete});
  }
  return Advise(input, Analyze(input), adaptive);
}

TEST(AdviceTest, StableStepsSayHowFarTheyMayGo) {
  EXPECT_THAT(AdviceFor(Method::kRk4, {-10.0}, 10, 100),
              AllOf(StartsWith("Stable: "), HasSubstr("100 steps with rk4"),
                    HasSubstr("Steps of at most 0.28 are stable; they are 0.1 (median)")));
}

// Of the same evaluations, EES(2,5) reaches 3.09 / 3 where RK4 reaches 2.79 / 4.
TEST(AdviceTest, UnstableStepsNameTheModeTheStepAndAMethod) {
  EXPECT_THAT(
      AdviceFor(Method::kRk4, {-40.0, -1.0}, 10, 100),
      AllOf(StartsWith("Unstable: 100 % of the steps are outside the region of rk4"),
            HasSubstr("lambda = -40"), HasSubstr("h = 0.1"), HasSubstr("at most 0.0697"),
            HasSubstr("ees25 (order 2) is stable up to steps of 0.0773, 1.48 times as far")));
}

// h = 0.2: 100 ln |1 + 0.2 i| = 1.96, a factor of 7.1.
TEST(AdviceTest, SlightGrowthIsNotCalledRuin) {
  EXPECT_THAT(AdviceFor(Method::kEuler, {{0, 1}, {0, -1}}, 20, 100),
              AllOf(StartsWith("Slightly unstable: "), HasSubstr("up to 7.11")));
}

TEST(AdviceTest, AdaptiveStepsAlongTheBorderAreStiff) {
  EXPECT_THAT(AdviceFor(Method::kTsit5, {-1000.0, -1.0}, 3.3, 1000, true),
              AllOf(StartsWith("Held back by stability: 100 %"), HasSubstr("tsit5"),
                    HasSubstr("stiff"), HasSubstr("implicit")));
  EXPECT_THAT(AdviceFor(Method::kTsit5, {-1.0}, 3.3, 1000, true),
              AllOf(StartsWith("Stability does not hold the steps back"), Not(HasSubstr("stiff"))));
}

// Rate 2 over 10 units in 1000 steps: unstable at 0.999, stable at 0.98 and below.
TEST(AdviceTest, CouplingForTheStepsThatAreTaken) {
  EXPECT_THAT(AdviceFor(Scheme(Method::kRk4, 0.999, 1), {-2.0}, 10, 1000),
              AllOf(StartsWith("Unstable: "), HasSubstr("reversible rk4 with coupling 0.999"),
                    HasSubstr("Coupling 0.98 would make these steps stable"),
                    HasSubstr("Without coupling, rk4 (order 4) is stable up to steps of 1.4")));
}

TEST(AdviceTest, ReconstructionAndCheckpoints) {
  EXPECT_THAT(AdviceFor(Scheme(Method::kRk4, 0.999, 1), {-0.5}, 10, 1000),
              HasSubstr("reconstruction keeps about 13 digits"));
  EXPECT_THAT(AdviceFor(Scheme(Method::kRk4, 0.9, 1), {-0.5}, 10, 1000),
              AllOf(HasSubstr("loses every digit"), HasSubstr("checkpoint_every = 189 keeps")));
  EXPECT_THAT(AdviceFor(Scheme(Method::kEuler, 0.9, 1), {-1e13}, 10, 1000),
              HasSubstr("no reconstruction"));
}

TEST(AdviceTest, SaysWhatItDoesNotKnow) {
  EXPECT_THAT(AdviceFor(Method::kRk4, {-1.0}, 10, 100, false, /*complete=*/false),
              HasSubstr("Only the outer eigenvalues"));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(AdviceFor(Method::kRk4, {{nan, nan}}, 10, 100), HasSubstr("not finite"));
  EXPECT_THAT(Advise({}, Analyze({}), false), HasSubstr("No step was taken"));
}

}  // namespace
}  // namespace costate::stability

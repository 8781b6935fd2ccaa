#include "engine/check_gradient.h"

#include <cmath>
#include <vector>

#include "engine/base/field_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::Batch;
using ::costate::testing::CompileProblem;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;
using ::costate::testing::TestEngine;

CheckRequest Request() {
  return {
      .gradient = {.simulation = Simulate(CompileProblem("lotka_volterra.ode"), 0, 5, 1e-8, 1e-11),
                   .loss = Squares({Channel::Kind::kState, 0}, {1, 3, 5}, {1, 1, 1})}};
}

TEST(CheckGradient, DefaultMethodsAgree) {
  const auto result = TestEngine().CheckGradient(Request());
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->rows.size(), 4u);
  const GradientMethod expected[] = {GradientMethod::kForward, GradientMethod::kBackprop,
                                     GradientMethod::kGauss, GradientMethod::kFiniteDifference};
  for (size_t i = 0; i < 4; ++i) {
    const CheckResult::Row& row = result->rows[i];
    EXPECT_EQ(row.method, expected[i]);
    EXPECT_LT(row.relative_difference, 1e-5) << i;
    EXPECT_EQ(row.relative_difference == 0, i == 0);
    EXPECT_EQ(row.result.gradient.size(), 3u);
    EXPECT_GT(row.cost_in_solves, 1);
    EXPECT_LT(row.cost_in_solves, 200);
  }
  EXPECT_EQ(result->wrt.size(), 3u);
}

// In p-scaled norm: an error in one component counts by its parameter.
TEST(CheckGradient, RelativeDifferenceIsScaledByParameters) {
  CheckRequest request = Request();
  request.methods = {GradientMethod::kBackprop, GradientMethod::kFiniteDifference};
  request.gradient.gradient.difference.step = 0.1;  // truncation to be seen
  const auto result = TestEngine().CheckGradient(request);
  ASSERT_TRUE(result.ok()) << result.status();
  const std::vector<double>& a = result->rows[0].result.gradient;
  const std::vector<double>& b = result->rows[1].result.gradient;
  const double p[] = {1.5, 1, 3};
  double off = 0, size = 0;
  for (int j = 0; j < 3; ++j) {
    off += std::pow(p[j] * (b[j] - a[j]), 2);
    size += std::pow(p[j] * a[j], 2);
  }
  EXPECT_NEAR(result->rows[1].relative_difference, std::sqrt(off / size), 1e-12);
  EXPECT_GT(result->rows[1].relative_difference, 1e-3);
}

TEST(CheckGradient, AMethodThatCannotRunIsARowOfItsOwn) {
  CheckRequest request = Request();
  request.methods = {GradientMethod::kBacksolve, GradientMethod::kForward,
                     GradientMethod::kComplexStep};
  const auto result = TestEngine().CheckGradient(request);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->rows.size(), 3u);
  const CheckResult::Row& failed = result->rows[0];
  EXPECT_TRUE(std::isnan(failed.relative_difference));
  ASSERT_EQ(failed.result.gradient.size(), 3u);
  EXPECT_TRUE(std::isnan(failed.result.gradient[0]));
  EXPECT_NE(failed.result.termination.reason, Termination::Reason::kReachedEnd);
  EXPECT_THAT(failed.result.termination.detail, ::testing::HasSubstr("tolerances"));
  // The first that ran is the reference.
  EXPECT_EQ(result->rows[1].relative_difference, 0);
  EXPECT_LT(result->rows[2].relative_difference, 1e-5);
}

TEST(CheckGradient, RefusesBatchesAndBadRequests) {
  CheckRequest request = Request();
  request.gradient.simulation.params = {Batch("a", {1, 2})};
  EXPECT_EQ(FieldOf(TestEngine().CheckGradient(request).status()).value_or("none"), "simulation");
  request = Request();
  request.gradient.wrt = {"nobody"};
  EXPECT_EQ(FieldOf(TestEngine().CheckGradient(request).status()).value_or("none"), "wrt[0]");
  request = Request();
  request.methods = {GradientMethod::kAuto};
  EXPECT_EQ(FieldOf(TestEngine().CheckGradient(request).status()).value_or("none"), "methods");
}

}  // namespace
}  // namespace costate

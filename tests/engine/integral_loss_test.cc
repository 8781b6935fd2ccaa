// Running losses against closed forms, and against sums of outputs on a fine grid.
#include <cmath>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "engine/gradients/method.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::Batch;
using ::costate::testing::CompileText;
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using ::costate::testing::TestEngine;
using ::testing::HasSubstr;
using ::testing::Not;

// x = a exp(-k (t - t0)).
constexpr char kDecay[] =
    "model decay\nparam a = 3\nparam k = 0.7\nstate x = a\nx' = -k*x\noutput twice = 2*x + t\n";

Loss Running(std::vector<std::string> integrands) {
  Loss loss;
  for (std::string& text : integrands) loss.terms.emplace_back(IntegralLoss{std::move(text)});
  return loss;
}

GradientRequest Request(std::string integrand, std::vector<std::string> wrt) {
  GradientRequest request;
  request.simulation = Simulate(CompileText(kDecay), 0.25, 2, 1e-11, 1e-13);
  request.loss = Running({std::move(integrand)});
  request.wrt = std::move(wrt);
  return request;
}

absl::StatusOr<GradientResult> Differentiated(const GradientRequest& request) {
  return TestEngine().Differentiate(request);
}

constexpr double kSpan = 1.75;  // t1 - t0

// integral of x^2 = a^2 (1 - exp(-2 k T)) / (2 k), T = t1 - t0.
TEST(IntegralLoss, SquareOfADecayInClosedForm) {
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    GradientRequest request = Request("x^2", {"a", "k", "x", "t0", "t1"});
    request.gradient.method = method;
    const auto result = Differentiated(request);
    ASSERT_TRUE(result.ok()) << result.status();
    const auto& one = result->trajectories[0];
    const double a = 3, k = 0.7, e = std::exp(-2 * k * kSpan);
    EXPECT_NEAR(one.loss, a * a * (1 - e) / (2 * k), 1e-9);
    ASSERT_EQ(one.gradient.size(), 5u);
    EXPECT_NEAR(one.gradient[0], 2 * a * (1 - e) / (2 * k), 1e-8);
    EXPECT_NEAR(one.gradient[1], a * a * (2 * kSpan * e * k - (1 - e)) / (2 * k * k), 1e-8);
    EXPECT_NEAR(one.gradient[2], 2 * a * (1 - e) / (2 * k), 1e-8);
    EXPECT_NEAR(one.gradient[3], -a * a * e, 1e-6);
    EXPECT_NEAR(one.gradient[4], a * a * e, 1e-6);
  }
}

// integral of p t^2 does not need the state at all: k (t1^3 - t0^3) / 3.
TEST(IntegralLoss, DependsOnTimeAndParametersAlone) {
  const auto result = Differentiated(Request("k*t^2", {"k", "a", "t1"}));
  ASSERT_TRUE(result.ok()) << result.status();
  const double cubes = (8 - 0.25 * 0.25 * 0.25) / 3;
  EXPECT_NEAR(result->trajectories[0].loss, 0.7 * cubes, 1e-10);
  EXPECT_NEAR(result->trajectories[0].gradient[0], cubes, 1e-10);
  EXPECT_EQ(result->trajectories[0].gradient[1], 0);
  EXPECT_NEAR(result->trajectories[0].gradient[2], 0.7 * 4, 1e-8);
}

// Simpson's rule over the saved output, and the gradient of that sum, on 2,001 points.
TEST(IntegralLoss, OfAnOutputIsTheQuadratureOfItsSavedValues) {
  const auto running = Differentiated(Request("twice*sin(twice)", {"a", "k"}));
  ASSERT_TRUE(running.ok()) << running.status();

  const int count = 2001;
  GradientRequest fine = Request("", {"a", "k"});
  ExpressionLoss sum;
  NamedArray weights = {.name = "w", .shape = {count}, .values = {}};
  const double h = kSpan / (count - 1);
  for (int i = 0; i < count; ++i) {
    sum.times.push_back(i == count - 1 ? 2.0 : 0.25 + i * h);
    weights.values.push_back((i == 0 || i == count - 1 ? 1 : i % 2 == 1 ? 4 : 2) * h / 3);
  }
  sum.text = "sum(w*twice*sin(twice))";
  sum.data = {weights};
  fine.loss.terms = {sum};
  const auto saved = Differentiated(fine);
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_NEAR(running->trajectories[0].loss, saved->trajectories[0].loss, 1e-8);
  for (int q = 0; q < 2; ++q) {
    EXPECT_NEAR(running->trajectories[0].gradient[q], saved->trajectories[0].gradient[q], 1e-7);
  }
}

TEST(IntegralLoss, TermsAddUpAndWeightsKeepTheirMeaning) {
  GradientRequest request = Request("x", {"k"});
  request.loss = Running({"x", "3*x"});
  request.loss.terms.emplace_back(Terminal{.state = {10}, .output = {1}});
  request.loss.terms.emplace_back(Linear{.times = {1, 1.5}, .states = {2, 4}, .outputs = {}});
  const auto result = Differentiated(request);
  ASSERT_TRUE(result.ok()) << result.status();
  const double a = 3, k = 0.7;
  const auto x = [&](double t) { return a * std::exp(-k * (t - 0.25)); };
  EXPECT_NEAR(result->trajectories[0].loss,
              4 * (a - x(2)) / k + 10 * x(2) + 2 * x(2) + 2 + 2 * x(1) + 4 * x(1.5), 1e-8);
}

TEST(IntegralLoss, TheSavedValuesShowOnlyTheModel) {
  GradientRequest request = Request("x^2", {"k"});
  request.loss.terms.emplace_back(Linear{.times = {0.5, 1}, .states = {1, 1}, .outputs = {}});
  const auto result = Differentiated(request);
  ASSERT_TRUE(result.ok()) << result.status();
  const SavedValues& saved = result->trajectories[0].saved;
  ASSERT_EQ(saved.states.size(), 2u);
  EXPECT_NEAR(saved.states[0], 3 * std::exp(-0.7 * 0.25), 1e-9);
  EXPECT_NEAR(saved.states[1], 3 * std::exp(-0.7 * 0.75), 1e-9);
  EXPECT_EQ(saved.terminal_state.size(), 1u);
}

TEST(IntegralLoss, BackwardsInTimeItHasTheOtherSign) {
  GradientRequest request = Request("x", {"a"});
  request.simulation.t0 = {2};
  request.simulation.t1 = {0.25};
  const auto result = Differentiated(request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NEAR(result->trajectories[0].loss, (3 - 3 * std::exp(0.7 * kSpan)) / 0.7, 1e-8);
}

TEST(IntegralLoss, BatchesWithGivenStatesAndAnAtolForEveryState) {
  const auto model = CompileText(
      "model two\nparam k = 0.5\nstate x = 1\nstate z[2] = [k, 2]\nx' = -k*x\nz' = -z\n");
  GradientRequest request;
  request.simulation = Simulate(model, 0, 1, 1e-10);
  request.simulation.options.control.atol = {1e-12, 1e-9, 1e-12};
  request.simulation.params = {Batch("k", {0.5, 2})};
  request.simulation.initial_state = {Batch("x", {3, 4})};
  request.loss = Running({"x + sum(z)"});
  request.wrt = {"k", "x"};
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    request.gradient.method = method;
    const auto result = Differentiated(request);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->trajectories.size(), 2u);
    for (int b = 0; b < 2; ++b) {
      const double k = b == 0 ? 0.5 : 2, x = b == 0 ? 3 : 4, e = std::exp(-k);
      const auto& one = result->trajectories[b];
      EXPECT_NEAR(one.loss, x * (1 - e) / k + (k + 2) * (1 - std::exp(-1)), 1e-8);
      EXPECT_NEAR(one.gradient[0], x * (e * k - (1 - e)) / (k * k) + 1 - std::exp(-1), 1e-8);
      EXPECT_NEAR(one.gradient[1], (1 - e) / k, 1e-8);
    }
    EXPECT_EQ(result->resolution.options.control.atol.size(), 3u);  // as asked
  }
}

TEST(IntegralLoss, ErrorIsUnderControlOfTheStatesTolerance) {
  // The state is constant, so only the loss makes the steps short.
  const auto model = CompileText("model still\nparam w = 40\nstate x = 1\nx' = 0*x\n");
  for (const double rtol : {1e-4, 1e-8}) {
    GradientRequest request;
    request.simulation = Simulate(model, 0, 3, rtol, rtol * 1e-3);
    request.loss = Running({"1 + sin(w*t)"});
    const auto result = Differentiated(request);
    ASSERT_TRUE(result.ok()) << result.status();
    const double exact = 3 + (1 - std::cos(40.0 * 3)) / 40;
    EXPECT_NEAR(result->trajectories[0].loss, exact, 30 * rtol);
    EXPECT_GT(result->trajectories[0].stats.solve.accepted_steps, 30);
  }
}

TEST(IntegralLoss, IssuesPointIntoTheText) {
  const auto unknown = Differentiated(Request("x^2 + twicee", {"k"})).status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(unknown), "loss.terms[0].integral.integrand");
  EXPECT_THAT(std::string(unknown.message()),
              ::testing::AllOf(HasSubstr("expression:1:7: error: unknown name 'twicee'"),
                               HasSubstr("did you mean 'twice'?"), HasSubstr("^~~~~~")));
  const auto shape = Differentiated(Request("[x, x]", {"k"})).status();
  EXPECT_THAT(std::string(shape.message()), HasSubstr("shape [2], expected one number"));
  EXPECT_THAT(std::string(Differentiated(Request("x > 1", {"k"})).status().message()),
              HasSubstr("got a condition"));
  EXPECT_THAT(std::string(Differentiated(Request("  \n", {"k"})).status().message()),
              HasSubstr("is empty"));
  EXPECT_THAT(std::string(Differentiated(Request("x; x", {"k"})).status().message()),
              HasSubstr("more than one expression"));
  EXPECT_THAT(std::string(Differentiated(Request("x +", {"k"})).status().message()),
              HasSubstr("1:3"));
}

TEST(IntegralLoss, TheAddedStateHasNoNameInARequest) {
  const auto wrt = Differentiated(Request("x", {"running_loss"})).status();
  EXPECT_EQ(FieldOf(wrt), "wrt[0]");
  EXPECT_THAT(std::string(wrt.message()), Not(HasSubstr("one of 'running_loss'")));
  GradientRequest request = Request("x", {"k"});
  request.simulation.initial_state = {Scalar("running_loss", 1)};
  EXPECT_EQ(FieldOf(Differentiated(request).status()), "initial_state[0].name");
}

}  // namespace
}  // namespace costate

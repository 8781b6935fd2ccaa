// Prepared losses under every gradient method, with reports, and what is kept of them.
#include "engine/prepare_loss.h"

#include <cmath>
#include <string>
#include <vector>

#include "engine/bind.h"
#include "engine/derived_code.h"
#include "engine/gradients/method.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileText;
using ::costate::testing::Simulate;
using ::costate::testing::TestEngine;
using ::testing::ElementsAre;

constexpr char kText[] =
    "model m\nparam a = 3\nparam k = 0.7\nstate x = a\nstate z = 1\nx' = -k*x\nz' = x - z\n"
    "output u = x*z\n";

Loss Mixed() {
  ExpressionLoss expression;
  expression.text = "k*sum(u^2/t) + x[1]";
  expression.times = {1.5, 0.5};
  Loss loss;
  loss.terms = {IntegralLoss{"(x - u)^2"}, std::move(expression),
                Linear{.times = {1}, .states = {2, 3}, .outputs = {}}};
  return loss;
}

GradientRequest MixedRequest(GradientMethod method) {
  GradientRequest request;
  request.simulation = Simulate(CompileText(kText), 0, 2, 1e-10, 1e-12);
  request.loss = Mixed();
  request.wrt = {"a", "k", "z"};
  request.gradient.method = method;
  if (method != GradientMethod::kAuto &&
      GetGradientMethodInfo(method).family == GradientFamily::kContinuousAdjoint) {
    request.gradient.adjoint.backward_rtol = 1e-10;
    request.gradient.adjoint.backward_atol = 1e-12;
  }
  request.gradient.difference.frozen_grid = method == GradientMethod::kComplexStep;
  return request;
}

class EveryMethod : public ::testing::TestWithParam<GradientMethod> {};

// x = a e, z = (1 - a c) e^-t + a c e with e = exp(-k t), c = 1 / (1 - k): the loss by Simpson's
// rule and its gradient by central differences of that.
double LossInClosedForm(double a, double k, double z0) {
  const double c = a / (1 - k);
  const auto x = [&](double t) { return a * std::exp(-k * t); };
  const auto z = [&](double t) { return (z0 - c) * std::exp(-t) + c * std::exp(-k * t); };
  const auto u = [&](double t) { return x(t) * z(t); };
  double integral = 0;
  const int intervals = 2000;
  for (int i = 0; i <= intervals; ++i) {
    const double t = 2.0 * i / intervals;
    const double weight = i == 0 || i == intervals ? 1 : i % 2 == 1 ? 4 : 2;
    integral += weight * (x(t) - u(t)) * (x(t) - u(t)) * 2 / intervals / 3;
  }
  return integral + k * (u(1.5) * u(1.5) / 1.5 + u(0.5) * u(0.5) / 0.5) + x(0.5) + 2 * x(1) +
         3 * z(1);
}

TEST_P(EveryMethod, AgreesWithTheClosedForm) {
  const auto result = TestEngine().Differentiate(MixedRequest(GetParam()));
  if (absl::IsUnimplemented(result.status())) GTEST_SKIP() << result.status();
  ASSERT_TRUE(result.ok()) << result.status();
  const auto& one = result->trajectories[0];
  const double exact = LossInClosedForm(3, 0.7, 1);
  EXPECT_NEAR(one.loss, exact, 1e-7);
  ASSERT_EQ(one.gradient.size(), 3u);
  const double h = 1e-5;
  for (int q = 0; q < 3; ++q) {
    const double up = LossInClosedForm(3 + (q == 0) * h, 0.7 + (q == 1) * h, 1 + (q == 2) * h);
    const double down = LossInClosedForm(3 - (q == 0) * h, 0.7 - (q == 1) * h, 1 - (q == 2) * h);
    const double difference = (up - down) / (2 * h);
    EXPECT_NEAR(one.gradient[q], difference, 1e-5 * std::fabs(difference));
  }
  EXPECT_EQ(one.saved.states.size(), 2 * one.saved.times.size());
  EXPECT_EQ(one.saved.terminal_state.size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(PrepareLoss, EveryMethod, ::testing::ValuesIn(AllGradientMethods()),
                         [](const auto& method) {
                           return std::string(GetGradientMethodInfo(method.param).name);
                         });

TEST(PrepareLoss, ReportsSeeTheWholeLoss) {
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    GradientRequest request = MixedRequest(method);
    request.simulation.options.control.atol = {1e-12, 1e-11};
    ReportOptions& report = request.gradient.report;
    report.wanted = report.tolerance_refinement = report.second_method = true;
    report.directional_difference = report.growth = report.linear_range = true;
    const auto result = TestEngine().Differentiate(request);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_NEAR(result->trajectories[0].report->plain_loss, LossInClosedForm(3, 0.7, 1), 1e-7);
  }
}

TEST(PrepareLoss, ChecksCompareMethodsOverTheWholeLoss) {
  CheckRequest request;
  request.gradient = MixedRequest(GradientMethod::kAuto);
  const auto result = TestEngine().CheckGradient(request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GE(result->rows.size(), 3u);
  for (const CheckResult::Row& row : result->rows) {
    EXPECT_NEAR(row.result.loss, LossInClosedForm(3, 0.7, 1), 1e-7);
    EXPECT_LT(row.relative_difference, 1e-5);
  }
}

TEST(PrepareLoss, ExtendsTheSimulationAndTheTerms) {
  const auto model = CompileText(kText);
  auto bound = Bind(Simulate(model, 0, 2));
  ASSERT_TRUE(bound.ok());
  SolveOptions options;
  options.control.atol = {1e-3, 1e-5};
  const auto prepared = PrepareLoss(Mixed(), &*bound, &options);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_EQ(bound->model, prepared->model.get());
  EXPECT_EQ(bound->model->ir().num_states(), 3);
  EXPECT_THAT(bound->y0, ElementsAre(3, 1, 0));
  EXPECT_THAT(bound->given, ElementsAre(false, false, false));
  EXPECT_THAT(options.control.atol, ElementsAre(1e-3, 1e-5, 1e-5));
  ASSERT_EQ(prepared->loss.terms.size(), 3u);
  EXPECT_THAT(std::get<Linear>(prepared->loss.terms[1]).states, ElementsAre(2, 3, 0));
  EXPECT_THAT(std::get<Terminal>(prepared->loss.terms[2]).state, ElementsAre(0, 0, 1));
  SavedValues saved = {.times = {0, 1},
                       .states = {1, 2, 3, 4, 5, 6},
                       .outputs = {7, 8},
                       .terminal_state = {9, 10, 11},
                       .terminal_output = {12}};
  prepared->Hide(&saved);
  EXPECT_THAT(saved.states, ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(saved.terminal_state, ElementsAre(9, 10));
}

TEST(PrepareLoss, KeepsWhatItCompiled) {
  const auto model = CompileText(kText);
  std::vector<std::shared_ptr<const Model>> models;
  const size_t before = model->derived().size();
  for (int i = 0; i < 3; ++i) {
    auto bound = Bind(Simulate(model, 0, 2));
    SolveOptions options;
    Loss loss = Mixed();
    if (i == 2) std::get<IntegralLoss>(loss.terms[0]).integrand = "x - 4321*u";
    const auto prepared = PrepareLoss(loss, &*bound, &options);
    ASSERT_TRUE(prepared.ok()) << prepared.status();
    models.push_back(prepared->model);
  }
  EXPECT_EQ(models[0], models[1]);
  EXPECT_NE(models[0], models[2]);
  EXPECT_LE(model->derived().size(), before + 3);
}

}  // namespace
}  // namespace costate

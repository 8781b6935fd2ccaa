// Derivatives by the save times: of every method against closed forms and each other.
#include "engine/time_differences.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/gradients/method.h"
#include "engine/solvers/stepper.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileText;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;
using ::costate::testing::TestEngine;

// x = a exp(-k t), y = 1 - cos t, with an output of time.
constexpr char kModel[] =
    "model m\nparam a = 2\nparam k = 0.7\nstate x = a\nstate y = 0\nx' = -k*x\ny' = sin(t)\n"
    "output u = t*x + k\n";
constexpr double kA = 2, kK = 0.7;

double X(double t) { return kA * std::exp(-kK * t); }

GradientOptions By(GradientMethod method) {
  GradientOptions options;
  options.method = method;
  options.want_times = true;
  if (method == GradientMethod::kBacksolve) {
    options.adjoint.backward_rtol = 1e-9;
    options.adjoint.backward_atol = 1e-9;
  }
  return options;
}

GradientResult::PerTrajectory Differentiate(const GradientRequest& request) {
  auto result = TestEngine().Differentiate(request);
  if (!result.ok()) {
    ADD_FAILURE() << result.status();
    return {};
  }
  return std::move(result->trajectories[0]);
}

// Sums of values and of squares at times of which two are the ends of the span.
GradientRequest Request(double t0, double t1, std::vector<double> times) {
  GradientRequest request = {.simulation = Simulate(CompileText(kModel), t0, t1, 1e-9, 1e-11)};
  if (t0 != 0)
    request.simulation.initial_state = {::costate::testing::Scalar("x", X(t0)),
                                        ::costate::testing::Scalar("y", 1 - std::cos(t0))};
  Linear linear;
  linear.times = times;
  for (size_t k = 0; k < times.size(); ++k) {
    linear.states.insert(linear.states.end(), {1.0 + static_cast<double>(k), -1});
    linear.outputs.push_back(0.5);
  }
  request.loss.terms.emplace_back(linear);
  request.loss.terms.emplace_back(
      std::get<LeastSquares>(Squares({Channel::Kind::kState, 0}, {times[1]}, {0.25}).terms[0]));
  return request;
}

std::vector<double> ClosedForm(const std::vector<double>& times) {
  std::vector<double> derivatives;
  for (size_t k = 0; k < times.size(); ++k) {
    const double t = times[k], x = X(t);
    double sum = -(1.0 + static_cast<double>(k)) * kK * x - std::sin(t) + 0.5 * (x - t * kK * x);
    if (k == 1) sum += 2 * (x - 0.25) * -kK * x;
    derivatives.push_back(sum);
  }
  return derivatives;
}

class TimeGradient : public ::testing::TestWithParam<GradientMethod> {};

TEST_P(TimeGradient, IsTheClosedForm) {
  const std::vector<double> times = {0, 0.4, 1.1, 3};
  GradientRequest request = Request(0, 3, times);
  request.gradient = By(GetParam());
  const auto result = Differentiate(request);
  const std::vector<double> expected = ClosedForm(times);
  ASSERT_EQ(result.times.size(), expected.size());
  for (size_t k = 0; k < times.size(); ++k) EXPECT_NEAR(result.times[k], expected[k], 2e-6) << k;
}

TEST_P(TimeGradient, IsTheClosedFormBackwards) {
  const std::vector<double> times = {2, 1.7, 0.3, 0};
  GradientRequest request = Request(2, 0, times);
  request.gradient = By(GetParam());
  const auto result = Differentiate(request);
  const std::vector<double> expected = ClosedForm(times);
  ASSERT_EQ(result.times.size(), expected.size());
  for (size_t k = 0; k < times.size(); ++k) EXPECT_NEAR(result.times[k], expected[k], 2e-6) << k;
}

// d/dt of a^2 t x(t), and of a term without times.
TEST_P(TimeGradient, HasTheExplicitPart) {
  GradientRequest request = Request(0, 3, {1, 2});
  request.loss.terms.clear();
  request.loss.terms.emplace_back(
      ExpressionLoss{.text = "a^2*sum(t*x)", .times = {1, 1.5}, .data = {}});
  request.loss.terms.emplace_back(IntegralLoss{.integrand = "x"});
  request.gradient = By(GetParam());
  const auto result = Differentiate(request);
  ASSERT_EQ(result.times.size(), 2u);
  EXPECT_NEAR(result.times[0], kA * kA * X(1) * (1 - kK), 2e-6);
  EXPECT_NEAR(result.times[1], kA * kA * X(1.5) * (1 - kK * 1.5), 2e-6);
}

TEST_P(TimeGradient, IsUnknownWhereTheSolveEndedEarly) {
  GradientRequest request = Request(0, 3, {1, 2});
  request.simulation.options.max_steps = 3;
  request.gradient = By(GetParam());
  const auto result = Differentiate(request);
  EXPECT_NE(result.termination.reason, Termination::Reason::kReachedEnd);
  for (const double x : result.times) EXPECT_TRUE(std::isnan(x));
}

INSTANTIATE_TEST_SUITE_P(All, TimeGradient, ::testing::ValuesIn(AllGradientMethods()),
                         [](const auto& info) {
                           return std::string(GetGradientMethodInfo(info.param).name);
                         });

// Of the same steps: with dense output that is no more than linear, too, and at grid points, where
// such a curve has a kink. The step that made a value decides.
TEST(TimeGradient, IsThatOfTheDenseOutputForEverySolver) {
  for (const Method solver : AllMethods()) {
    const std::string name(GetMethodInfo(solver).name);
    GradientRequest request = Request(0, 2, {0, 0.25, 0.6, 1.5, 1.51, 2});
    request.simulation.method_auto = false;
    request.simulation.options.method = solver;
    request.simulation.options.control.kind = StepControl::Kind::kFixed;
    request.simulation.options.control.fixed_step = 0.25;
    request.gradient = By(GradientMethod::kBackprop);
    const auto backprop = Differentiate(request);
    request.gradient = By(GradientMethod::kForward);
    EXPECT_EQ(Differentiate(request).times, backprop.times) << name;
    GradientResult::PerTrajectory complex = backprop;
    if (GetMethodInfo(solver).carried == 1) {  // Runge-Kutta methods
      request.gradient = By(GradientMethod::kComplexStep);
      complex = Differentiate(request);
    }
    request.gradient = By(GradientMethod::kFiniteDifference);
    const auto difference = Differentiate(request);
    request.gradient.difference.step = 1e-4;
    const auto wide = Differentiate(request);
    ASSERT_EQ(backprop.times.size(), 6u);
    for (size_t k = 0; k < 6; ++k) {
      const double size = 1 + std::fabs(backprop.times[k]);
      EXPECT_NEAR(complex.times[k], backprop.times[k], 1e-12 * size) << name << k;
      EXPECT_NEAR(difference.times[k], backprop.times[k], 1e-8 * size) << name << k;
      EXPECT_NEAR(wide.times[k], backprop.times[k], 1e-5 * size) << name << k;
    }
  }
}

TEST(TimeGradient, ComesWithTangentsUnderControlAndWithoutColumns) {
  GradientRequest request = Request(0, 3, {0, 0.4, 3});
  request.gradient = By(GradientMethod::kAuto);
  const auto result = TestEngine().Differentiate(request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->method, GradientMethod::kForward);
  EXPECT_NEAR(result->trajectories[0].times[1], ClosedForm({0, 0.4, 3})[1], 1e-6);
  GradientRequest none = {.simulation =
                              Simulate(CompileText("model n\nstate x = 1\nx' = -x\n"), 0, 1)};
  none.loss = Squares({Channel::Kind::kState, 0}, {0.5}, {0});
  none.gradient = By(GradientMethod::kForward);
  const auto alone = TestEngine().Differentiate(none);
  if (alone.ok()) {
    EXPECT_NEAR(alone->trajectories[0].times[0], -2 * std::exp(-1.0), 1e-5);
  } else {
    EXPECT_EQ(alone.status().code(), absl::StatusCode::kInvalidArgument) << alone.status();
  }
}

TEST(CheckGradient, ComparesDerivativesByTimes) {
  CheckRequest request;
  request.gradient = Request(0, 3, {0, 0.4, 3});
  request.gradient.gradient.want_times = true;
  request.methods = {GradientMethod::kForward, GradientMethod::kBackprop, GradientMethod::kGauss,
                     GradientMethod::kFiniteDifference, GradientMethod::kComplexStep};
  const auto result = TestEngine().CheckGradient(request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->with_times);
  for (const CheckResult::Row& row : result->rows) {
    EXPECT_EQ(row.result.times.size(), 3u);
    EXPECT_LT(row.time_relative_difference, 1e-6);
    EXPECT_GE(row.time_relative_difference, 0);
  }
  EXPECT_GT(result->rows[3].time_relative_difference, 0);
  request.gradient.gradient.want_times = false;
  EXPECT_TRUE(TestEngine().CheckGradient(request)->rows[1].result.times.empty());
}

}  // namespace
}  // namespace costate

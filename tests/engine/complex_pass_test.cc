// complex_step against tangents: same steps, no derivative code in common.
#include "engine/complex_pass.h"

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileProblem;
using ::costate::testing::CompileText;
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;
using ::costate::testing::TestEngine;

// Parameters through right-hand side, initial values and outputs; explicit time.
constexpr char kModel[] =
    "model m\nparam a = 1.5\nparam b = 0.7\nparam unused = 0\nstate x = a*exp(-b)\nstate y = 1\n"
    "x' = -a*x*y + sin(t)\ny' = b*x - tanh(y)\noutput o = a*x^2 + t*y\n";

GradientRequest Request() {
  GradientRequest request = {.simulation = Simulate(CompileText(kModel), 0.25, 3, 1e-7, 1e-10),
                             .loss = Squares({Channel::Kind::kOutput, 0}, {0.5, 1, 2.5}, {1, 0, 2}),
                             .wrt = {"a", "b", "unused", "x", "y", "t0", "t1"}};
  request.loss.terms.emplace_back(Terminal{.state = {1, -2}, .output = {0.5}});
  return request;
}

GradientResult::PerTrajectory Differentiate(GradientRequest request) {
  auto result = TestEngine().Differentiate(request);
  if (!result.ok()) {
    ADD_FAILURE() << result.status();
    return {};
  }
  return std::move(result->trajectories[0]);
}

void ExpectClose(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t j = 0; j < a.size(); ++j) {
    EXPECT_NEAR(a[j], b[j], tolerance * (1 + std::fabs(b[j]))) << j;
  }
}

std::vector<double> Discrete(GradientRequest request) {
  request.gradient = {};
  request.gradient.method = GradientMethod::kForward;
  request.gradient.tangent_control = TangentControl::kPrimalOnly;
  return Differentiate(request).gradient;
}

TEST(ComplexStep, IsExact) {
  GradientRequest request = Request();
  for (const bool backwards : {false, true}) {
    if (backwards) std::swap(request.simulation.t0, request.simulation.t1);
    const std::vector<double> discrete = Discrete(request);
    request.gradient.method = GradientMethod::kComplexStep;
    const GradientResult::PerTrajectory result = Differentiate(request);
    ExpectClose(result.gradient, discrete, 1e-12);
    EXPECT_EQ(result.gradient[2], 0);
    EXPECT_GT(result.stats.adjoint.rhs_evaluations, 0);
  }
}

// Save times at both ends, which move; initial values that were given.
TEST(ComplexStep, MovesTheEnds) {
  GradientRequest request = Request();
  request.simulation.initial_state = {Scalar("x", 0.3)};
  request.loss = Squares({Channel::Kind::kState, 0}, {0.25, 1, 3}, {1, 1, 1});
  const std::vector<double> discrete = Discrete(request);
  request.gradient.method = GradientMethod::kComplexStep;
  ExpectClose(Differentiate(request).gradient, discrete, 1e-12);
  for (const Method method : {Method::kRk4, Method::kDopri8}) {
    request.simulation.method_auto = false;
    request.simulation.options.method = method;
    request.simulation.options.control.kind = StepControl::Kind::kFixed;
    request.simulation.options.control.fixed_step = 0.1;
    ExpectClose(Differentiate(request).gradient, Discrete(request), 1e-12);
  }
}

TEST(ComplexStep, OfTheNeuron) {
  GradientRequest request = {.simulation = Simulate(CompileProblem("neuron.ode"), 0, 120, 1e-6),
                             .loss = Squares({Channel::Kind::kState, 0}, {50, 110}, {0, 0})};
  const std::vector<double> discrete = Discrete(request);
  request.gradient.method = GradientMethod::kComplexStep;
  const std::vector<double> complex = Differentiate(request).gradient;
  for (size_t j = 0; j < complex.size(); ++j) {
    EXPECT_NEAR(complex[j], discrete[j], 1e-9 * std::fabs(discrete[j])) << j;
  }
}

}  // namespace
}  // namespace costate

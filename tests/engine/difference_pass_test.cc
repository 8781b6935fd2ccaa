// finite_difference against tangents: no derivative code in common.
#include "engine/difference_pass.h"

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileText;
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

TEST(FiniteDifference, OnTheFrozenGridAgreesWithTheDiscreteGradient) {
  GradientRequest request = Request();
  const std::vector<double> discrete = Discrete(request);
  request.gradient.method = GradientMethod::kFiniteDifference;
  request.gradient.difference.frozen_grid = true;
  ExpectClose(Differentiate(request).gradient, discrete, 1e-8);
  request.gradient.difference.step = 1e-5;
  ExpectClose(Differentiate(request).gradient, discrete, 1e-7);
  // Second order in the step.
  request.gradient.difference.step = 1e-2;
  const double coarse = Differentiate(request).gradient[0] - discrete[0];
  request.gradient.difference.step = 5e-3;
  const double finer = Differentiate(request).gradient[0] - discrete[0];
  EXPECT_NEAR(coarse / finer, 4, 0.2);
}

// At save times on the ends, which a shift must not leave outside.
TEST(FiniteDifference, IsOneSidedWhereSaveTimesAre) {
  GradientRequest request = Request();
  request.loss = Squares({Channel::Kind::kState, 0}, {0.25, 1, 3}, {1, 1, 1});
  request.gradient.difference.frozen_grid = true;
  request.gradient.method = GradientMethod::kFiniteDifference;
  ExpectClose(Differentiate(request).gradient, Discrete(request), 1e-6);
}

// Each solve with steps of its own: noise of the tolerance, which the step takes into account.
TEST(FiniteDifference, OnFreshGridsIsAsGoodAsItsNoise) {
  GradientRequest request = Request();
  request.gradient.method = GradientMethod::kForward;
  const std::vector<double> forward = Differentiate(request).gradient;
  request.gradient.method = GradientMethod::kFiniteDifference;
  ExpectClose(Differentiate(request).gradient, forward, 1e-4);
}

// log(p) at p = 0.001 loses its left side to a wide step; sqrt(p) at 0 has none.
TEST(FiniteDifference, StaysInTheDomain) {
  GradientRequest request = {
      .simulation =
          Simulate(CompileText("model d\nparam p = 0\nstate x = 1\nx' = p*sqrt(p)*x\n"), 0, 1),
      .loss = Squares({Channel::Kind::kState, 0}, {1}, {0})};
  request.gradient.method = GradientMethod::kFiniteDifference;
  const std::vector<double> gradient = Differentiate(request).gradient;
  EXPECT_NEAR(gradient[0], 0, 1e-2);
}

}  // namespace
}  // namespace costate

// finite_difference and complex_step against tangents: same steps, no derivative code in common.
#include "engine/difference_pass.h"

#include <cmath>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "engine/complex_pass.h"
#include "gmock/gmock.h"
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

TEST(Differences, RefuseWhatDoesNotFit) {
  const auto field = [](auto change) {
    GradientRequest request = Request();
    change(request.gradient);
    return FieldOf(TestEngine().Differentiate(request).status()).value_or("none");
  };
  EXPECT_EQ(field([](GradientOptions& g) {
              g.method = GradientMethod::kForward;
              g.adjoint.checkpoints = 3;
            }),
            "gradient.checkpoints");
  EXPECT_EQ(field([](GradientOptions& g) {
              g.method = GradientMethod::kBackprop;
              g.adjoint.segments = 3;
            }),
            "gradient.segments");
  EXPECT_EQ(field([](GradientOptions& g) {
              g.method = GradientMethod::kBacksolve;
              g.adjoint.checkpoint_every = 3;
            }),
            "gradient.checkpoint_every");
  EXPECT_EQ(field([](GradientOptions& g) {
              g.method = GradientMethod::kBackprop;
              g.adjoint.backward_rtol = 1e-6;
            }),
            "gradient.backward");
  EXPECT_EQ(field([](GradientOptions& g) { g.method = GradientMethod::kBacksolve; }),
            "gradient.backward.rtol");
  EXPECT_EQ(field([](GradientOptions& g) {
              g.method = GradientMethod::kForward;
              g.difference.step = 1e-3;
            }),
            "gradient.difference");
  EXPECT_EQ(field([](GradientOptions& g) {
              g.method = GradientMethod::kForward;
              g.want_times = true;
            }),
            "gradient.want_time_gradient");
  EXPECT_EQ(field([](GradientOptions& g) {
              g.method = GradientMethod::kFiniteDifference;
              g.difference.step = 0;
            }),
            "gradient.difference.step");
}

TEST(ChooseGradientMethod, ByColumnsTimesAndBudget) {
  GradientRequest request = Request();
  const auto choose = [&] {
    const auto result = TestEngine().Differentiate(request);
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->method_reason.empty());
    return result->method;
  };
  EXPECT_EQ(choose(), GradientMethod::kForward);
  request.gradient.want_times = true;
  EXPECT_EQ(choose(), GradientMethod::kBackprop);
  // 275 steps of two states and seven stages are 39 kB.
  request.simulation.options.control.kind = StepControl::Kind::kFixed;
  request.simulation.options.control.fixed_step = 0.01;
  request.gradient.adjoint.memory_budget = 60'000;
  EXPECT_EQ(choose(), GradientMethod::kBackprop);
  request.gradient.adjoint.memory_budget = 20'000;
  EXPECT_EQ(choose(), GradientMethod::kCheckpointed);
}

// An adaptive solve whose steps are more than was guessed.
TEST(ChooseGradientMethod, GoesOverToCheckpointsWhenTheBudgetIsSpent) {
  GradientRequest request = {
      .simulation = Simulate(CompileProblem("lorenz.ode"), 0, 40, 1e-9, 1e-12),
      .loss = Squares({Channel::Kind::kState, 0}, {1}, {0})};
  request.simulation.method_auto = false;
  request.gradient.want_times = true;
  const auto free = TestEngine().Differentiate(request);
  ASSERT_TRUE(free.ok()) << free.status();
  EXPECT_EQ(free->method, GradientMethod::kBackprop);
  request.gradient.adjoint.memory_budget = 300'000;
  const auto tight = TestEngine().Differentiate(request);
  ASSERT_TRUE(tight.ok()) << tight.status();
  EXPECT_EQ(tight->method, GradientMethod::kCheckpointed);
  EXPECT_THAT(tight->method_reason, ::testing::HasSubstr("did not fit"));
  EXPECT_EQ(tight->trajectories[0].gradient, free->trajectories[0].gradient);
}

}  // namespace
}  // namespace costate

#include "engine/gradient_options.h"

#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "gmock/gmock.h"
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
    "model m\nparam a = 1.5\nparam b = 0.7\nparam unused = 0\nparam many[30]\nstate x = "
    "a*exp(-b)\nstate y = 1\n"
    "x' = -a*x*y + sin(t)\ny' = b*x - tanh(y)\noutput o = a*x^2 + t*y\n";

GradientRequest Request() {
  GradientRequest request = {.simulation = Simulate(CompileText(kModel), 0.25, 3, 1e-7, 1e-10),
                             .loss = Squares({Channel::Kind::kOutput, 0}, {0.5, 1, 2.5}, {1, 0, 2}),
                             .wrt = {"a", "b", "unused", "x", "y", "t0", "t1"}};
  request.loss.terms.emplace_back(Terminal{.state = {1, -2}, .output = {0.5}});
  return request;
}

TEST(CheckGradientOptions, RefusesWhatDoesNotFit) {
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
  EXPECT_EQ(choose(), GradientMethod::kForward);
  request.wrt.push_back("many");
  EXPECT_EQ(choose(), GradientMethod::kBackprop);
  // 275 steps of two states and seven stages are 39 kB.
  request.simulation.options.control.kind = StepControl::Kind::kFixed;
  request.simulation.options.control.fixed_step = 0.01;
  request.gradient.adjoint.memory_budget = 60'000;
  EXPECT_EQ(choose(), GradientMethod::kBackprop);
  request.gradient.adjoint.memory_budget = 20'000;
  EXPECT_EQ(choose(), GradientMethod::kCheckpointed);
}

// With more columns than ride along.
constexpr char kLorenz[] =
    "model lorenz\nparam sigma = 10\nparam rho = 28\nparam beta = 8/3\nparam unused[30]\n"
    "state x = 1\nstate y = 1\nstate z = 1\n"
    "x' = sigma*(y - x)\ny' = x*(rho - z) - y\nz' = x*y - beta*z\n";

// An adaptive solve whose steps are more than was guessed.
TEST(ChooseGradientMethod, GoesOverToCheckpointsWhenTheBudgetIsSpent) {
  GradientRequest request = {.simulation = Simulate(CompileText(kLorenz), 0, 40, 1e-9, 1e-12),
                             .loss = Squares({Channel::Kind::kState, 0}, {1}, {0})};
  request.simulation.method_auto = false;
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

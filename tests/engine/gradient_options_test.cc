#include "engine/gradient_options.h"

#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileProblem;
using ::costate::testing::CompileText;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;
using ::costate::testing::TestEngine;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

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
  EXPECT_EQ(field([](GradientOptions& g) {
              g.method = GradientMethod::kGauss;
              g.adjoint.seminorm = true;
            }),
            "gradient.backward.seminorm");
  EXPECT_EQ(field([](GradientOptions& g) { g.method = GradientMethod::kBacksolve; }),
            "gradient.backward.rtol");
  EXPECT_EQ(field([](GradientOptions& g) { g.method = GradientMethod::kReversible; }),
            "gradient.method");
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

constexpr char kManyColumns[] = "param unused[30]\n";

GradientRequest Of(const std::string& text, double t1, double rtol) {
  GradientRequest request = {.simulation = Simulate(CompileText(text), 0, t1, rtol, rtol * 1e-3),
                             .loss = Squares({Channel::Kind::kState, 0}, {t1}, {0})};
  request.simulation.method_auto = false;
  return request;
}

GradientResult Chosen(const GradientRequest& request) {
  auto result = TestEngine().Differentiate(request);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : GradientResult();
}

// An adaptive solve that takes more steps than its start lets expect.
TEST(ChooseGradientMethod, GoesOverToCheckpointsWhenTheBudgetIsSpent) {
  GradientRequest request = Of(
      std::string("model chirp\nparam a = 1\n") + kManyColumns + "state x = 0\nx' = a*cos(t^3)\n",
      8, 1e-9);
  const GradientResult free = Chosen(request);
  EXPECT_EQ(free.method, GradientMethod::kBackprop);
  request.gradient.adjoint.memory_budget = 50'000;
  const GradientResult tight = Chosen(request);
  EXPECT_EQ(tight.method, GradientMethod::kCheckpointed);
  EXPECT_THAT(tight.method_reason, HasSubstr("did not fit"));
  EXPECT_EQ(tight.trajectories[0].gradient, free.trajectories[0].gradient);
}

constexpr char kLorenz[] =
    "model lorenz\nparam sigma = 10\nparam rho = 28\nparam beta = 8/3\nparam unused[30]\n"
    "state x = 1\nstate y = 1\nstate z = 1\n"
    "x' = sigma*(y - x)\ny' = x*(rho - z) - y\nz' = x*y - beta*z\n";

// So long a span that its steps are seen not to fit.
TEST(ChooseGradientMethod, TakesCheckpointsForALongHorizonAtOnce) {
  GradientRequest request = Of(kLorenz, 40, 1e-9);
  const GradientResult free = Chosen(request);
  EXPECT_EQ(free.method, GradientMethod::kBackprop);
  request.gradient.adjoint.memory_budget = 300'000;
  const GradientResult tight = Chosen(request);
  EXPECT_EQ(tight.method, GradientMethod::kCheckpointed);
  EXPECT_THAT(tight.method_reason, AllOf(HasSubstr("over the budget"), HasSubstr("33 columns"),
                                         Not(HasSubstr("in the end"))));
  EXPECT_EQ(tight.trajectories[0].gradient, free.trajectories[0].gradient);
}

// 10 * 3000 / 3.47 steps, 3000 being the fastest rate and 3.47 the limit of tsit5.
TEST(ChooseGradientMethod, SeesThatAModelIsStiff) {
  const std::string stiff = "state x = 2\nstate v = 0\nx' = v\nv' = mu*(1 - x^2)*v - x\n";
  const GradientResult few = Chosen(Of("model v\nparam mu = 1000\n" + stiff, 10, 1e-6));
  EXPECT_EQ(few.method, GradientMethod::kForward);
  EXPECT_THAT(few.method_reason, HasSubstr("stiff: about 8.6e+03 steps"));
  GradientRequest many =
      Of(std::string("model v\nparam mu = 1000\n") + kManyColumns + stiff, 10, 1e-6);
  many.gradient.adjoint.memory_budget = 200'000;
  const GradientResult checkpointed = Chosen(many);
  EXPECT_EQ(checkpointed.method, GradientMethod::kCheckpointed);
  EXPECT_THAT(checkpointed.method_reason, AllOf(HasSubstr("stiff: about 8"), HasSubstr("budget")));
  EXPECT_THAT(checkpointed.method_reason, Not(HasSubstr("in the end")));
  many.gradient.method = GradientMethod::kBackprop;
  many.gradient.adjoint.memory_budget = limits::kMaxRecordingBytes;
  const GradientResult named = Chosen(many);
  EXPECT_EQ(named.method_reason, "");
  EXPECT_EQ(named.trajectories[0].gradient, checkpointed.trajectories[0].gradient);
}

TEST(ChooseGradientMethod, SaysNothingOfStiffnessWhereThereIsNone) {
  GradientRequest request = {.simulation = Simulate(CompileProblem("sir.ode"), 0, 14),
                             .loss = Squares({Channel::Kind::kState, 1}, {3, 9}, {26, 225})};
  const GradientResult result = Chosen(request);
  EXPECT_EQ(result.method, GradientMethod::kForward);
  EXPECT_EQ(result.method_reason,
            "forward: 2 columns (at most 24) ride along with the solve, under error control");
}

}  // namespace
}  // namespace costate

// Forecast steps against those that solves take.
#include "engine/step_probe.h"

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/resolve_options.h"
#include "engine/solvers/integrate.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileProblem;
using ::costate::testing::CompileText;
using ::costate::testing::Simulate;

struct Case {
  std::string name;
  std::shared_ptr<const Model> model;
  double t1;
};

SolveOptions OptionsOf(Simulation* simulation, const BoundSimulation& bound) {
  simulation->method_auto = false;
  return ResolveOptions(*simulation, bound, simulation->options.save).value().options;
}

void ExpectWithin(const Case& one, double rtol, double factor, bool stiff) {
  Simulation simulation = Simulate(one.model, 0, one.t1, rtol, rtol * 1e-3);
  const BoundSimulation bound = Bind(simulation).value();
  const SolveOptions options = OptionsOf(&simulation, bound);
  const StepForecast forecast = ForecastSteps(bound, options);
  const Trajectory trajectory = Integrate(bound.one(0), options).value()[0];
  ASSERT_EQ(trajectory.termination.reason, Termination::Reason::kReachedEnd) << one.name;
  const double taken = static_cast<double>(trajectory.stats.accepted_steps);
  EXPECT_TRUE(forecast.measured) << one.name;
  EXPECT_LE(forecast.steps, taken * factor) << one.name << " " << rtol;
  EXPECT_GE(forecast.steps, taken / factor) << one.name << " " << rtol;
  EXPECT_EQ(forecast.stiff, stiff) << one.name << " " << rtol;
}

TEST(ForecastSteps, IsNearForSolvesThatGoOnAsTheyBegin) {
  const std::vector<Case> cases = {{"sir", CompileProblem("sir.ode"), 14},
                                   {"predators", CompileProblem("lotka_volterra.ode"), 20},
                                   {"oscillator", CompileProblem("damped_oscillator.ode"), 20},
                                   {"lorenz", CompileProblem("lorenz.ode"), 40},
                                   {"brusselator", CompileProblem("brusselator.ode"), 20},
                                   {"neuron", CompileProblem("neuron.ode"), 500},
                                   {"van_der_pol", CompileProblem("van_der_pol.ode"), 20}};
  for (const Case& one : cases) {
    for (const double rtol : {1e-6, 1e-9}) ExpectWithin(one, rtol, 3, false);
  }
}

TEST(ForecastSteps, SeesTheLimitOfStability) {
  // The fastest mode is there from the start, or after the first instants (Robertson 1966).
  ExpectWithin({"relaxation",
                CompileText("model r\nstate x = 2\nstate v = 0\nx' = v\n"
                            "v' = 1000*(1 - x^2)*v - x\n"),
                20},
               1e-6, 2, true);
  ExpectWithin({"linear",
                CompileText("model l\nstate x = 1\nstate y = 0\nx' = -1000*(x - cos(t))\n"
                            "y' = x - y\n"),
                10},
               1e-6, 2, true);
  ExpectWithin({"robertson",
                CompileText("model r\nstate a = 1\nstate b = 0\nstate c = 0\n"
                            "a' = -0.04*a + 1e4*b*c\nb' = 0.04*a - 1e4*b*c - 3e7*b^2\n"
                            "c' = 3e7*b^2\n"),
                10},
               1e-6, 10, true);
}

// Of states whose sizes lie far apart; what decays forwards grows backwards.
TEST(ForecastSteps, FindsTheSpectralRadius) {
  const std::shared_ptr<const Model> model =
      CompileText("model d\nstate x = 1e6\nstate y = 1e-6\nx' = -1000*x\ny' = -y + 1e-13*x\n");
  Simulation simulation = Simulate(model, 0, 20);
  const BoundSimulation bound = Bind(simulation).value();
  const SolveOptions options = OptionsOf(&simulation, bound);
  const StepForecast forecast = ForecastSteps(bound, options);
  EXPECT_NEAR(forecast.spectral_radius, 1000, 1);
  EXPECT_TRUE(forecast.stiff);
  const StepForecast again = ForecastSteps(bound, options);
  EXPECT_EQ(again.steps, forecast.steps);
  EXPECT_EQ(again.spectral_radius, forecast.spectral_radius);
  Simulation back = Simulate(model, 0.05, 0);
  const BoundSimulation backwards = Bind(back).value();
  EXPECT_FALSE(ForecastSteps(backwards, OptionsOf(&back, backwards)).stiff);
}

TEST(ForecastSteps, AreKnownWithFixedStepsAndGrids) {
  Simulation simulation = Simulate(CompileProblem("sir.ode"), 0, 10);
  simulation.options.control.kind = StepControl::Kind::kFixed;
  simulation.options.control.fixed_step = 0.25;
  const BoundSimulation bound = Bind(simulation).value();
  EXPECT_EQ(ForecastSteps(bound, OptionsOf(&simulation, bound)).steps, 40);
  simulation.options.control.kind = StepControl::Kind::kGrid;
  simulation.options.control.grid = {0, 1, 4, 10};
  EXPECT_EQ(ForecastSteps(bound, OptionsOf(&simulation, bound)).steps, 3);
}

TEST(ForecastSteps, NeverFails) {
  // Not finite at the start, or near it; nothing moves; no span; one step allowed.
  for (const char* text :
       {"model n\nstate x = 0\nx' = 1/x\n", "model n\nstate x = 1\nx' = log(1 - 1e9*(x - 1))\n",
        "model n\nstate x = 0\nx' = 0*x\n", "model n\nstate x = 1e300\nx' = x^2\n"}) {
    Simulation simulation = Simulate(CompileText(text), 0, 1);
    const BoundSimulation bound = Bind(simulation).value();
    SolveOptions options = OptionsOf(&simulation, bound);
    const StepForecast forecast = ForecastSteps(bound, options);
    EXPECT_GE(forecast.steps, 1) << text;
    EXPECT_LE(forecast.steps, static_cast<double>(options.max_steps)) << text;
    options.max_steps = 1;
    EXPECT_EQ(ForecastSteps(bound, options).steps, 1) << text;
  }
}

// The longest span of a batch counts.
TEST(ForecastSteps, LooksAtTheLongestSpan) {
  Simulation one = Simulate(CompileProblem("lotka_volterra.ode"), 0, 20);
  const BoundSimulation bound = Bind(one).value();
  Simulation batch = one;
  batch.t1 = {10, 400, 20};
  const BoundSimulation three = Bind(batch).value();
  const double alone = ForecastSteps(bound, OptionsOf(&one, bound)).steps;
  const double together = ForecastSteps(three, OptionsOf(&batch, three)).steps;
  EXPECT_NEAR(together / alone, 20, 0.5);
}

}  // namespace
}  // namespace costate

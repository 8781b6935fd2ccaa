// Vector-Jacobian and Jacobian-vector products against each other and against closed forms.
#include "engine/products.h"

#include <cmath>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::Batch;
using ::costate::testing::CompileText;
using ::costate::testing::SaveTimes;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;
using ::costate::testing::TerminalState;
using ::costate::testing::TestEngine;

// x = a exp(-k (t - t0)), z' = x: z = a (1 - exp(-k (t - t0))) / k.
constexpr char kText[] =
    "model m\nparam a = 3\nparam k = 0.7\nstate x = a\nstate z = 0\nx' = -k*x\nz' = x\n"
    "output u = k*x + t\n";

Simulation Base() {
  Simulation simulation = Simulate(CompileText(kText), 0, 2, 1e-11, 1e-13);
  SaveTimes(&simulation, {0.5, 1, 2});
  return simulation;
}

TEST(Sensitivities, ClosedForm) {
  const auto result =
      TestEngine().ComputeSensitivities({.simulation = Base(), .wrt = {"a", "k", "z"}});
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->states.size(), 3u * 2 * 3);
  ASSERT_EQ(result->outputs.size(), 3u * 1 * 3);
  for (size_t r = 0; r < 3; ++r) {
    const double t = result->saved.times[r], e = std::exp(-0.7 * t);
    const double* s = &result->states[r * 6];
    EXPECT_NEAR(s[0], e, 1e-9);
    EXPECT_NEAR(s[1], -3 * t * e, 1e-9);
    EXPECT_EQ(s[2], 0);
    EXPECT_NEAR(s[3], (1 - e) / 0.7, 1e-9);
    EXPECT_NEAR(s[4], 3 * (t * e * 0.7 - (1 - e)) / 0.49, 1e-9);
    EXPECT_NEAR(s[5], 1, 1e-12);
    const double* u = &result->outputs[r * 3];
    EXPECT_NEAR(u[0], 0.7 * e, 1e-9);
    EXPECT_NEAR(u[1], 3 * e - 0.7 * 3 * t * e, 1e-9);
    EXPECT_NEAR(result->saved.outputs[r], 0.7 * 3 * e + t, 1e-9);
  }
  EXPECT_LE(result->stats.tangents.max_error_ratio, 1);
}

TEST(Sensitivities, TheEndMovesWithT1) {
  Simulation simulation = Base();
  simulation.options.save = {};
  const auto result = TestEngine().ComputeSensitivities({.simulation = simulation, .wrt = {"t1"}});
  ASSERT_TRUE(result.ok()) << result.status();
  const double x = 3 * std::exp(-1.4);
  EXPECT_NEAR(result->states[0], -0.7 * x, 1e-8);
  EXPECT_NEAR(result->states[1], x, 1e-8);
  EXPECT_NEAR(result->outputs[0], 1 - 0.49 * x, 1e-8);
}

TEST(Jvp, IsTheSensitivityTimesTheDirection) {
  Simulation simulation = Base();
  simulation.options.control.kind = StepControl::Kind::kFixed;
  simulation.options.control.fixed_step = 0.1;
  const std::vector<std::string> wrt = {"x", "k", "t0"};
  const std::vector<double> directions = {1, 0, 0, 0.5, -2, 1};
  const auto s = TestEngine().ComputeSensitivities({.simulation = simulation, .wrt = wrt});
  const auto j =
      TestEngine().ComputeJvp({.simulation = simulation, .wrt = wrt, .directions = directions});
  ASSERT_TRUE(s.ok() && j.ok()) << s.status() << j.status();
  ASSERT_EQ(j->states.size(), 2u * 3 * 2);
  ASSERT_EQ(j->outputs.size(), 2u * 3 * 1);
  for (size_t v = 0; v < 2; ++v) {
    for (size_t row = 0; row < 6; ++row) {
      double sum = 0;
      for (size_t q = 0; q < 3; ++q) sum += s->states[row * 3 + q] * directions[v * 3 + q];
      EXPECT_NEAR(j->states[v * 6 + row], sum, 1e-13);
    }
    for (size_t row = 0; row < 3; ++row) {
      double sum = 0;
      for (size_t q = 0; q < 3; ++q) sum += s->outputs[row * 3 + q] * directions[v * 3 + q];
      EXPECT_NEAR(j->outputs[v * 3 + row], sum, 1e-13);
    }
  }
}

// c . (J d) = (J^T c) . d
TEST(Vjp, IsTheTransposeOfJvp) {
  Simulation simulation = Base();
  simulation.options.control.kind = StepControl::Kind::kFixed;
  simulation.options.control.fixed_step = 0.1;
  const std::vector<std::string> wrt = {"a", "z", "k", "t0"};
  const std::vector<double> direction = {0.3, -1, 2, 0.7};
  const auto j =
      TestEngine().ComputeJvp({.simulation = simulation, .wrt = wrt, .directions = direction});
  ASSERT_TRUE(j.ok()) << j.status();
  VjpRequest request = {.simulation = simulation, .cotangents = {}, .wrt = wrt};
  const std::vector<double> weights = {1, 2, -1, 0.5, 3, -2};
  Loss first, second;
  first.terms.emplace_back(Linear{.times = {0.5, 1, 2}, .states = weights, .outputs = {}});
  second.terms.emplace_back(Linear{.times = {1}, .states = {}, .outputs = {4}});
  request.cotangents = {first, second};
  request.simulation.options.save = {};
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    request.gradient.method = method;
    const auto result = TestEngine().ComputeVjp(request);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->gradients.size(), 2u * 4);
    double left[2] = {0, 4 * j->outputs[1]}, right[2] = {};
    for (size_t i = 0; i < 6; ++i) left[0] += weights[i] * j->states[i];
    for (size_t v = 0; v < 2; ++v) {
      for (size_t q = 0; q < 4; ++q) right[v] += result->gradients[v * 4 + q] * direction[q];
      EXPECT_NEAR(left[v], right[v], 1e-12);
    }
    double value = 0;
    for (size_t i = 0; i < 6; ++i) value += weights[i] * j->saved.states[i];
    EXPECT_NEAR(result->values[0], value, 1e-12);
    EXPECT_EQ(result->values[1], 4 * j->saved.outputs[1]);
  }
}

TEST(Products, RefuseAndSayWhere) {
  Simulation batched = Base();
  batched.params = {Batch("a", {1, 2})};
  EXPECT_EQ(
      FieldOf(TestEngine().ComputeJvp({.simulation = batched, .directions = {1, 0}}).status()),
      "simulation");
  EXPECT_EQ(
      FieldOf(TestEngine().ComputeJvp({.simulation = Base(), .directions = {1, 0, 0}}).status()),
      "directions");
  EXPECT_EQ(
      FieldOf(TestEngine().ComputeJvp({.simulation = Base(), .directions = {1, NAN}}).status()),
      "directions[1]");
  Simulation steps = Base();
  steps.options.save.kind = SaveAt::Kind::kSteps;
  EXPECT_EQ(FieldOf(TestEngine().ComputeSensitivities({.simulation = steps}).status()),
            "options.save");
  VjpRequest vjp = {.simulation = Base()};
  EXPECT_EQ(FieldOf(TestEngine().ComputeVjp(vjp).status()), "cotangents");
  vjp.cotangents = {TerminalState({1, 1}), Squares({Channel::Kind::kState, 0}, {1}, {0})};
  EXPECT_EQ(FieldOf(TestEngine().ComputeVjp(vjp).status()), "cotangents[1].terms[0]");
  vjp.cotangents = {TerminalState({1})};
  EXPECT_EQ(FieldOf(TestEngine().ComputeVjp(vjp).status()), "cotangents[0].terms[0].state");
}

TEST(Products, AnEarlyEndIsNaN) {
  Simulation simulation = Base();
  simulation.options.max_steps = 3;
  const auto j = TestEngine().ComputeJvp({.simulation = simulation, .directions = {1, 0}});
  ASSERT_TRUE(j.ok()) << j.status();
  EXPECT_EQ(j->termination.reason, Termination::Reason::kMaxSteps);
  EXPECT_TRUE(std::isnan(j->states.back()));
  EXPECT_TRUE(std::isnan(j->outputs.back()));
  simulation.options.save = {};
  const auto v =
      TestEngine().ComputeVjp({.simulation = simulation, .cotangents = {TerminalState({1, 1})}});
  ASSERT_TRUE(v.ok()) << v.status();
  EXPECT_EQ(v->primal.termination.reason, Termination::Reason::kMaxSteps);
  EXPECT_TRUE(std::isnan(v->gradients[0]));
  EXPECT_TRUE(std::isnan(v->values[0]));
}

// 1000 cotangents of 1e6 parameters: 8 GB of gradients, asked for in a few kilobytes.
TEST(Vjp, GradientsThatDoNotFitAreRefused) {
  VjpRequest request;
  request.simulation = Simulate(
      CompileText("model w\nparam p[1000000]\nparam s = 1\nstate x = 1\nx' = -s*x*p[0]\n"), 0, 1);
  request.simulation.params = {{"p", {1000000}, std::vector<double>(1000000, 1.0)}};
  request.cotangents.assign(1000, TerminalState({1}));
  const auto result = TestEngine().ComputeVjp(request);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(Products, CancelledBeforeTheyStartAreAnError) {
  Cancellation cancellation;
  cancellation.Cancel(Cancellation::Reason::kClientCancelled);
  const auto model = CompileText("model m\nparam k = 2\nstate x = k\nx' = -k*x\noutput o = x\n");
  const JvpRequest jvp = {.simulation = Simulate(model, 0, 1), .directions = {1}};
  EXPECT_EQ(TestEngine().ComputeJvp(jvp, &cancellation).status().code(),
            absl::StatusCode::kCancelled);
  VjpRequest vjp = {.simulation = Simulate(model, 0, 1)};
  vjp.cotangents.emplace_back().terms.emplace_back(Terminal{.state = {1}, .output = {}});
  EXPECT_EQ(TestEngine().ComputeVjp(vjp, &cancellation).status().code(),
            absl::StatusCode::kCancelled);
}

// No step to take; the tangents of the outputs come too late.
TEST(Jvp, WallBudgetEndsTheOutputs) {
  const auto model = CompileText("model m\nparam k = 2\nstate x = k\nx' = -k*x\noutput o = x\n");
  JvpRequest request = {.simulation = Simulate(model, 1, 1), .directions = {1}};
  const auto untimed = TestEngine().ComputeJvp(request);
  ASSERT_TRUE(untimed.ok()) << untimed.status();
  EXPECT_EQ(untimed->outputs, std::vector<double>{1});
  request.simulation.options.wall_budget = absl::Nanoseconds(1);
  const auto result = TestEngine().ComputeJvp(request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->termination.reason, Termination::Reason::kWallBudget);
  EXPECT_TRUE(std::isnan(result->outputs[0]));
}

}  // namespace
}  // namespace costate

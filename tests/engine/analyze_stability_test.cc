// Eigenvalues of models whose Jacobians are known, judged against regions that are known, and
// against what solves with such steps do.
#include "engine/analyze_stability.h"

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::Batch;
using ::costate::testing::CompileProblem;
using ::costate::testing::CompileText;
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using ::costate::testing::TestEngine;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Two rates, coupled; eigenvalues -a and -b.
constexpr char kStiff[] =
    "model stiff\nparam a = 1000\nparam b = 1\nstate x = 1\nstate y = 1\n"
    "x' = -a*x\ny' = -b*y + 0.1*x\n";

StabilityRequest RequestFor(Simulation simulation) {
  StabilityRequest request;
  request.simulation = std::move(simulation);
  return request;
}

void FixSteps(Simulation* simulation, Scheme scheme, double step) {
  simulation->method_auto = false;
  simulation->options.method = scheme.method;
  simulation->options.coupling = scheme.coupling;
  simulation->options.eta = scheme.eta;
  simulation->options.control.kind = StepControl::Kind::kFixed;
  simulation->options.control.fixed_step = step;
}

StabilityResult Analyzed(const StabilityRequest& request) {
  auto result = TestEngine().AnalyzeStability(request);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

TEST(AnalyzeStabilityTest, AdaptiveStepsOnAStiffProblem) {
  Simulation simulation = Simulate(CompileText(kStiff), 0, 10, 1e-4, 1e-6);
  const StabilityResult result = Analyzed(RequestFor(simulation));
  ASSERT_EQ(result.times.size(), 50u);
  ASSERT_EQ(result.num_eigenvalues, 2);
  for (size_t i = 0; i < result.times.size(); ++i) {
    EXPECT_NEAR(result.eigenvalues[2 * i].real(), -1000, 1e-9);
    EXPECT_NEAR(result.eigenvalues[2 * i + 1].real(), -1, 1e-9);
  }
  EXPECT_EQ(result.times[0], 0);
  EXPECT_NEAR(result.analysis.stiffness_ratio, 1000, 1e-6);
  // The steps run along the border of tsit5's interval, -3.507 / 1000.
  EXPECT_NEAR(result.analysis.largest_stable_step, 3.507e-3, 1e-5);
  EXPECT_NEAR(result.analysis.typical_step, 3.4e-3, 5e-4);
  EXPECT_EQ(result.analysed_steps, 1000);
  EXPECT_GT(result.stats.accepted_steps, 2000);
  EXPECT_THAT(result.advice, StartsWith("Held back by stability"));
  EXPECT_THAT(result.advice, HasSubstr("stiff"));
  EXPECT_EQ(result.scheme.method, Method::kTsit5);
  EXPECT_EQ(result.termination.reason, Termination::Reason::kReachedEnd);
  EXPECT_FALSE(result.resolution.method_reason.empty());
}

// h = 0.0025 is stable for RK4 (2.5 < 2.785), 0.003 is not; the solves agree.
TEST(AnalyzeStabilityTest, FixedStepsAreJudgedAsTheyTurnOut) {
  for (const double step : {0.0025, 0.003}) {
    Simulation simulation = Simulate(CompileText(kStiff), 0, 3);
    FixSteps(&simulation, Method::kRk4, step);
    const StabilityResult result = Analyzed(RequestFor(simulation));
    auto solved = TestEngine().Solve({simulation, false});
    ASSERT_TRUE(solved.ok());
    const double x = std::fabs(solved->trajectories[0].states[0]);
    if (step < 0.0028) {
      EXPECT_EQ(result.analysis.share_outside, 0);
      EXPECT_THAT(result.advice, StartsWith("Stable"));
      EXPECT_LT(x, 1e-9);
    } else {
      EXPECT_EQ(result.analysis.share_outside, 1);
      EXPECT_THAT(result.advice, StartsWith("Unstable"));
      // The growth that was foretold is the growth of x itself.
      EXPECT_NEAR(std::log(x), result.analysis.growth, 1e-6 * result.analysis.growth);
    }
    EXPECT_NEAR(result.analysis.largest_stable_step, 2.785e-3, 2e-6);
  }
}

// The van der Pol oscillator: the trace of the Jacobian is mu (1 - x^2), its determinant
// 2 mu x y + 1.
TEST(AnalyzeStabilityTest, EigenvaluesAlongTheTrajectory) {
  Simulation simulation = Simulate(CompileProblem("van_der_pol.ode"), 0, 5, 1e-8, 1e-10);
  StabilityRequest request = RequestFor(simulation);
  request.num_points = 20;
  const StabilityResult result = Analyzed(request);
  ASSERT_EQ(result.times.size(), 20u);
  Simulation saving = simulation;
  saving.options.save.kind = SaveAt::Kind::kSteps;
  auto solved = TestEngine().Solve({saving, false});
  ASSERT_TRUE(solved.ok());
  const Trajectory& trajectory = solved->trajectories[0];
  double mu = 0;
  for (const TensorInfo& param : simulation.model->ir().params) {
    if (param.name == "mu") mu = param.defaults[0];
  }
  int found = 0;
  for (size_t k = 0; k < result.times.size(); ++k) {
    for (size_t i = 0; i + 1 < trajectory.times.size(); ++i) {
      if (trajectory.times[i] != result.times[k]) continue;
      ++found;
      const double x = trajectory.states[2 * i], y = trajectory.states[2 * i + 1];
      const std::complex<double> a = result.eigenvalues[2 * k], b = result.eigenvalues[2 * k + 1];
      EXPECT_NEAR((a + b).real(), mu * (1 - x * x), 1e-9 * (1 + std::fabs(mu * x * x)));
      EXPECT_NEAR((a * b).real(), 2 * mu * x * y + 1, 1e-8 * (1 + std::fabs(2 * mu * x * y)));
      EXPECT_EQ(result.steps[k], trajectory.times[i + 1] - trajectory.times[i]);
    }
  }
  EXPECT_EQ(found, 20);
}

// y' = a (y - cos t) with the construction over RK4: at rate 5 over 10 units in 1000 steps the
// forward solve was measured to be lost at coupling 0.999 and 0.99, and fine at 0.95, where only
// the way back is lost.
TEST(AnalyzeStabilityTest, ReversibleSchemes) {
  const auto model = CompileText("model relax\nparam a = 5\nstate y = 1\ny' = -a*(y - cos(t))\n");
  for (const double coupling : {0.999, 0.99, 0.95}) {
    Simulation simulation = Simulate(model, 0, 10);
    FixSteps(&simulation, Scheme(Method::kRk4, coupling, 1), 0.01);
    const StabilityResult result = Analyzed(RequestFor(simulation));
    auto solved = TestEngine().Solve({simulation, false});
    ASSERT_TRUE(solved.ok());
    // y' + a y = a cos t
    const double exact = (25 * std::cos(10.0) + 5 * std::sin(10.0)) / 26;
    const double error = std::fabs(solved->trajectories[0].states[0] - exact);
    EXPECT_EQ(result.analysis.growth > 15, error > 1e-3) << coupling;
    EXPECT_EQ(result.analysis.share_outside > 0, coupling > 0.96);
    ASSERT_TRUE(result.analysis.reconstruction.has_value());
    EXPECT_GT(result.analysis.reconstruction->checkpoint_every, 0);
    EXPECT_THAT(result.advice, HasSubstr("checkpoint_every"));
  }
}

// Another scheme than the one that solved it.
TEST(AnalyzeStabilityTest, JudgesAnySchemeOnTheStepsTaken) {
  Simulation simulation = Simulate(CompileText(kStiff), 0, 1);
  FixSteps(&simulation, Method::kRk4, 0.0025);
  StabilityRequest request = RequestFor(simulation);
  request.scheme = Scheme(Method::kEuler);
  const StabilityResult result = Analyzed(request);
  EXPECT_EQ(result.scheme.method, Method::kEuler);
  EXPECT_EQ(result.resolution.options.method, Method::kRk4);
  EXPECT_EQ(result.analysis.share_outside, 1);
}

TEST(AnalyzeStabilityTest, LargeSystems) {
  const auto model = CompileText(
      "model heat\nparam k = 1\nstate y[300] = 1\n"
      "y' = k*300*(concat([0], y[0:299]) - 2*y + concat(y[1:300], [0]))\n");
  Simulation simulation = Simulate(model, 0, 0.1);
  StabilityRequest request = RequestFor(simulation);
  request.num_points = 3;
  request.num_eigenvalues = 4;
  const StabilityResult result = Analyzed(request);
  EXPECT_EQ(result.num_eigenvalues, 4);
  EXPECT_TRUE(result.converged);
  const double s = std::sin(300 * 3.14159265358979 / 602);
  EXPECT_NEAR(result.eigenvalues[0].real(), -1200 * s * s, 1e-3);
  EXPECT_THAT(result.advice, HasSubstr("outer eigenvalues"));
}

TEST(AnalyzeStabilityTest, EarlyEndsAndEmptySpans) {
  Simulation blow_up = Simulate(CompileText("model b\nstate y = 1\ny' = y^2\n"), 0, 3);
  const StabilityResult ended = Analyzed(RequestFor(blow_up));
  EXPECT_NE(ended.termination.reason, Termination::Reason::kReachedEnd);
  EXPECT_FALSE(ended.times.empty());
  EXPECT_THAT(ended.advice, HasSubstr("ended early, at t = 1"));
  Simulation empty = Simulate(CompileText(kStiff), 1, 1);
  const StabilityResult none = Analyzed(RequestFor(empty));
  EXPECT_TRUE(none.times.empty());
  EXPECT_TRUE(std::isnan(none.analysis.share_outside));
  EXPECT_THAT(none.advice, HasSubstr("No step"));
}

TEST(AnalyzeStabilityTest, RefusesWhatDoesNotFit) {
  const auto expect = [](const StabilityRequest& request, const char* field) {
    auto result = TestEngine().AnalyzeStability(request);
    EXPECT_TRUE(absl::IsInvalidArgument(result.status())) << result.status();
    EXPECT_EQ(FieldOf(result.status()), field);
  };
  const StabilityRequest good = RequestFor(Simulate(CompileText(kStiff), 0, 1));
  StabilityRequest request = good;
  request.simulation.params = {Batch("a", {1, 2})};
  expect(request, "simulation");
  request = good;
  request.num_points = -1;
  expect(request, "num_points");
  request = good;
  request.num_eigenvalues = 1'000'000;
  expect(request, "num_eigenvalues");
  request = good;
  request.scheme = Scheme(Method::kRk4, 1.5, 1);
  expect(request, "method.coupling");
  request = good;
  FixSteps(&request.simulation, Scheme(Method::kRk4, 0.0, 1), 0.1);
  expect(request, "options.coupling");
}

TEST(AnalyzeStabilityTest, CancellationAndBudget) {
  Cancellation cancellation;
  cancellation.Cancel(Cancellation::Reason::kClientCancelled);
  const StabilityRequest request = RequestFor(Simulate(CompileText(kStiff), 0, 1));
  auto result = TestEngine().AnalyzeStability(request, &cancellation);
  EXPECT_TRUE(absl::IsCancelled(result.status()) ||
              result->termination.reason == Termination::Reason::kCancelled);
}

TEST(AnalyzeStabilityTest, EstimatesGrowWithTheWork) {
  StabilityRequest request = RequestFor(Simulate(CompileText(kStiff), 0, 1));
  const double cost = EstimateSpectrumCost(request), bytes = EstimateSpectrumBytes(request);
  request.num_points = 10'000;
  EXPECT_GT(EstimateSpectrumCost(request), 5 * cost);
  EXPECT_GT(EstimateSpectrumBytes(request), 5 * bytes);
}

}  // namespace
}  // namespace costate

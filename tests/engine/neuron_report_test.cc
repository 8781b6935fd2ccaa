// The gradient report on the bursting neuron (numerics.md D.2-D.5): the question that was asked of
// it, whether reported errors cover true ones, and which figures say what.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/gradients/report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileProblem;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;
using ::costate::testing::TerminalState;
using ::costate::testing::TestEngine;
using ::testing::HasSubstr;

constexpr Channel kVoltage = {Channel::Kind::kState, 0};

// Quadruple precision, numerics.md D.3: of A = V(500) and B = sum_{k=1}^{500} V(k)^2.
const std::vector<double>& Reference(char loss) {
  static const auto& a = *new std::vector<double>{
      9.1624870052180873e-2, -8.6857344689642665e-1, 8.8392347667344115e-1, -1.0401778149328381e+0,
      3.3002443751626450e-1, -9.2149316311551536e-2, 5.5759205180636705e+0, -2.6846924240905545e+1,
      6.5766311270545119e-1, -5.0035487274634124e+0, 1.8865237098656538e+0, -4.8353638459233282e+1,
      1.4907515565039217e+2};
  static const auto& b = *new std::vector<double>{
      6.2286630942674447e+3, -1.6880805320804587e+4, -1.2112531367499652e+4, -2.2573446301575893e+4,
      3.8748248602210223e+3, 9.0706957343138437e+2,  -1.1719542904110556e+4, -4.0745315840161398e+5,
      9.7430087073899307e+3, -3.4696609446261724e+4, 2.7142547149705523e+4,  -1.0089088026967015e+6,
      1.9456624101306671e+6};
  return loss == 'A' ? a : b;
}

std::vector<double> Parameters(const Model& model) {
  std::vector<double> p;
  for (const TensorInfo& param : model.ir().params) p.push_back(param.defaults[0]);
  return p;
}

double ScaledNorm(const std::vector<double>& p, const std::vector<double>& x) {
  double sum = 0;
  for (size_t j = 0; j < p.size(); ++j) sum += std::pow(p[j] * x[j], 2);
  return std::sqrt(sum);
}

GradientRequest Request(char loss, double rtol, GradientMethod method,
                        TangentControl control = TangentControl::kFull) {
  GradientRequest request = {.simulation =
                                 Simulate(CompileProblem("neuron.ode"), 0, 500, rtol, rtol / 1000)};
  request.simulation.method_auto = false;  // tsit5
  if (loss == 'A') {
    std::vector<double> weights(13);
    weights[0] = 1;
    request.loss = TerminalState(weights);
  } else {
    std::vector<double> seconds;
    for (int k = 1; k <= 500; ++k) seconds.push_back(k);
    request.loss = Squares(kVoltage, seconds, std::vector<double>(500, 0.0));
  }
  request.gradient.method = method;
  request.gradient.tangent_control = control;
  request.gradient.report.wanted = true;
  return request;
}

// Its own plain solution at its own steps as data, all states weighing the same.
Loss OwnSolution(const Simulation& simulation) {
  SolveRequest request = {.simulation = simulation};
  request.simulation.options.save.kind = SaveAt::Kind::kSteps;
  const auto solved = TestEngine().Solve(request);
  const Trajectory& data = solved.value().trajectories[0];
  Loss loss;
  for (int64_t i = 0; i < 13; ++i) {
    LeastSquares term;
    term.channel = {Channel::Kind::kState, i};
    term.times = data.times;
    for (size_t k = 0; k < data.times.size(); ++k) term.values.push_back(data.states[k * 13 + i]);
    term.sigma = {1.0};
    loss.terms.emplace_back(std::move(term));
  }
  return loss;
}

GradientResult::PerTrajectory Differentiate(const GradientRequest& request) {
  auto result = TestEngine().Differentiate(request);
  if (!result.ok()) {
    ADD_FAILURE() << result.status();
    return {};
  }
  return std::move(result->trajectories[0]);
}

double CostOf(const GradientReport& report, Check check) {
  for (const CheckCost& cost : report.checks) {
    if (cost.check == check) return cost.solves;
  }
  return kNotComputed;
}

// What was asked: the loss of a solution against itself has the gradient zero. Chosen by the state
// alone, the steps are those of the data and the loss is exactly zero; under full control they are
// not, and the gradient of half a million that comes out is worth nothing.
TEST(NeuronReport, OwnSolutionAsData) {
  GradientRequest request = Request('A', 1e-3, GradientMethod::kForward);
  request.loss = OwnSolution(request.simulation);

  request.gradient.tangent_control = TangentControl::kPrimalOnly;
  const GradientResult::PerTrajectory primal = Differentiate(request);
  EXPECT_EQ(primal.loss, 0);
  EXPECT_EQ(ScaledNorm(std::vector<double>(13, 1.0), primal.gradient), 0);
  EXPECT_TRUE(primal.report->same_steps);
  EXPECT_EQ(primal.report->plain_loss, 0);

  request.gradient.tangent_control = TangentControl::kFull;
  const GradientResult::PerTrajectory full = Differentiate(request);
  const std::vector<double> p = Parameters(*request.simulation.model);
  EXPECT_GT(ScaledNorm(std::vector<double>(13, 1.0), full.gradient), 1e5);
  EXPECT_EQ(full.report->verdict, Verdict::kIndistinguishableFromZero) << full.report->summary;
  EXPECT_FALSE(full.report->same_steps);
  EXPECT_EQ(full.report->plain_loss, 0);
  EXPECT_GT(full.report->loss, 0.1);
  EXPECT_GE(full.report->scaled_error, 0.99 * full.report->scaled_norm);
  ASSERT_FALSE(full.report->advice.empty());
  EXPECT_THAT(full.report->advice[0], HasSubstr("data"));
}

TEST(NeuronReport, OwnSolutionOnTheFrozenGrid) {
  GradientRequest request = Request('A', 1e-3, GradientMethod::kForward);
  request.loss = OwnSolution(request.simulation);
  SolveRequest plain = {.simulation = request.simulation};
  plain.simulation.options.return_grid = true;
  const auto solved = TestEngine().Solve(plain);
  ASSERT_TRUE(solved.ok()) << solved.status();
  request.simulation.options.control.kind = StepControl::Kind::kGrid;
  request.simulation.options.control.grid = solved->trajectories[0].grid;
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    request.gradient.method = method;
    const GradientResult::PerTrajectory frozen = Differentiate(request);
    EXPECT_LE(ScaledNorm(std::vector<double>(13, 1.0), frozen.gradient), 1e-2);
    EXPECT_EQ(frozen.report->verdict, Verdict::kIndistinguishableFromZero)
        << frozen.report->summary;
  }
}

struct Case {
  double rtol;
  char loss;
  GradientMethod method;
  TangentControl control;
};

class Coverage : public ::testing::TestWithParam<Case> {};

// |p*error| against what it is, both ways: an error reported too large hides a good gradient.
TEST_P(Coverage, MeasuredErrorIsTheTrueOneWithinThree) {
  GradientRequest request =
      Request(GetParam().loss, GetParam().rtol, GetParam().method, GetParam().control);
  request.gradient.report.tolerance_refinement = true;
  const GradientResult::PerTrajectory result = Differentiate(request);
  const std::vector<double> p = Parameters(*request.simulation.model);
  std::vector<double> error = result.gradient;
  for (size_t j = 0; j < error.size(); ++j) error[j] -= Reference(GetParam().loss)[j];
  const double truth = ScaledNorm(p, error);
  EXPECT_GE(result.report->scaled_error, truth / 3);
  EXPECT_LE(result.report->scaled_error, truth * 3);
  EXPECT_TRUE(result.report->error_measured);
  // About what another gradient costs.
  EXPECT_GT(CostOf(*result.report, Check::kToleranceRefinement), 1);
  EXPECT_LT(CostOf(*result.report, Check::kToleranceRefinement), 20);
}

TEST_P(Coverage, UnmeasuredErrorIsNotTooSmall) {
  const GradientRequest request =
      Request(GetParam().loss, GetParam().rtol, GetParam().method, GetParam().control);
  const GradientResult::PerTrajectory result = Differentiate(request);
  const std::vector<double> p = Parameters(*request.simulation.model);
  std::vector<double> error = result.gradient;
  for (size_t j = 0; j < error.size(); ++j) error[j] -= Reference(GetParam().loss)[j];
  const double truth = ScaledNorm(p, error);
  EXPECT_GE(result.report->scaled_error, truth / 3);
  EXPECT_LE(result.report->scaled_error, truth * 20);
  EXPECT_FALSE(result.report->error_measured);
  EXPECT_EQ(CostOf(*result.report, Check::kLossMismatch), 1);
  EXPECT_LT(CostOf(*result.report, Check::kNoiseFloor), 4);
  EXPECT_LT(CostOf(*result.report, Check::kTangentError), 1.5);
  EXPECT_LT(CostOf(*result.report, Check::kStiffness), 0.5);
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const double rtol : {1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8}) {
    for (const char loss : {'A', 'B'}) {
      cases.push_back({rtol, loss, GradientMethod::kForward, TangentControl::kFull});
      cases.push_back({rtol, loss, GradientMethod::kBackprop, TangentControl::kFull});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Tolerances, Coverage, ::testing::ValuesIn(Cases()), [](const auto& info) {
  const std::string exponent = std::to_string(static_cast<int>(-std::log10(info.param.rtol) + 0.5));
  return std::string(1, info.param.loss) + "Rtol1e" + exponent +
         std::string(GetGradientMethodInfo(info.param.method).name);
});

TEST(NeuronReport, TangentsThatDoNotFollowTheToleranceAreUncontrolled) {
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    const GradientResult::PerTrajectory result =
        Differentiate(Request('B', 1e-3, method, TangentControl::kPrimalOnly));
    const GradientReport& report = *result.report;
    EXPECT_EQ(report.verdict, Verdict::kUncontrolled) << report.summary;
    EXPECT_GT(report.tangent_error_quantile90, 50);
    EXPECT_EQ(report.tangents_are_probes, method == GradientMethod::kBackprop);
    // numerics.md D.5, D.7: most steps at the limit.
    EXPECT_GT(report.stiffness_share, 0.6);
    EXPECT_THAT(report.advice[0], HasSubstr("tangent_control='full'"));
  }
  const GradientReport tight =
      Differentiate(Request('B', 1e-8, GradientMethod::kBackprop)).report.value();
  EXPECT_EQ(tight.verdict, Verdict::kGood) << tight.summary;
  EXPECT_LT(tight.stiffness_share, 0.05);
}

// numerics.md D.1: 219 with V and Ca in tens; states are weighed by their size here.
TEST(NeuronReport, IsNotChaotic) {
  GradientRequest request = Request('A', 1e-6, GradientMethod::kForward);
  request.gradient.report.growth = true;
  const GradientReport report = Differentiate(request).report.value();
  EXPECT_GT(report.growth, 10);
  EXPECT_LT(report.growth, 1e4);
  EXPECT_LT(report.lyapunov, 0.02);
  EXPECT_EQ(report.verdict, Verdict::kGood) << report.summary;
  // max_t |p dV/dp| is 3.4e4 mV at a spike, where |V| is small.
  EXPECT_GT(report.transient, 1e3);
}

TEST(NeuronReport, BacksolveFails) {
  GradientRequest request = Request('A', 1e-6, GradientMethod::kBacksolve);
  request.gradient.adjoint.backward_rtol = 1e-6;
  request.gradient.adjoint.backward_atol = 1e-9;
  const GradientResult::PerTrajectory result = Differentiate(request);
  EXPECT_EQ(result.report->verdict, Verdict::kFailed) << result.report->summary;
  ASSERT_FALSE(result.report->advice.empty());
}

}  // namespace
}  // namespace costate

// Reports of whole gradients on problems whose gradients are known.
#include "engine/gradient_report.h"

#include <cmath>
#include <complex>
#include <string>
#include <vector>

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
using ::costate::testing::TerminalState;
using ::costate::testing::TestEngine;

constexpr Channel kFirst = {Channel::Kind::kState, 0};

GradientResult::PerTrajectory Differentiate(GradientRequest request) {
  request.simulation.method_auto = false;  // tsit5, at all tolerances
  auto result = TestEngine().Differentiate(request);
  if (!result.ok()) {
    ADD_FAILURE() << result.status();
    return {};
  }
  return std::move(result->trajectories[0]);
}

GradientRequest WithReport(GradientRequest request, GradientMethod method) {
  request.gradient.method = method;
  request.gradient.report = {.wanted = true, .every = 1};
  return request;
}

double ScaledNorm(const std::vector<double>& p, const std::vector<double>& x) {
  double sum = 0;
  for (size_t j = 0; j < p.size(); ++j) sum += std::pow(p[j] * x[j], 2);
  return std::sqrt(sum);
}

std::vector<double> Minus(std::vector<double> a, const std::vector<double>& b) {
  for (size_t j = 0; j < a.size(); ++j) a[j] -= b[j];
  return a;
}

// A problem, its columns' values and the exact gradient.
struct Known {
  std::string name;
  GradientRequest request;
  std::vector<double> p;
  std::vector<double> gradient;
};

// By the same engine at a tolerance some digits tighter than any in the test, method dopri8.
std::vector<double> Tight(GradientRequest request) {
  request.simulation.options.control.rtol = 1e-13;
  request.simulation.options.control.atol = {1e-15};
  request.simulation.options.method = Method::kDopri8;
  request.simulation.method_auto = false;
  request.gradient.method = GradientMethod::kForward;
  return TestEngine().Differentiate(request).value().trajectories[0].gradient;
}

// x(t) = exp(-a t) (cos(w t) + a / w sin(w t)) for x0 = 1, v0 = 0; derivatives to omega and zeta by
// the complex step, exact to rounding.
std::vector<double> OscillatorGradient(const std::vector<double>& times) {
  const auto loss = [&](std::complex<double> omega, std::complex<double> zeta) {
    const std::complex<double> a = zeta * omega, w = std::sqrt(omega * omega - a * a);
    std::complex<double> sum = 0;
    for (const double t : times) {
      const std::complex<double> x = std::exp(-a * t) * (std::cos(w * t) + a / w * std::sin(w * t));
      sum += x * x;
    }
    return sum;
  };
  const std::complex<double> step(0, 1e-100);
  return {loss(2.0 + step, 0.1).imag() / 1e-100, loss(2.0, 0.1 + step).imag() / 1e-100};
}

// y1' = -k (y1 - y2), y2' = -r y2 from (2, 1): y2 = exp(-r t), y1 = c exp(-r t) + (2 - c)
// exp(-k t) with c = k / (k - r). Times within the fast part and long after it.
const std::vector<double>& StiffTimes() {
  static const auto& times = *new std::vector<double>{0.002, 0.005, 0.01, 0.02, 1, 2, 4};
  return times;
}
std::vector<double> StiffGradient() {
  const auto loss = [](std::complex<double> k, std::complex<double> r) {
    const std::complex<double> c = k / (k - r);
    std::complex<double> sum = 0;
    for (const double t : StiffTimes()) {
      const std::complex<double> y1 = c * std::exp(-r * t) + (2.0 - c) * std::exp(-k * t);
      sum += (y1 - 0.5) * (y1 - 0.5);
    }
    return sum;
  };
  const std::complex<double> step(0, 1e-100);
  return {loss(200.0 + step, 0.5).imag() / 1e-100, loss(200.0, 0.5 + step).imag() / 1e-100};
}

std::vector<Known> Problems() {
  std::vector<Known> problems;
  std::vector<double> times;
  for (int i = 1; i <= 10; ++i) times.push_back(i);
  GradientRequest sir = {.simulation = Simulate(CompileProblem("sir.ode"), 0, 14),
                         .loss = Squares({Channel::Kind::kOutput, 0}, {2, 4, 6, 8, 10, 12},
                                         {9, 70, 250, 290, 200, 100})};
  problems.push_back({"sir", sir, {1.66, 0.44}, Tight(sir)});
  GradientRequest prey = {.simulation = Simulate(CompileProblem("lotka_volterra.ode"), 0, 10),
                          .loss = Squares(kFirst, times, std::vector<double>(10, 1.0))};
  problems.push_back({"lotka_volterra", prey, {1.5, 1, 3}, Tight(prey)});
  GradientRequest damped = {.simulation = Simulate(CompileProblem("damped_oscillator.ode"), 0, 10),
                            .loss = Squares(kFirst, times, std::vector<double>(10, 0.0)),
                            .wrt = {"omega", "zeta"}};
  problems.push_back({"damped_oscillator", damped, {2, 0.1}, OscillatorGradient(times)});
  GradientRequest stiff = {
      .simulation = Simulate(CompileText("model stiff\nparam k = 200\nparam r = 0.5\n"
                                         "state y1 = 2\nstate y2 = 1\n"
                                         "y1' = -k*(y1 - y2)\ny2' = -r*y2\n"),
                             0, 4),
      .loss = Squares(kFirst, StiffTimes(), std::vector<double>(7, 0.5))};
  problems.push_back({"stiff", stiff, {200, 0.5}, StiffGradient()});
  return problems;
}

// Errors reported after refinement against true ones, both ways.
TEST(GradientReport, MeasuredErrorsAreTrueOnes) {
  for (const Known& known : Problems()) {
    for (const double rtol : {1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8}) {
      for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
        GradientRequest request = WithReport(known.request, method);
        request.simulation.options.control.rtol = rtol;
        request.simulation.options.control.atol = {rtol / 1000};
        request.gradient.report.tolerance_refinement = true;
        const GradientResult::PerTrajectory result = Differentiate(request);
        const double truth = ScaledNorm(known.p, Minus(result.gradient, known.gradient));
        const std::string where = known.name + " rtol " + std::to_string(rtol) + " " +
                                  std::string(GetGradientMethodInfo(method).name);
        EXPECT_GE(result.report->scaled_error, truth / 3) << where;
      }
    }
  }
}

TEST(GradientReport, ChaoticOverALongSpan) {
  GradientRequest request =
      WithReport({.simulation = Simulate(CompileProblem("lorenz.ode"), 0, 50, 1e-9, 1e-12),
                  .loss = TerminalState({0, 0, 1})},
                 GradientMethod::kBackprop);
  request.gradient.report.growth = true;
  GradientReport report = Differentiate(request).report.value();
  EXPECT_EQ(report.verdict, Verdict::kChaotic) << report.summary;
  // The largest exponent is 0.906 (Viswanath 1998), less what a span of 50 averages over.
  EXPECT_NEAR(report.lyapunov, 0.906, 0.3);
  EXPECT_FALSE(report.advice.empty());
  // The tangents sound the alarm where growth was not asked for.
  request.gradient.report.growth = false;
  EXPECT_EQ(Differentiate(request).report->verdict, Verdict::kChaotic);
  // Over a short span the same system is fine.
  request.simulation.t1 = {1};
  request.gradient.report.growth = true;
  EXPECT_EQ(Differentiate(request).report->verdict, Verdict::kGood);
  // And between them the tolerance decides.
  request.simulation.t1 = {30};
  request.simulation.options.control.rtol = 1e-4;
  report = Differentiate(request).report.value();
  EXPECT_EQ(report.verdict, Verdict::kToleranceTooLoose) << report.growth << report.summary;
}

// x stays zero, so the state has no error to estimate and steps grow, while dx/dx0 = exp(k sin)
// moves fast.
constexpr char kTrivial[] =
    "model trivial\nparam k = 6\nparam x0 = 0\nstate x = x0\n"
    "x' = k*cos(3*t)*x\n";

TEST(GradientReport, TrivialStateWithMovingTangents) {
  GradientRequest request = WithReport({.simulation = Simulate(CompileText(kTrivial), 0, 10),
                                        .loss = TerminalState({1}),
                                        .wrt = {"x0"}},
                                       GradientMethod::kForward);
  request.gradient.tangent_control = TangentControl::kPrimalOnly;
  EXPECT_EQ(Differentiate(request).report->verdict, Verdict::kUncontrolled);
  request.gradient.method = GradientMethod::kBackprop;
  const GradientResult::PerTrajectory backprop = Differentiate(request);
  EXPECT_EQ(backprop.report->verdict, Verdict::kUncontrolled) << backprop.report->summary;
  // Not even with refinement and a second method.
  request.gradient.report.tolerance_refinement = request.gradient.report.second_method = true;
  EXPECT_EQ(Differentiate(request).report->verdict, Verdict::kUncontrolled);
  // exp(2 sin 30), and far from it.
  const double truth = std::exp(2 * std::sin(30.0));
  EXPECT_GT(std::fabs(backprop.gradient[0] - truth), 0.02 * truth);
  request.gradient.method = GradientMethod::kForward;
  request.gradient.tangent_control = TangentControl::kFull;
  const GradientResult::PerTrajectory full = Differentiate(request);
  EXPECT_EQ(full.report->verdict, Verdict::kGood) << full.report->summary;
  EXPECT_NEAR(full.gradient[0], truth, 1e-4 * truth);
}

// More columns than lanes: directions of random signs show it as well.
TEST(GradientReport, ProbesFindUncontrolledTangentsAmongManyColumns) {
  GradientRequest request = WithReport(
      {.simulation = Simulate(CompileText("model trivial\nparam k[12] = 0\nstate x = 0\n"
                                          "state y = 1\nx' = 6*cos(3*t)*x + sum(k)\ny' = 0*y\n"),
                              0, 10),
       .loss = TerminalState({1, 0})},
      GradientMethod::kBackprop);
  request.simulation.params = {
      {.name = "k", .shape = {12}, .values = std::vector<double>(12, 0.0)}};
  const GradientReport report = Differentiate(request).report.value();
  EXPECT_TRUE(report.tangents_are_probes);
  EXPECT_EQ(report.verdict, Verdict::kUncontrolled) << report.summary;
}

// The report only looks.
TEST(GradientReport, LeavesTheGradientItsBits) {
  for (const GradientMethod method :
       {GradientMethod::kForward, GradientMethod::kBackprop, GradientMethod::kGauss}) {
    const Known known = std::move(Problems()[1]);
    GradientRequest request = known.request;
    request.gradient.method = method;
    const GradientResult::PerTrajectory plain = Differentiate(request);
    request.gradient.report = {.wanted = true,
                               .tolerance_refinement = true,
                               .second_method = true,
                               .directional_difference = true,
                               .growth = true,
                               .linear_range = true};
    const GradientResult::PerTrajectory checked = Differentiate(request);
    EXPECT_EQ(plain.gradient, checked.gradient);
    EXPECT_EQ(plain.loss, checked.loss);
    EXPECT_EQ(plain.stats.solve.rhs_evaluations, checked.stats.solve.rhs_evaluations);
    EXPECT_TRUE(checked.grid.empty());
    const GradientReport& report = *checked.report;
    EXPECT_EQ(report.verdict, Verdict::kGood) << report.summary;
    EXPECT_EQ(report.checks.size(), 9u);
    EXPECT_NEAR(report.directional_difference, report.directional_derivative,
                3 * report.directional_noise + 1e-4 * std::fabs(report.directional_derivative));
    EXPECT_LT(report.directional_noise, 1e-3 * std::fabs(report.directional_derivative));
    EXPECT_EQ(report.second_method == GradientMethod::kBackprop, method == GradientMethod::kGauss);
    ASSERT_EQ(report.second_method_difference.size(), 3u);
    EXPECT_LT(ScaledNorm(known.p, report.second_method_difference), 1e-3 * report.scaled_norm);
    EXPECT_GT(report.linear_range, 1e-3);
    EXPECT_LT(report.linear_range, 1);
    EXPECT_GT(report.growth, 0.1);
  }
}

// Explicit steps at the limit of stability spoil tangents that matter little here.
TEST(GradientReport, TwoWitnessesClearAStiffProblem) {
  GradientRequest request = WithReport(Problems()[3].request, GradientMethod::kBackprop);
  request.simulation.options.control.rtol = 1e-6;
  request.simulation.options.control.atol = {1e-9};
  EXPECT_EQ(Differentiate(request).report->verdict, Verdict::kUncontrolled);
  request.gradient.report.tolerance_refinement = request.gradient.report.second_method = true;
  EXPECT_EQ(Differentiate(request).report->verdict, Verdict::kGood);
}

TEST(GradientReport, FixedStepsAreHalved) {
  GradientRequest request = WithReport(Problems()[2].request, GradientMethod::kBackprop);
  request.simulation.options.control.kind = StepControl::Kind::kFixed;
  request.simulation.options.control.fixed_step = 0.05;
  request.gradient.report.tolerance_refinement = true;
  const GradientResult::PerTrajectory result = Differentiate(request);
  const Known known = Problems()[2];
  const double truth = ScaledNorm(known.p, Minus(result.gradient, known.gradient));
  EXPECT_GE(result.report->scaled_error, truth / 3);
  EXPECT_LE(result.report->scaled_error, truth * 3);
  EXPECT_TRUE(std::isnan(result.report->tangent_error_max));
}

TEST(GradientReport, SaysWhyAnEarlyEndFailed) {
  GradientRequest request = WithReport(Problems()[1].request, GradientMethod::kForward);
  request.simulation.options.max_steps = 3;
  const GradientReport report = Differentiate(request).report.value();
  EXPECT_EQ(report.verdict, Verdict::kFailed);
  EXPECT_THAT(report.advice[0], ::testing::HasSubstr("max_steps"));
}

// Data of the solver's own accuracy.
TEST(GradientReport, DataAtSolverNoise) {
  GradientRequest request = WithReport(Problems()[1].request, GradientMethod::kBackprop);
  SolveRequest solve = {.simulation = request.simulation};
  solve.simulation.method_auto = false;
  solve.simulation.options.save.kind = SaveAt::Kind::kTimes;
  std::vector<double> times;
  for (int i = 1; i <= 10; ++i) times.push_back(i);
  solve.simulation.options.save.times = times;
  solve.simulation.options.control.rtol = 1e-9;
  solve.simulation.options.control.atol = {1e-12};
  const auto data = TestEngine().Solve(solve);
  ASSERT_TRUE(data.ok()) << data.status();
  std::vector<double> values;
  for (int i = 0; i < 10; ++i) values.push_back(data->trajectories[0].states[2 * i]);
  request.loss = Squares(kFirst, times, values);
  const GradientReport report = Differentiate(request).report.value();
  EXPECT_TRUE(report.verdict == Verdict::kDataAtSolverNoise ||
              report.verdict == Verdict::kIndistinguishableFromZero)
      << report.summary;
  EXPECT_LE(report.residual_norm, 3 * report.saved_error_norm);
}

// A running loss is a state of an extended model: all methods and checks see that one.
TEST(GradientReport, OfARunningLoss) {
  GradientRequest request = {
      .simulation =
          Simulate(CompileText("model d\nparam k = 0.7\nstate y = 2\ny' = -k*y\n"), 0, 3)};
  request.loss.terms.emplace_back(IntegralLoss{.integrand = "y^2"});
  // L = 2 (1 - exp(-6 k)) / k
  const double k = 0.7, e = std::exp(-6 * k);
  const double truth = 2 * (6 * k * e - (1 - e)) / (k * k);
  for (const GradientMethod method : AllGradientMethods()) {
    request.gradient = {.method = method};
    if (method == GradientMethod::kBacksolve) {
      request.gradient.adjoint.backward_rtol = 1e-9;
      request.gradient.adjoint.backward_atol = 1e-12;
    }
    request.gradient.report = {.wanted = true,
                               .tolerance_refinement = true,
                               .second_method = true,
                               .directional_difference = true,
                               .growth = true,
                               .linear_range = true};
    const GradientResult::PerTrajectory result = Differentiate(request);
    ASSERT_EQ(result.gradient.size(), 1u);
    EXPECT_NEAR(result.gradient[0], truth, 2e-4 * std::fabs(truth));
    EXPECT_EQ(result.report->verdict, Verdict::kGood)
        << GetGradientMethodInfo(method).name << ": " << result.report->summary;
    ASSERT_EQ(result.report->abs_error.size(), 1u);
    EXPECT_LE(std::fabs(result.gradient[0] - truth), 3 * result.report->abs_error[0])
        << GetGradientMethodInfo(method).name;
  }
}

// The gradient stands when a check does not fit.
TEST(GradientReport, SaysWhichChecksCouldNotBeMade) {
  GradientRequest request = WithReport(Problems()[1].request, GradientMethod::kBackprop);
  request.gradient.report.tolerance_refinement = true;
  request.gradient.adjoint.memory_budget = int64_t{1} << 30;
  const int64_t enough = Differentiate(request).stats.adjoint.peak_stored_bytes;
  request.gradient.adjoint.memory_budget = enough + 1000;
  const GradientResult::PerTrajectory result = Differentiate(request);
  ASSERT_EQ(result.gradient.size(), 3u);
  EXPECT_TRUE(std::isfinite(result.gradient[0]));
  EXPECT_THAT(result.report->refinement_difference, ::testing::IsEmpty());
  ASSERT_FALSE(result.report->advice.empty());
  EXPECT_THAT(result.report->advice.back(), ::testing::HasSubstr("Not all checks"));
}

TEST(GradientReport, OfEveryTrajectoryOfABatch) {
  const std::vector<double> values = {1.2, 1.5, 1.8};
  GradientRequest request = WithReport(Problems()[1].request, GradientMethod::kBackprop);
  request.simulation.params = {::costate::testing::Batch("a", values)};
  const auto batch = TestEngine().Differentiate(request);
  ASSERT_TRUE(batch.ok()) << batch.status();
  for (size_t b = 0; b < values.size(); ++b) {
    request.simulation.params = {Scalar("a", values[b])};
    const auto alone = TestEngine().Differentiate(request);
    ASSERT_TRUE(alone.ok()) << alone.status();
    EXPECT_EQ(batch->trajectories[b].gradient, alone->trajectories[0].gradient);
    EXPECT_EQ(batch->trajectories[b].report->noise_floor,
              alone->trajectories[0].report->noise_floor);
  }
}

TEST(Refined, TightensAndHalves) {
  SolveOptions options;
  options.control.rtol = 1e-4;
  options.control.atol = {1e-7, 1e-8};
  const SolveOptions finer = Refined(options, 10, {});
  EXPECT_DOUBLE_EQ(finer.control.rtol, 1e-5);
  EXPECT_DOUBLE_EQ(finer.control.atol[1], 1e-9);
  options.control.rtol = 5e-13;
  EXPECT_EQ(Refined(options, 100, {}).control.rtol, 1e-13);
  options.control.kind = StepControl::Kind::kFixed;
  EXPECT_EQ(Refined(options, 10, {0, 1, 3}).control.grid, (std::vector<double>{0, 0.5, 1, 2, 3}));
}

}  // namespace
}  // namespace costate

// Value, gradient, residuals and Jacobian of a fit against each other, against differences, and
// against likelihoods in closed form.
#include "engine/fit/objective.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "engine/base/cancellation.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/fit/fit_fixture.h"

namespace costate::fit {
namespace {

using ::costate::testing::CompileText;
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using optimise::Answer;
using optimise::Wanted;
using testing::Ask;
using testing::Between;
using testing::By;
using testing::ExpectClose;
using testing::ExpectDerivatives;
using testing::FreeOf;
using testing::GradientOfRows;
using testing::Growth;
using testing::Information;
using testing::MakeObjective;
using testing::Measured;
using testing::MeasuredState;
using testing::NamesOf;
using testing::StartOf;

constexpr Noise kNoises[] = {Noise::kGaussian, Noise::kLogNormal, Noise::kLaplace,
                             Noise::kLogLaplace};
constexpr Scale kScales[] = {Scale::kLinear, Scale::kLog, Scale::kLog10, Scale::kLogit};

Condition ConditionOf(std::string name, std::vector<NamedArray> params = {}) {
  Condition condition;
  condition.name = std::move(name);
  condition.params = std::move(params);
  return condition;
}

// y' = -k y from y0 = 2, so that y = 2 e^-kt.
FitProblem Decay() {
  FitProblem problem;
  problem.simulation = Simulate(
      CompileText("param k = 0.5\nstate y = 2\ny' = -k*y\noutput v = y\n"), 0, 3, 1e-11, 1e-13);
  problem.free = {FreeOf("k")};
  return problem;
}

TEST(Objective, DerivativesForEveryNoiseModel) {
  for (const Noise noise : kNoises) {
    FitProblem problem = Growth();
    problem.data[0].noise = noise;
    problem.data.push_back(MeasuredState("z", {1, 5}, {1.1, 0.7}, noise));
    problem.data[1].weight = 2.5;
    ExpectDerivatives(problem);
  }
}

TEST(Objective, DerivativesForEveryScale) {
  for (const Scale scale : kScales) {
    FitProblem problem = Growth();
    problem.free = {Between("r", 0.05, 8, scale), Between("a", 0.1, 1, scale),
                    Between("K", 1, 9, scale)};
    ExpectDerivatives(problem);
  }
}

TEST(Objective, DerivativesWithPriors) {
  using Distribution = Prior::Distribution;
  for (const Distribution distribution :
       {Distribution::kNormal, Distribution::kLaplace, Distribution::kLogNormal,
        Distribution::kLogLaplace, Distribution::kCauchy, Distribution::kGamma,
        Distribution::kExponential, Distribution::kUniform, Distribution::kLogUniform,
        Distribution::kRayleigh, Distribution::kChiSquared}) {
    for (const bool scaled : {false, true}) {
      FitProblem problem = Growth();
      Prior prior;
      prior.distribution = distribution;
      prior.a = 1.5;
      prior.b = 0.4;
      prior.scaled = scaled;
      problem.free = {Between("r", 0.05, 8, Scale::kLinear), Between("K", 2, 9, Scale::kLog10),
                      Between("d", 0.01, 0.9)};
      for (Free& free : problem.free) free.prior = prior;
      ExpectDerivatives(problem);
    }
  }
}

TEST(Objective, DerivativesWithEstimatedSigmaScaleAndOffset) {
  for (const Noise noise : kNoises) {
    FitProblem problem = Growth();
    problem.data[0].noise = noise;
    problem.data[0].sigma.clear();
    problem.data[0].estimate_scale = true;
    problem.data[0].estimate_offset = true;
    problem.data.push_back(Measured("w[1]", {1, 5}, {1.1, 0.7}, noise));
    problem.data[1].sigma.clear();
    problem.data[1].weight = 0.5;
    const auto objective = MakeObjective(problem);
    ASSERT_NE(objective, nullptr);
    EXPECT_THAT(
        NamesOf(*objective),
        ::testing::ElementsAre("r", "d", "a", "sigma(u)", "sigma(w[1])", "scale(u)", "offset(u)"));
    ExpectDerivatives(problem);
  }
}

TEST(Objective, DerivativesOfInitialValuesAndTensorElements) {
  FitProblem problem = Growth();
  problem.free = {FreeOf("x", Scale::kLog), FreeOf("c"), FreeOf("a")};
  const auto objective = MakeObjective(problem);
  ASSERT_NE(objective, nullptr);
  EXPECT_THAT(NamesOf(*objective), ::testing::ElementsAre("x", "c[0]", "c[1]", "a"));
  EXPECT_EQ(objective->elements()[0].start, 0.4);  // that of the initial map
  ExpectDerivatives(problem);
  problem.free = {FreeOf("c[1]"), FreeOf("z"), FreeOf("c[0]")};
  problem.simulation.initial_state = {Scalar("z", 1.7)};
  ExpectDerivatives(problem);
}

// Elements of its own for one condition, shared ones for the others, other spans and values; two
// conditions share columns and times, and so their lanes.
FitProblem ThreeConditions() {
  FitProblem problem = Growth();
  problem.conditions = {ConditionOf("slow", {Scalar("K", 4)}), ConditionOf("fast"),
                        ConditionOf("late", {Scalar("K", 7)})};
  problem.conditions[1].t1 = 3;
  problem.conditions[2].t0 = -1;
  problem.conditions[2].initial_state = {Scalar("z", 2)};
  problem.data = {Measured("u", {1, 2, 6}, {1, 2, 5}), Measured("u", {1, 2}, {1.2, 2.2}),
                  Measured("u", {0, 2, 6}, {0.9, 2.5, 6}), MeasuredState("z", {2}, {1})};
  problem.data[0].condition = "slow";
  problem.data[1].condition = "fast";
  problem.data[2].condition = problem.data[3].condition = "late";
  problem.free[0].per_condition = {"late"};
  return problem;
}

TEST(Objective, DerivativesWithElementsPerCondition) {
  const FitProblem problem = ThreeConditions();
  const auto objective = MakeObjective(problem);
  ASSERT_NE(objective, nullptr);
  EXPECT_THAT(NamesOf(*objective), ::testing::ElementsAre("r", "r@late", "d", "a"));
  ExpectDerivatives(problem);
  // What is the condition's own is no column of the others.
  const Answer rows = Ask(*objective, StartOf(*objective), Wanted::kResiduals);
  ASSERT_EQ(rows.residuals.size(), 9u);
  for (size_t row = 0; row < 9; ++row) {
    const bool late = row >= 5;
    EXPECT_EQ(rows.jacobian[row * 4 + 0] != 0, !late) << row;
    EXPECT_EQ(rows.jacobian[row * 4 + 1] != 0, late) << row;
  }
}

TEST(Objective, DerivativesOfPartsOfTheTerms) {
  FitProblem problem = ThreeConditions();
  Prior prior;
  prior.a = 0.2;
  problem.free[1].prior = prior;
  ExpectDerivatives(problem, {1});
  ExpectDerivatives(problem, {0, 2});
}

TEST(Objective, PartsAddUpToAll) {
  FitProblem problem = ThreeConditions();
  problem.free[1].prior = Prior();
  const auto objective = MakeObjective(problem);
  ASSERT_NE(objective, nullptr);
  EXPECT_EQ(objective->num_parts(), 3);
  const std::vector<double> point = StartOf(*objective);
  const Answer all = Ask(*objective, point, Wanted::kGradient);
  double value = 0;
  std::vector<double> gradient(4);
  for (int64_t part = 0; part < 3; ++part) {
    const Answer one = Ask(*objective, point, Wanted::kGradient, {part});
    value += one.value / 3;
    for (size_t e = 0; e < 4; ++e) gradient[e] += one.gradient[e] / 3;
  }
  EXPECT_NEAR(value, all.value, 1e-12 * std::fabs(value));
  ExpectClose(gradient, all.gradient, 1e-12);
}

TEST(Objective, DerivativesOfFixedStepsAndOfOtherSchemes) {
  FitProblem problem = Growth();
  problem.simulation.method_auto = false;
  problem.simulation.options.control.kind = StepControl::Kind::kFixed;
  problem.simulation.options.control.fixed_step = 0.3;
  for (const Method method : {Method::kRk4, Method::kEes25, Method::kReversibleHeun}) {
    problem.simulation.options.method = method;
    ExpectDerivatives(problem, {}, 1e-8);
  }
  problem.simulation.options.method = Method::kDopri8;
  problem.simulation.options.coupling = 0.999;
  ExpectDerivatives(problem, {}, 1e-8);
}

TEST(Objective, DerivativesOfASpanBackwards) {
  FitProblem problem = Growth();
  problem.simulation.t0 = {2};
  problem.simulation.t1 = {-1};
  problem.data = {Measured("u", {-1, 2, 0.5, 0}, {0.5, 0.9, 0.7, 0.6})};
  ExpectDerivatives(problem);
}

TEST(Objective, MethodsInReverseAgree) {
  const FitProblem problem = ThreeConditions();
  const auto forward = MakeObjective(problem);
  const std::vector<double> point = StartOf(*forward);
  const std::vector<double> expected = Ask(*forward, point, Wanted::kGradient).gradient;
  for (const GradientMethod method :
       {GradientMethod::kCheckpointed, GradientMethod::kSegmented, GradientMethod::kInterpolating,
        GradientMethod::kGauss, GradientMethod::kQuadrature}) {
    const auto objective = MakeObjective(problem, By(method));
    ASSERT_NE(objective, nullptr);
    ExpectClose(Ask(*objective, point, Wanted::kGradient).gradient, expected, 1e-6);
  }
}

// Tangents on the plain steps leave the value as it is, to the bit.
TEST(Objective, PlainStepsGiveTheSameValueForEveryQuestion) {
  FitProblem problem = Growth(1e-6);
  GradientOptions gradient = By(GradientMethod::kForward);
  gradient.tangent_control = TangentControl::kPrimalOnly;
  const auto objective = MakeObjective(problem, gradient);
  ASSERT_NE(objective, nullptr);
  const std::vector<double> point = StartOf(*objective);
  const Answer value = Ask(*objective, point, Wanted::kValue);
  const Answer by_gradient = Ask(*objective, point, Wanted::kGradient);
  const Answer rows = Ask(*objective, point, Wanted::kResiduals);
  EXPECT_EQ(value.value, by_gradient.value);
  EXPECT_EQ(value.value, rows.value);
  ExpectClose(GradientOfRows(rows), by_gradient.gradient, 1e-12);
  const auto reverse = MakeObjective(problem, By(GradientMethod::kBackprop));
  EXPECT_EQ(value.value, Ask(*reverse, point, Wanted::kGradient).value);
  ExpectClose(Ask(*reverse, point, Wanted::kGradient).gradient, by_gradient.gradient, 1e-10);
}

TEST(Objective, ValuesAreLikelihoodsWrittenByHand) {
  const std::vector<double> times = {0.5, 1, 2.5}, data = {1.7, 1.1, 0.5}, sigma = {0.2, 0.3, 0.4};
  for (const Noise noise : kNoises) {
    FitProblem problem = Decay();
    problem.data = {Measured("v", times, data, noise)};
    problem.data[0].sigma = sigma;
    problem.data[0].weight = 3;
    const auto objective = MakeObjective(problem);
    ASSERT_NE(objective, nullptr);
    double expected = 0;
    for (int i = 0; i < 3; ++i) {
      const double m = 2 * std::exp(-0.6 * times[i]), y = data[i], s = sigma[i];
      switch (noise) {
        case Noise::kGaussian:
          expected -=
              std::log(std::exp(-std::pow(y - m, 2) / (2 * s * s)) / std::sqrt(2 * M_PI * s * s));
          break;
        case Noise::kLogNormal:
          expected -= std::log(std::exp(-std::pow(std::log(y / m), 2) / (2 * s * s)) /
                               (y * std::sqrt(2 * M_PI * s * s)));
          break;
        case Noise::kLaplace:
          expected -= std::log(std::exp(-std::fabs(y - m) / s) / (2 * s));
          break;
        case Noise::kLogLaplace:
          expected -= std::log(std::exp(-std::fabs(std::log(y / m)) / s) / (2 * s * y));
          break;
      }
    }
    for (const Wanted wanted : {Wanted::kValue, Wanted::kGradient, Wanted::kResiduals}) {
      EXPECT_NEAR(Ask(*objective, {0.6}, wanted).value, 3 * expected, 1e-8);
    }
  }
}

// For Gaussian noise s are the residuals: value = s's / 2 + constant.
TEST(Objective, ResidualsOfGaussianNoiseMakeUpTheValue) {
  const auto objective = MakeObjective(Growth());
  std::vector<double> point = StartOf(*objective);
  const auto rest = [&] {
    const Answer rows = Ask(*objective, point, Wanted::kResiduals);
    double sum = 0;
    for (const double s : rows.residuals) sum += s * s;
    return rows.value - sum / 2;
  };
  const double before = rest();
  point[0] += 0.1;
  EXPECT_NEAR(rest(), before, 1e-12 * std::fabs(before));
  EXPECT_NEAR(before, 6 * std::log(0.3 * std::sqrt(2 * M_PI)), 1e-9);
}

// The mean of score times score over drawn data is J'J: the Fisher information, sigma included.
TEST(Objective, InformationIsTheVarianceOfTheScore) {
  for (const Noise noise : {Noise::kGaussian, Noise::kLogLaplace}) {
    FitProblem problem = Decay();
    problem.simulation.options.control.rtol = 1e-8;
    problem.data = {Measured("v", {0.5, 1, 2.5}, {1, 1, 1}, noise)};
    problem.data[0].sigma.clear();
    std::vector<double> expected(4), mean(4);
    std::mt19937_64 random(7);
    std::normal_distribution<double> normal;
    std::exponential_distribution<double> exponential;
    constexpr int kDraws = 4000;
    const double sigma = 0.3;
    for (int draw = 0; draw < kDraws; ++draw) {
      for (int i = 0; i < 3; ++i) {
        const double m = 2 * std::exp(-0.5 * problem.data[0].times[i]);
        const double sign = random() % 2 == 0 ? 1 : -1;
        problem.data[0].values[i] = noise == Noise::kGaussian
                                        ? m + sigma * normal(random)
                                        : m * std::exp(sigma * sign * exponential(random));
      }
      const auto objective = MakeObjective(problem);
      ASSERT_NE(objective, nullptr);
      const Answer rows = Ask(*objective, objective->ToSearch(std::vector<double>{0.5, sigma}),
                              Wanted::kResiduals, {}, /*expected=*/true);
      expected = Information(rows);  // without the data
      const std::vector<double> score = GradientOfRows(rows);
      for (int a = 0; a < 2; ++a) {
        for (int b = 0; b < 2; ++b) mean[a * 2 + b] += score[a] * score[b] / kDraws;
      }
    }
    const double size = std::sqrt(expected[0] * expected[3]);
    EXPECT_NEAR(mean[0] / expected[0], 1, 0.15);
    EXPECT_NEAR(mean[3] / expected[3], 1, 0.15);
    EXPECT_NEAR((mean[1] - expected[1]) / size, 0, 0.1);
    EXPECT_NEAR(expected[1] / size, 0, 1e-12);
    EXPECT_NEAR(expected[3], noise == Noise::kGaussian ? 6 : 3, 1e-9);  // 2 N and N
  }
}

// As many steps as the same solves through the door.
TEST(Objective, CountsTheStepsOfItsSolves) {
  FitProblem problem = Decay();
  problem.data = {Measured("v", {0.5, 1, 2.5}, {1, 1, 1})};
  const auto objective = MakeObjective(problem);
  SolveRequest solve = {.simulation = problem.simulation};
  solve.simulation.options.save.kind = SaveAt::Kind::kTimes;
  solve.simulation.options.save.times = problem.data[0].times;
  const SolveStats one = costate::testing::TestEngine().Solve(solve)->trajectories[0].stats;
  Ask(*objective, StartOf(*objective), Wanted::kValue);
  Ask(*objective, StartOf(*objective), Wanted::kValue);
  EXPECT_EQ(objective->work().accepted_steps, 2 * one.accepted_steps);
  EXPECT_EQ(objective->work().rejected_steps, 2 * one.rejected_steps);
  EXPECT_GE(objective->work().rhs_evaluations, 2 * one.rhs_evaluations);
}

TEST(Objective, MissingValuesAreLeftOut) {
  FitProblem problem = Growth();
  problem.data = {Measured("u", {1, 2, 3}, {1.2, NAN, 2.9})};
  problem.data[0].allow_missing = true;
  problem.data[0].sigma = {0.1, NAN, 0.2};
  FitProblem without = Growth();
  without.data = {Measured("u", {1, 3}, {1.2, 2.9})};
  without.data[0].sigma = {0.1, 0.2};
  const auto objective = MakeObjective(problem);
  const auto other = MakeObjective(without);
  ASSERT_NE(objective, nullptr);
  const std::vector<double> point = StartOf(*objective);
  EXPECT_NEAR(Ask(*objective, point, Wanted::kValue).value,
              Ask(*other, point, Wanted::kValue).value, 1e-8);
  EXPECT_EQ(Ask(*objective, point, Wanted::kResiduals).residuals.size(), 2u);
  ExpectDerivatives(problem);
}

TEST(Objective, AWeightOfZeroLeavesASeriesOut) {
  FitProblem problem = Growth();
  problem.data.push_back(Measured("u", {1, 2}, {50, 60}));
  problem.data[1].weight = 0;
  const auto objective = MakeObjective(problem);
  const auto other = MakeObjective(Growth());
  const std::vector<double> point = StartOf(*objective);
  EXPECT_EQ(Ask(*objective, point, Wanted::kValue).value, Ask(*other, point, Wanted::kValue).value);
  ExpectDerivatives(problem);
}

// Blows up at t = 1 / y0.
TEST(Objective, AFailedIntegrationIsAnInfiniteAnswer) {
  FitProblem problem;
  problem.simulation =
      Simulate(CompileText("param a = 0.5\nstate y = a\ny' = y^2\noutput v = y\n"), 0, 1);
  problem.data = {Measured("v", {0.5, 1}, {1, 1})};
  problem.free = {FreeOf("a")};
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    const auto objective = MakeObjective(problem, By(method));
    ASSERT_NE(objective, nullptr);
    for (const Wanted wanted : {Wanted::kValue, Wanted::kGradient, Wanted::kResiduals}) {
      const Answer bad = Ask(*objective, {2}, wanted);
      EXPECT_EQ(bad.value, std::numeric_limits<double>::infinity());
      EXPECT_TRUE(bad.gradient.empty() && bad.residuals.empty() && bad.jacobian.empty());
      EXPECT_TRUE(std::isfinite(Ask(*objective, {0.3}, wanted).value));
      EXPECT_TRUE(std::isinf(Ask(*objective, {NAN}, wanted).value));
    }
  }
}

TEST(Objective, APredictionWithoutLogarithmIsAnInfiniteAnswer) {
  FitProblem problem = Decay();
  problem.simulation.initial_state = {Scalar("y", 2)};
  problem.free = {FreeOf("y")};
  problem.data = {Measured("v", {1}, {1}, Noise::kLogNormal)};
  const auto objective = MakeObjective(problem);
  for (const Wanted wanted : {Wanted::kValue, Wanted::kGradient, Wanted::kResiduals}) {
    EXPECT_TRUE(std::isinf(Ask(*objective, {-1}, wanted).value));
  }
}

TEST(Objective, APriorsSupportEndsTheSearchThere) {
  FitProblem problem = Decay();
  problem.data = {Measured("v", {1}, {1})};
  Prior prior;
  prior.distribution = Prior::Distribution::kGamma;
  prior.a = 2;
  problem.free[0].prior = prior;
  const auto objective = MakeObjective(problem);
  EXPECT_TRUE(std::isinf(Ask(*objective, {-0.1}, Wanted::kResiduals).value));
}

TEST(Objective, ElementsBoxAndCoordinatesBelongTogether) {
  const auto objective = MakeObjective(Growth());
  ASSERT_NE(objective, nullptr);
  const std::vector<FreeElement>& elements = objective->elements();
  EXPECT_EQ(elements[0].lower, 0.01);
  EXPECT_EQ(elements[0].upper, 8);
  EXPECT_EQ(elements[0].scale, Scale::kLog);
  EXPECT_EQ(elements[0].start, 0.8);
  EXPECT_TRUE(std::isinf(elements[1].upper));
  EXPECT_DOUBLE_EQ(objective->box().lower[0], std::log(0.01));
  EXPECT_TRUE(std::isinf(objective->box().upper[2]));
  const std::vector<double> natural = {0.7, -3, 0.4};
  ExpectClose(objective->ToNatural(objective->ToSearch(natural)), natural, 1e-14);
  EXPECT_DOUBLE_EQ(objective->Slopes(objective->ToSearch(natural))[0], 0.7);
  EXPECT_EQ(objective->resolution().options.method, Method::kDopri8);  // below rtol 1e-8
}

TEST(Objective, WorkThatIsStoppedIsAnError) {
  const auto objective = MakeObjective(Growth());
  const optimise::Question question = {StartOf(*objective), Wanted::kResiduals, {}};
  const optimise::Question* pointer = &question;
  NoWorkers workers;
  const auto code = [&](const StopSource& stop) {
    return objective->Evaluate(absl::MakeConstSpan(&pointer, 1), stop, workers).status().code();
  };
  using Reason = Cancellation::Reason;
  for (const auto& [reason, expected] :
       {std::pair(Reason::kClientCancelled, absl::StatusCode::kCancelled),
        std::pair(Reason::kDeadlineExceeded, absl::StatusCode::kDeadlineExceeded),
        std::pair(Reason::kShuttingDown, absl::StatusCode::kUnavailable)}) {
    Cancellation cancellation;
    StopSource stop;
    stop.cancellation = &cancellation;
    EXPECT_EQ(code(stop), absl::StatusCode::kOk);
    cancellation.Cancel(reason);
    EXPECT_EQ(code(stop), expected);
    EXPECT_EQ(objective->Predict(question.point, stop).status().code(), expected);
  }
  StopSource late;
  late.deadline = absl::Now() - absl::Seconds(1);
  EXPECT_EQ(code(late), absl::StatusCode::kDeadlineExceeded);
}

// Cancels while pieces run.
class CancellingWorkers final : public Workers {
 public:
  explicit CancellingWorkers(Cancellation* cancellation) : cancellation_(*cancellation) {}
  int64_t width() const override { return 4; }
  void Run(int64_t count, absl::FunctionRef<void(int64_t)> piece) override {
    for (int64_t i = 0; i < count; ++i) {
      if (i == 1) cancellation_.Cancel(Cancellation::Reason::kClientCancelled);
      piece(i);
    }
  }

 private:
  Cancellation& cancellation_;
};

TEST(Objective, ACancelBetweenPiecesIsSeen) {
  const auto objective = MakeObjective(Growth());
  const optimise::Question question = {StartOf(*objective), Wanted::kResiduals, {}};
  const std::vector<const optimise::Question*> many(64, &question);
  Cancellation cancellation;
  StopSource stop;
  stop.cancellation = &cancellation;
  CancellingWorkers workers(&cancellation);
  EXPECT_EQ(objective->Evaluate(many, stop, workers).status().code(), absl::StatusCode::kCancelled);
}

TEST(Objective, AnswersToNothingAreNone) {
  const auto objective = MakeObjective(Growth());
  NoWorkers workers;
  const auto answers = objective->Evaluate({}, kNeverStops, workers);
  ASSERT_TRUE(answers.ok());
  EXPECT_TRUE(answers->empty());
}

}  // namespace
}  // namespace costate::fit

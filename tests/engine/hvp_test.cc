// Products with Hessians against closed forms, differences of gradients on the same steps, and
// products of sensitivities.
#include "engine/hvp.h"

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
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;
using ::costate::testing::TestEngine;

constexpr char kDecay[] = "model decay\nparam a = 3\nparam k = 0.7\nstate x = a\nx' = -k*x\n";

// Logistic growth driven by a second state; initial values and outputs depend on parameters.
constexpr char kLogistic[] =
    "model logistic\nparam r = 1.3\nparam c = 2.5\nparam u0 = 0.4\n"
    "state u = u0^2\nstate v = 0.3\n"
    "u' = r*u*(1 - u/c) - 0.2*u*v\nv' = sin(u) - 0.5*v*r + 0.1*t\n"
    "output load = u*v/c\noutput pair = [u^2, r*v]\n";

std::vector<double> Unit(size_t size) {
  std::vector<double> rows(size * size);
  for (size_t i = 0; i < size; ++i) rows[i * size + i] = 1;
  return rows;
}

ExpressionLoss Expressed(std::string text, std::vector<double> times) {
  ExpressionLoss term;
  term.text = std::move(text);
  term.times = std::move(times);
  return term;
}

// One of every kind of term, all curved where they can be.
Loss AllTerms() {
  Loss loss = Squares({Channel::Kind::kOutput, 0}, {0.5, 1.25, 2}, {0.1, 0.9, 0.2});
  loss.terms.push_back(Squares({Channel::Kind::kState, 1}, {1, 0.5}, {2, -1}).terms[0]);
  loss.terms.emplace_back(Linear{.times = {0, 1}, .states = {1, 2, -1, 3}, .outputs = {}});
  loss.terms.emplace_back(Linear{.times = {2}, .states = {}, .outputs = {1, -2, 0.5}});
  loss.terms.emplace_back(Terminal{.state = {1, -1}, .output = {2, 0, 1}});
  loss.terms.emplace_back(
      Expressed("r^2*sum(log(1 + load^2)*t) + c*u0*dot(u, v) + sum(pair[:, 1]^3)", {0.25, 1, 1.8}));
  loss.terms.emplace_back(IntegralLoss{"(u - c)^2 * r + load*sin(t)"});
  return loss;
}

HvpRequest LogisticRequest() {
  HvpRequest request;
  request.simulation = Simulate(CompileText(kLogistic), 0, 2, 1e-4, 1e-6);
  request.loss = AllTerms();
  request.wrt = {"r", "u0", "v", "c", "u"};
  request.vectors = Unit(5);
  return request;
}

TEST(Hvp, LeastSquaresOfADecayInClosedForm) {
  HvpRequest request;
  request.simulation = Simulate(CompileText(kDecay), 0, 2, 1e-12, 1e-14);
  request.loss = Squares({Channel::Kind::kState, 0}, {2}, {0.1});
  request.wrt = {"a", "k"};
  request.vectors = {1, 0, 0, 1, 2, -1};
  for (const bool gauss_newton : {false, true}) {
    request.gauss_newton = gauss_newton;
    const auto result = TestEngine().ComputeHvp(request);
    ASSERT_TRUE(result.ok()) << result.status();
    const double e = std::exp(-1.4), x = 3 * e, residual = gauss_newton ? 0 : x - 0.1;
    const double x_a = e, x_k = -2 * x, x_ak = -2 * e, x_kk = 4 * x;
    const double h_aa = 2 * x_a * x_a;
    const double h_ak = 2 * (x_a * x_k + residual * x_ak);
    const double h_kk = 2 * (x_k * x_k + residual * x_kk);
    const std::vector<double> expected = {h_aa, h_ak, h_ak, h_kk, 2 * h_aa - h_ak, 2 * h_ak - h_kk};
    ASSERT_EQ(result->products.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(result->products[i], expected[i], 1e-9);
    }
    EXPECT_NEAR(result->primal.loss, (x - 0.1) * (x - 0.1), 1e-10);
    EXPECT_NEAR(result->primal.gradient[1], 2 * (x - 0.1) * x_k, 1e-9);
    EXPECT_TRUE(result->primal.grid.empty());  // not asked for
  }
}

// At 1e-4 the solution is far from exact, but its Hessian is that of the steps all the same.
TEST(Hvp, IsSymmetricToRounding) {
  const auto result = TestEngine().ComputeHvp(LogisticRequest());
  ASSERT_TRUE(result.ok()) << result.status();
  double largest = 0;
  for (double h : result->products) largest = std::max(largest, std::fabs(h));
  EXPECT_GT(largest, 1);
  for (size_t i = 0; i < 5; ++i) {
    for (size_t j = 0; j < i; ++j) {
      EXPECT_NEAR(result->products[i * 5 + j], result->products[j * 5 + i], 1e-12 * largest);
      EXPECT_NE(result->products[i * 5 + j], 0);
    }
  }
}

// Central differences of backprop gradients on the recorded steps.
TEST(Hvp, IsTheDifferenceOfGradientsOnTheSameSteps) {
  HvpRequest request = LogisticRequest();
  request.simulation.initial_state = {Scalar("v", 0.35)};
  request.simulation.options.return_grid = true;
  const auto result = TestEngine().ComputeHvp(request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->primal.saved.states.size(), result->primal.saved.times.size() * 2);

  GradientRequest gradient;
  gradient.simulation = request.simulation;
  gradient.simulation.options.control.kind = StepControl::Kind::kGrid;
  gradient.simulation.options.control.grid = result->primal.grid;
  gradient.loss = request.loss;
  gradient.wrt = request.wrt;
  gradient.gradient.method = GradientMethod::kBackprop;
  const auto here = TestEngine().Differentiate(gradient);
  ASSERT_TRUE(here.ok()) << here.status();
  EXPECT_NEAR(result->primal.loss, here->trajectories[0].loss, 1e-13);

  const std::vector<std::string> moved = {"r", "u0", "c"};
  const std::vector<double> at = {1.3, 0.4, 2.5};
  const std::vector<size_t> rows = {0, 1, 3};
  const double h = 2e-5;
  for (size_t i = 0; i < moved.size() + 1; ++i) {
    std::vector<double> sides[2];
    for (int side = 0; side < 2; ++side) {
      GradientRequest other = gradient;
      const double step = side == 0 ? -h : h;
      if (i < moved.size()) {
        other.simulation.params = {Scalar(moved[i], at[i] + step)};
      } else {
        other.simulation.initial_state = {Scalar("v", 0.35 + step)};
      }
      const auto there = TestEngine().Differentiate(other);
      ASSERT_TRUE(there.ok()) << there.status();
      sides[side] = there->trajectories[0].gradient;
    }
    const size_t row = i < moved.size() ? rows[i] : 2;
    for (size_t j = 0; j < 5; ++j) {
      const double quotient = (sides[1][j] - sides[0][j]) / (2 * h);
      EXPECT_NEAR(result->products[row * 5 + j], quotient, 1e-7 + 1e-8 * std::fabs(quotient));
    }
  }
}

TEST(Hvp, IsLinearInTheVector) {
  HvpRequest request = LogisticRequest();
  const auto columns = TestEngine().ComputeHvp(request);
  request.vectors = {0.5, -1, 2, 0.25, 3};
  const auto combined = TestEngine().ComputeHvp(request);
  ASSERT_TRUE(columns.ok() && combined.ok());
  for (size_t j = 0; j < 5; ++j) {
    double sum = 0;
    for (size_t i = 0; i < 5; ++i) sum += request.vectors[i] * columns->products[i * 5 + j];
    EXPECT_NEAR(combined->products[j], sum, 1e-11 * (1 + std::fabs(sum)));
  }
}

// J' diag(2 / sigma^2) J with J from forward sensitivities on the same steps.
TEST(Hvp, GaussNewtonIsAProductOfSensitivities) {
  HvpRequest request = LogisticRequest();
  request.loss = Squares({Channel::Kind::kOutput, 0}, {0.5, 1.25, 2}, {0.1, 0.9, 0.2});
  request.gauss_newton = true;
  request.simulation.options.return_grid = true;
  const auto result = TestEngine().ComputeHvp(request);
  ASSERT_TRUE(result.ok()) << result.status();

  SensitivityRequest sensitivities;
  sensitivities.simulation = request.simulation;
  sensitivities.simulation.options.control.kind = StepControl::Kind::kGrid;
  sensitivities.simulation.options.control.grid = result->primal.grid;
  ::costate::testing::SaveTimes(&sensitivities.simulation, {0.5, 1.25, 2});
  sensitivities.wrt = request.wrt;
  const auto j = TestEngine().ComputeSensitivities(sensitivities);
  ASSERT_TRUE(j.ok()) << j.status();
  for (size_t a = 0; a < 5; ++a) {
    for (size_t b = 0; b < 5; ++b) {
      double sum = 0;
      for (size_t k = 0; k < 3; ++k) {
        sum += 2 * j->outputs[(k * 3) * 5 + a] * j->outputs[(k * 3) * 5 + b];
      }
      EXPECT_NEAR(result->products[a * 5 + b], sum, 1e-12);
    }
  }
}

// Where every residual is 0 the two are the same; an expression of the squares is as good.
TEST(Hvp, GaussNewtonIsTheHessianWhereTheDataFit) {
  HvpRequest request = LogisticRequest();
  request.simulation.options.return_grid = true;
  request.loss = Squares({Channel::Kind::kOutput, 0}, {0.5, 1.25, 2}, {0, 0, 0});
  const auto first = TestEngine().ComputeHvp(request);
  ASSERT_TRUE(first.ok()) << first.status();
  const SavedValues& saved = first->primal.saved;
  ExpressionLoss squares = Expressed("sum((load - d)^2)", {0.5, 1.25, 2});
  squares.data = {{.name = "d",
                   .shape = {3},
                   .values = {saved.outputs[0], saved.outputs[3], saved.outputs[6]}}};
  request.loss.terms = {squares};
  const auto full = TestEngine().ComputeHvp(request);
  request.gauss_newton = true;
  const auto part = TestEngine().ComputeHvp(request);
  ASSERT_TRUE(full.ok() && part.ok()) << full.status() << part.status();
  EXPECT_EQ(full->primal.loss, 0);
  double largest = 0;
  for (size_t i = 0; i < 25; ++i) {
    EXPECT_NEAR(full->products[i], part->products[i], 1e-13);
    largest = std::max(largest, std::fabs(part->products[i]));
  }
  EXPECT_GT(largest, 0.01);
}

// L = k^2 x(t0) with x(t0) = a: no dynamics at all, H = [[0, 2k], [2k, 2a]].
TEST(Hvp, ParametersInTheLossItself) {
  HvpRequest request;
  request.simulation = Simulate(CompileText(kDecay), 0, 1);
  request.loss.terms = {Expressed("k^2*sum(x)", {0})};
  request.wrt = {"a", "k"};
  request.vectors = Unit(2);
  for (const bool gauss_newton : {false, true}) {
    request.gauss_newton = gauss_newton;
    const auto result = TestEngine().ComputeHvp(request);
    ASSERT_TRUE(result.ok()) << result.status();
    const std::vector<double> expected = {0, 1.4, 1.4, 6};
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(result->products[i], expected[i], 1e-12);
  }
}

TEST(Hvp, NaNWhereTheSolveEndsEarly) {
  HvpRequest request = LogisticRequest();
  request.simulation.options.max_steps = 2;
  const auto result = TestEngine().ComputeHvp(request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->primal.termination.reason, Termination::Reason::kMaxSteps);
  EXPECT_TRUE(std::isnan(result->products[0]));
  EXPECT_TRUE(std::isnan(result->primal.loss));
}

TEST(Hvp, RefusesWhatItCannotDo) {
  const auto field = [](const HvpRequest& request) {
    const absl::Status status = TestEngine().ComputeHvp(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return FieldOf(status).value_or("none");
  };
  HvpRequest request = LogisticRequest();
  request.wrt = {"r", "t1"};
  EXPECT_EQ(field(request), "wrt[1]");
  request = LogisticRequest();
  request.vectors.pop_back();
  EXPECT_EQ(field(request), "vectors");
  request.vectors.clear();
  EXPECT_EQ(field(request), "vectors");
  request.vectors = {0, 0, 0, NAN, 0};
  EXPECT_EQ(field(request), "vectors[3]");
  request = LogisticRequest();
  request.gauss_newton = true;
  EXPECT_EQ(field(request), "loss.terms[6].integral");
  request = LogisticRequest();
  request.simulation.params = {Batch("r", {1, 2})};
  EXPECT_EQ(field(request), "simulation");
}

}  // namespace
}  // namespace costate

// Capability suite of the methods: orders, exactness, error control, dense output.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "engine/solvers/stepper.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/solvers/method_suite.h"
#include "tests/engine/solvers/solve_testing.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

using testing::HasSubstr;

const MethodClaims kMethods[] = {
    {.method = Method::kEuler,
     .name = "euler",
     .order = 1,
     .error_order = 0,
     .dense_order = 1,
     .fsal = false,
     .quadrature_order = 1,
     .coarse_steps = 200},
    {.method = Method::kMidpoint,
     .name = "midpoint",
     .order = 2,
     .error_order = 1,
     .dense_order = 2,
     .fsal = false,
     .quadrature_order = 2,
     .coarse_steps = 40},
    {.method = Method::kHeun,
     .name = "heun",
     .order = 2,
     .error_order = 1,
     .dense_order = 2,
     .fsal = false,
     .quadrature_order = 2,
     .coarse_steps = 40},
    {.method = Method::kRalston2,
     .name = "ralston2",
     .order = 2,
     .error_order = 1,
     .dense_order = 2,
     .fsal = false,
     .quadrature_order = 3,
     .coarse_steps = 40},
    {.method = Method::kRalston3,
     .name = "ralston3",
     .order = 3,
     .error_order = 2,
     .dense_order = 3,
     .fsal = false,
     .quadrature_order = 3,
     .coarse_steps = 40},
    {.method = Method::kBosh3,
     .name = "bosh3",
     .order = 3,
     .error_order = 2,
     .dense_order = 3,
     .fsal = true,
     .quadrature_order = 3,
     .coarse_steps = 40},
    {.method = Method::kRk4,
     .name = "rk4",
     .order = 4,
     .error_order = 0,
     .dense_order = 3,
     .fsal = false,
     .quadrature_order = 4,
     .coarse_steps = 40},
    {.method = Method::kTsit5,
     .name = "tsit5",
     .order = 5,
     .error_order = 4,
     .dense_order = 4,
     .fsal = true,
     .quadrature_order = 5,
     .coarse_steps = 32},
    {.method = Method::kDopri5,
     .name = "dopri5",
     .order = 5,
     .error_order = 4,
     .dense_order = 4,
     .fsal = true,
     .quadrature_order = 5,
     .coarse_steps = 160},
    {.method = Method::kDopri8,
     .name = "dopri8",
     .order = 8,
     .error_order = 7,
     .dense_order = 7,
     .fsal = false,
     .quadrature_order = 9,
     .coarse_steps = 16},
    {.method = Method::kEes25,
     .name = "ees25",
     .order = 2,
     .error_order = 1,
     .dense_order = 2,
     .fsal = false,
     .quadrature_order = 4,
     .coarse_steps = 40},
    {.method = Method::kEes27,
     .name = "ees27",
     .order = 2,
     .error_order = 1,
     .dense_order = 2,
     .fsal = false,
     .quadrature_order = 4,
     .coarse_steps = 40},
};

class MethodTest : public testing::TestWithParam<MethodClaims> {
 protected:
  const MethodClaims& claims = GetParam();
};

TEST_P(MethodTest, DeclaresItsClaims) {
  const MethodInfo& info = GetMethodInfo(claims.method);
  EXPECT_EQ(info.method, claims.method);
  EXPECT_EQ(info.name, claims.name);
  EXPECT_EQ(info.order, claims.order);
  EXPECT_EQ(info.error_order, claims.error_order);
  EXPECT_EQ(info.dense_order, claims.dense_order);
  EXPECT_EQ(info.fsal, claims.fsal);
  EXPECT_FALSE(info.citation.empty());
}

// Kepler's orbit of eccentricity 0.5 over [0, 2]: the largest error of what `save` keeps.
constexpr double kEccentricity = 0.5;

double KeplerError(Method method, double steps, const SaveAt& save) {
  const GenericMap<Kepler> field;
  OwnedProblem problem{.t1 = {2}, .y0 = {0, 0, 0, 0}, .params = {1}};
  Kepler::Orbit(0, kEccentricity, problem.y0.data());
  SolveOptions options = FixedSteps(method, 2 / steps);
  options.save = save;
  const Trajectory solution = Solve(field, problem, options)[0];
  double largest = 0;
  for (size_t i = 0; i < solution.times.size(); ++i) {
    double exact[4];
    Kepler::Orbit(solution.times[i], kEccentricity, exact);
    for (int e = 0; e < 4; ++e) {
      largest = std::max(largest, std::abs(solution.states[4 * i + e] - exact[e]));
    }
  }
  return largest;
}

double KeplerOrder(const MethodClaims& claims, const SaveAt& save) {
  std::vector<double> steps, errors;
  for (const double refinement : {1.0, 1.5, 2.0, 2.5, 3.0}) {
    steps.push_back(claims.coarse_steps * refinement);
    errors.push_back(KeplerError(claims.method, steps.back(), save));
  }
  EXPECT_GT(errors.back(), 1e-14) << "too close to rounding to judge";
  return ObservedOrder(steps, errors);
}

TEST_P(MethodTest, HasItsOrderAtTheSteps) {
  SaveAt save;
  save.kind = SaveAt::Kind::kSteps;
  EXPECT_NEAR(KeplerOrder(claims, save), claims.order, 0.2);
}

// Inside a step the dense output adds O(h^(dense_order + 1)) once, so that globally the order is
// min(order, dense_order + 1).
TEST_P(MethodTest, HasItsOrderBetweenSteps) {
  SaveAt save;
  save.kind = SaveAt::Kind::kTimes;
  for (int i = 1; i < 997; ++i) save.times.push_back(2 * i / 997.0);
  EXPECT_NEAR(KeplerOrder(claims, save), std::min(claims.order, claims.dense_order + 1), 0.2);
}

// One step from exact data has an error of order dense_order + 1 inside it.
TEST_P(MethodTest, DenseOutputHasItsLocalOrder) {
  const GenericMap<Kepler> field;
  absl::StatusOr<std::unique_ptr<Stepper>> stepper = MakeStepper(claims.method, field, 1);
  ASSERT_TRUE(stepper.ok());
  const double p[] = {1};
  double y0[4];
  Kepler::Orbit(0.3, kEccentricity, y0);
  std::vector<double> steps, errors;
  for (const double refinement : {1.0, 1.5, 2.0, 2.5, 3.0}) {
    const double h = (claims.order == 8 ? 0.2 : 0.03) / refinement;
    (*stepper)->Reset(0, 0, y0, p, nullptr);
    (*stepper)->Step(&h);
    double largest = 0;
    for (int i = 1; i < 20; ++i) {
      double y[4], exact[4];
      (*stepper)->Interpolate(0, i / 20.0, y);
      Kepler::Orbit(0.3 + i / 20.0 * h, kEccentricity, exact);
      for (int e = 0; e < 4; ++e) largest = std::max(largest, std::abs(y[e] - exact[e]));
    }
    steps.push_back(refinement);
    errors.push_back(largest);
  }
  EXPECT_GT(errors.back(), 1e-14) << "too close to rounding to judge";
  EXPECT_NEAR(ObservedOrder(steps, errors), claims.dense_order + 1, 0.2);
}

// y_i' = (i + 1) p_i t^i is integrated exactly for i < quadrature_order, and not beyond.
TEST_P(MethodTest, IntegratesPolynomialsUpToItsOrder) {
  const GenericMap<Monomials> field;
  const OwnedProblem problem{
      .t1 = {1.7}, .y0 = std::vector<double>(9, 0.0), .params = std::vector<double>(9, 1.0)};
  const Trajectory solution = Solve(field, problem, FixedSteps(claims.method, 0.85))[0];
  double exact[9];
  Monomials::Solution(1.7, problem.y0.data(), problem.params.data(), exact);
  for (int i = 0; i < 9; ++i) {
    const double error = std::abs(solution.states[i] / exact[i] - 1);
    if (i < claims.quadrature_order) {
      EXPECT_LT(error, 1e-14) << "t^" << i;
    }
    if (i == claims.quadrature_order) {
      EXPECT_GT(error, 1e-7) << "t^" << i;
    }
  }
}

TEST_P(MethodTest, AdaptiveErrorFollowsTheTolerance) {
  const GenericMap<Oscillator> field;
  OwnedProblem problem{.t1 = {6}, .y0 = {1, 0}, .params = {2}};
  if (claims.error_order == 0) {
    const absl::Status status =
        ValidateSolve(problem.View(field), Adaptive(claims.method, 1e-4, 1e-6));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(FieldOf(status), "method");
    EXPECT_THAT(std::string(status.message()), HasSubstr("tsit5"));
    return;
  }
  std::vector<double> errors;
  const double loosest = claims.order == 2 ? 1e-3 : 1e-4;
  for (int i = 0; i < 4; ++i) {
    const double tolerance = loosest * std::pow(10, -i);
    const Trajectory solution =
        Solve(field, problem, Adaptive(claims.method, tolerance, tolerance))[0];
    EXPECT_EQ(solution.termination.reason, Termination::Reason::kReachedEnd);
    double exact[2];
    Oscillator::Solution(6, problem.y0.data(), problem.params.data(), exact);
    errors.push_back(std::hypot(solution.states[0] - exact[0], solution.states[1] - exact[1]));
    EXPECT_LT(errors.back(), 100 * tolerance);
  }
  // Error per step is held at the tolerance and the step goes as tol^(1/k), k = error_order + 1;
  // the global error of local extrapolation goes as h^order = tol^(order/k).
  const double expected = static_cast<double>(claims.order) / (claims.error_order + 1);
  const double slope = (std::log10(errors.front()) - std::log10(errors.back())) / 3;
  EXPECT_NEAR(slope, expected, 0.25);
}

// Fewer evaluations with FSAL, one more to begin with.
TEST_P(MethodTest, CountsEvaluations) {
  const GenericMap<Oscillator> field;
  const OwnedProblem problem{.t1 = {1}, .y0 = {1, 0}, .params = {2}};
  const Trajectory solution = Solve(field, problem, FixedSteps(claims.method, 0.1))[0];
  const int64_t stages = GetMethodInfo(claims.method).stages;
  EXPECT_EQ(solution.stats.accepted_steps, 10);
  EXPECT_EQ(solution.stats.rhs_evaluations, claims.fsal ? 1 + 10 * (stages - 1) : 10 * stages);
}

// Steps that hold saved values evaluate the extra stages once; their end derivative, if it is one
// of them, begins the next step.
TEST_P(MethodTest, CountsEvaluationsOfDenseOutput) {
  const GenericMap<Oscillator> field;
  const OwnedProblem problem{.t1 = {1}, .y0 = {1, 0}, .params = {2}};
  SolveOptions options = FixedSteps(claims.method, 0.1);
  const int64_t plain = Solve(field, problem, options)[0].stats.rhs_evaluations;
  SaveTimes(&options, {0.11, 0.12, 0.13, 0.55});
  const int64_t dense = Solve(field, problem, options)[0].stats.rhs_evaluations;
  const int64_t extra = GetMethodInfo(claims.method).extra_stages;
  EXPECT_EQ(dense - plain, extra == 0 ? 0 : 2 * (extra - 1));
}

TEST_P(MethodTest, IntegratesBackwards) {
  const GenericMap<Driven> field;
  double end[2];
  const double start[] = {1, 1.5}, p[] = {1.3};
  Driven::Solution(2, start, p, end);
  const OwnedProblem problem{.t0 = {2}, .t1 = {0}, .y0 = {end[0], end[1]}, .params = {1.3}};
  SolveOptions options = FixedSteps(claims.method, claims.order == 1 ? 1e-4 : 1e-2);
  SaveTimes(&options, {2, 1.503, 1, 0.25, 0});
  const Trajectory solution = Solve(field, problem, options)[0];
  for (size_t i = 0; i < 5; ++i) {
    double exact[2];
    Driven::Solution(options.save.times[i], start, p, exact);
    EXPECT_NEAR(solution.states[2 * i], exact[0], 1e-3);
    EXPECT_NEAR(solution.states[2 * i + 1], exact[1], 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(All, MethodTest, testing::ValuesIn(kMethods),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(AllMethods, AreAllInTheSuite) {
  EXPECT_EQ(RungeKuttaMethods().size(), std::size(kMethods));
  for (const MethodClaims& claims : kMethods) {
    EXPECT_EQ(std::count(RungeKuttaMethods().begin(), RungeKuttaMethods().end(), claims.method), 1);
  }
}

TEST(MakeStepper, RefusesOtherLaneCounts) {
  const GenericMap<Decay> field(Decay(), 4);
  EXPECT_TRUE(MakeStepper(Method::kTsit5, field, 4).ok());
  EXPECT_TRUE(MakeStepper(Method::kTsit5, field, 1).ok());
  EXPECT_EQ(MakeStepper(Method::kTsit5, field, 2).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeStepper(Method::kTsit5, field, 3).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace costate

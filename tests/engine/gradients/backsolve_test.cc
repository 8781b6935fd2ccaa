// Backsolve: what it keeps, and that it tells what it could not reconstruct.
#include <cmath>
#include <string>
#include <vector>

#include "engine/gradients/backward_solve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/continuous_testing.h"

namespace costate {
namespace {

using ::costate::testing::Adjoint;
using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;
using ::costate::testing::Tolerance;

TEST(Backsolve, MeasuresReconstructionAndKeepsSaveTimesOnly) {
  const MixedProblem mixed;
  SolveOptions options = Tolerance(1e-8);
  Adjoint solved(GradientMethod::kBacksolve, mixed.problem(), options);
  EXPECT_TRUE(std::isnan(solved.method().stats().reconstruction_error));
  ASSERT_TRUE(solved.PullBack({}, {}, {1, 2, 3}).ok());
  const AdjointStats stats = solved.method().stats();
  EXPECT_GT(stats.reconstruction_error, 1e-3);
  EXPECT_LT(stats.reconstruction_error, 1e3);
  EXPECT_EQ(stats.peak_stored_bytes, 8 * (4 + 3));  // t1 and y(t1) as saved, and the end state
  EXPECT_GT(stats.backward_steps, 10);
}

// y -> K within rounding: the way back is lost, and whatever comes out says so.
TEST(Backsolve, TellsWhatCannotBeReconstructed) {
  const GenericMap<Logistic> field;
  const std::vector<double> y0 = {0.5}, p = {4.0, 1.0};
  const double t0 = 0;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.y0 = y0;
  problem.params = p;
  for (const double t1 : {6.0, 12.0, 20.0}) {
    problem.t1 = absl::MakeConstSpan(&t1, 1);
    Adjoint solved(GradientMethod::kBacksolve, problem, Tolerance(1e-8));
    const auto result = solved.PullBack({}, {}, {1.0});
    EXPECT_GT(solved.method().stats().reconstruction_error, 1e3) << t1;
    if (!result.ok()) {
      EXPECT_TRUE(BackwardEnd(result.status()).has_value()) << result.status();
      EXPECT_THAT(std::string(result.status().message()), ::testing::HasSubstr("use backprop"));
    }
  }
}

// The same solve, with states stored often enough to start from.
TEST(Backsolve, SaveTimesRestoreIt) {
  const GenericMap<Logistic> field;
  const std::vector<double> y0 = {0.5}, p = {4.0, 1.0};
  const double t0 = 0, t1 = 6;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&t1, 1);
  problem.y0 = y0;
  problem.params = p;
  SolveOptions options = Tolerance(1e-8);
  options.save.kind = SaveAt::Kind::kTimes;
  for (int i = 0; i <= 60; ++i) options.save.times.push_back(0.1 * i);
  options.save.times.back() = t1;
  Adjoint solved(GradientMethod::kBacksolve, problem, options);
  const auto result = solved.PullBack(options.save.times, std::vector<double>(61), {1.0});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_LT(solved.method().stats().reconstruction_error, 1e3);
  // dy/dy0 = e^{rt} K^2 / (K + y0 (e^{rt} - 1))^2 with K = 1
  const double e = std::exp(p[0] * t1), expected = e / std::pow(1 + y0[0] * (e - 1), 2);
  EXPECT_NEAR(result->initial_state[0], expected, 1e-5 * expected);
}

TEST(Backsolve, KeepsTheBudget) {
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kAdaptive);
  AdjointOptions adjoint;
  adjoint.memory_budget = 100;
  Adjoint refused(GradientMethod::kBacksolve, mixed.problem(), options, adjoint);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace costate

// Tangents carried along a solve against complex steps through an independent solve on the same
// grid, and the contracts of tangent error control.
#include "engine/gradients/forward.h"

#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

using ::costate::testing::FrozenSolution;
using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;

constexpr int kColumns = MixedProblem::kColumns;

// Unit seeds for the chosen columns of the problem.
TangentSeeds Seeds(const MixedProblem& mixed, const std::vector<int>& columns) {
  TangentSeeds seeds;
  const size_t count = columns.size();
  seeds.num_columns = static_cast<int64_t>(count);
  seeds.initial.resize(3 * count);
  seeds.params.resize(4 * count);
  seeds.t0.resize(count);
  seeds.t1.resize(count);
  seeds.scale.assign(count, 1.0);
  for (size_t q = 0; q < count; ++q) {
    const int column = columns[q];
    if (column < 3) seeds.initial[column * count + q] = 1;
    if (column >= 3 && column < 7) {
      seeds.params[(column - 3) * count + q] = 1;
      seeds.scale[q] = std::fabs(mixed.params[column - 3]);
    }
    if (column == 7) seeds.t0[q] = 1;
    if (column == 8) seeds.t1[q] = 1;
  }
  return seeds;
}

std::vector<int> AllColumns() {
  std::vector<int> columns(kColumns);
  for (int q = 0; q < kColumns; ++q) columns[q] = q;
  return columns;
}

TangentResult SolveColumns(const MixedProblem& mixed, const SolveOptions& options,
                           const std::vector<int>& columns, TangentControl control) {
  const TangentSeeds seeds = Seeds(mixed, columns);
  auto result = SolveWithTangents(mixed.problem(), options, seeds, control);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

// [rows, columns] element.
double At(const std::vector<double>& tangents, size_t row, int column) {
  return tangents[row * kColumns + column];
}

// Rounding is relative to the largest derivative of the column: small ones come from cancellation.
double Size(const FrozenSolution<double>& derivative) {
  double size = 1;
  for (const double value : derivative.saved) size = std::max(size, std::fabs(value));
  for (const double value : derivative.terminal) size = std::max(size, std::fabs(value));
  return size;
}

void ExpectMatchesComplexStep(const MixedProblem& mixed, const SolveOptions& options,
                              TangentControl control) {
  const TangentResult result = SolveColumns(mixed, options, AllColumns(), control);
  const std::vector<double>& times = options.save.times;
  ASSERT_EQ(result.tangents.size(), times.size() * 3 * kColumns);
  for (int column = 0; column < kColumns; ++column) {
    const FrozenSolution<double> expected =
        mixed.Derivative(options.method, result.trajectory.grid, times, column);
    const double tolerance = ::costate::testing::Rounding(options.method) * Size(expected);
    for (size_t row = 0; row < expected.saved.size(); ++row) {
      EXPECT_NEAR(At(result.tangents, row, column), expected.saved[row], tolerance)
          << "column " << column << " row " << row;
    }
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(At(result.terminal, i, column), expected.terminal[i], tolerance)
          << "column " << column << " terminal " << i;
    }
  }
}

class EveryMethod : public ::testing::TestWithParam<std::tuple<Method, Steps>> {
 protected:
  SolveOptions Options(const MixedProblem& mixed) const {
    return MixedOptions(mixed, std::get<0>(GetParam()), std::get<1>(GetParam()));
  }
};

TEST_P(EveryMethod, MatchesComplexStep) {
  const MixedProblem mixed;
  ExpectMatchesComplexStep(mixed, Options(mixed), TangentControl::kPrimalOnly);
}

TEST_P(EveryMethod, MatchesComplexStepBackwardsInFullControl) {
  MixedProblem mixed;
  std::swap(mixed.t0, mixed.t1);
  ExpectMatchesComplexStep(mixed, Options(mixed), TangentControl::kFull);
}

TEST_P(EveryMethod, PrimalOnlyKeepsTheBitsOfThePlainSolve) {
  const MixedProblem mixed;
  const SolveOptions options = Options(mixed);
  const auto plain = Integrate(mixed.problem(), options);
  ASSERT_TRUE(plain.ok()) << plain.status();
  const TangentResult with =
      SolveColumns(mixed, options, AllColumns(), TangentControl::kPrimalOnly);
  EXPECT_EQ(with.trajectory.grid, (*plain)[0].grid);
  EXPECT_EQ(with.trajectory.states, (*plain)[0].states);
}

TEST_P(EveryMethod, ColumnsDoNotDependOnTheirCompany) {
  const MixedProblem mixed;
  const SolveOptions options = Options(mixed);
  const TangentResult all = SolveColumns(mixed, options, AllColumns(), TangentControl::kPrimalOnly);
  for (int column = 0; column < kColumns; ++column) {
    const TangentResult one = SolveColumns(mixed, options, {column}, TangentControl::kPrimalOnly);
    for (size_t row = 0; row < one.tangents.size(); ++row) {
      ASSERT_EQ(one.tangents[row], At(all.tangents, row, column)) << column << " " << row;
    }
    for (size_t i = 0; i < 3; ++i) ASSERT_EQ(one.terminal[i], At(all.terminal, i, column));
  }
}

std::string Name(const ::testing::TestParamInfo<std::tuple<Method, Steps>>& info) {
  const char* const steps[] = {"fixed", "adaptive", "grid"};
  return std::string(GetMethodInfo(std::get<0>(info.param)).name) + "_" +
         steps[static_cast<int>(std::get<1>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryMethod,
    ::testing::Combine(::testing::ValuesIn(RungeKuttaMethods().begin(), RungeKuttaMethods().end()),
                       ::testing::Values(Steps::kFixed, Steps::kAdaptive, Steps::kGrid)),
    Name);

TEST(SolveWithTangents, SavesAtStepsMoveWithTheEnds) {
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kFixed);
  options.save = {.kind = SaveAt::Kind::kSteps, .times = {}, .every = 3};
  const TangentResult result = SolveColumns(mixed, options, AllColumns(), TangentControl::kFull);
  const size_t rows = result.trajectory.times.size();
  ASSERT_EQ(result.tangents.size(), rows * 3 * kColumns);
  for (size_t i = 0; i < 3; ++i) {
    for (int column = 0; column < kColumns; ++column) {
      EXPECT_EQ(At(result.tangents, i, column), i == static_cast<size_t>(column) ? 1.0 : 0.0);
      EXPECT_EQ(At(result.tangents, (rows - 1) * 3 + i, column), At(result.terminal, i, column));
    }
  }
}

TEST(SolveWithTangents, EndOnlyIsTheTerminalRow) {
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, Method::kDopri5, Steps::kAdaptive);
  options.save = {};
  const TangentResult result = SolveColumns(mixed, options, AllColumns(), TangentControl::kFull);
  EXPECT_EQ(result.tangents, result.terminal);
  EXPECT_EQ(result.trajectory.states, result.terminal_state);
}

TEST(SolveWithTangents, EarlyEndLeavesNaN) {
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kFixed);
  options.max_steps = 8;  // reaches t = 1.85 of 3
  const TangentResult result = SolveColumns(mixed, options, AllColumns(), TangentControl::kFull);
  EXPECT_EQ(result.trajectory.termination.reason, Termination::Reason::kMaxSteps);
  const size_t reached = static_cast<size_t>(result.trajectory.num_reached);
  ASSERT_EQ(reached, 4u);
  ASSERT_EQ(result.tangents.size(), options.save.times.size() * 3 * kColumns);
  for (size_t i = 0; i < result.tangents.size(); ++i) {
    EXPECT_EQ(std::isnan(result.tangents[i]), i >= reached * 3 * kColumns);
  }
  for (const double value : result.terminal) EXPECT_TRUE(std::isnan(value));
  for (const double value : result.terminal_state) EXPECT_TRUE(std::isnan(value));
}

TEST(SolveWithTangents, RefusesSeedsThatDoNotFit) {
  const MixedProblem mixed;
  TangentSeeds seeds = Seeds(mixed, {0, 1});
  seeds.initial.pop_back();
  EXPECT_EQ(SolveWithTangents(mixed.problem(), {}, seeds, TangentControl::kFull).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(SolveWithTangents, CancellationEndsTheSolve) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kAdaptive);
  const TangentSeeds seeds = Seeds(mixed, AllColumns());
  Cancellation cancellation;
  cancellation.Cancel(Cancellation::Reason::kClientCancelled);
  IntegrateHooks hooks;
  hooks.cancellation = &cancellation;
  const auto result =
      SolveWithTangents(mixed.problem(), options, seeds, TangentControl::kFull, hooks);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->trajectory.termination.reason, Termination::Reason::kCancelled);
}

}  // namespace
}  // namespace costate

// States looked up after a solve have the bits the solve saved, however few of them were kept.
#include "engine/gradients/dense_states.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;

constexpr int64_t kPlenty = 1 << 30;

std::vector<double> ManyTimes(const MixedProblem& mixed) {
  std::vector<double> times;
  for (int i = 0; i <= 200; ++i) times.push_back(mixed.t0 + i / 200.0 * (mixed.t1 - mixed.t0));
  times.back() = mixed.t1;
  return times;
}

std::vector<double> Times(const DenseStates& states) {
  std::vector<double> times;
  for (int64_t i = 0; i <= states.num_steps(); ++i) times.push_back(states.time(i));
  return times;
}

// Evaluates at the save times from last to first, as adjoints do, then in a scattered order.
void ExpectSavedBits(DenseStates& states, const Trajectory& trajectory) {
  const int64_t rows = static_cast<int64_t>(trajectory.times.size());
  std::vector<double> y(3);
  const auto check = [&](int64_t row) {
    states.Evaluate(trajectory.times[row], y.data());
    for (int e = 0; e < 3; ++e) ASSERT_EQ(y[e], trajectory.states[row * 3 + e]) << row;
  };
  for (int64_t row = rows; row-- > 0;) check(row);
  for (int64_t i = 0; i < rows; ++i) check(i * 77 % rows);
}

class DenseStatesTest : public ::testing::TestWithParam<Method> {};

TEST_P(DenseStatesTest, HasTheBitsOfTheSolve) {
  for (const bool backwards : {false, true}) {
    MixedProblem mixed;
    if (backwards) std::swap(mixed.t0, mixed.t1);
    SolveOptions options = MixedOptions(mixed, GetParam(), Steps::kAdaptive);
    if (GetMethodInfo(GetParam()).error_order == 0) {
      options = MixedOptions(mixed, GetParam(), Steps::kFixed);
    }
    options.save.times = ManyTimes(mixed);
    for (const int64_t every : {1, 2, 3, 1000}) {
      const Problem problem = mixed.problem();
      auto states = DenseStates::Create(GetParam(), mixed.field, mixed.params,
                                        {.every = every, .max_bytes = kPlenty});
      ASSERT_TRUE(states.ok()) << states.status();
      IntegrateHooks hooks;
      hooks.companions = {states->get()};
      const auto solved = Integrate(problem, options, hooks);
      ASSERT_TRUE(solved.ok()) << solved.status();
      EXPECT_EQ((*states)->num_steps(), (*solved)[0].stats.accepted_steps);
      EXPECT_THAT(Times(**states), ::testing::ElementsAreArray((*solved)[0].grid));
      ExpectSavedBits(**states, (*solved)[0]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, DenseStatesTest,
                         ::testing::ValuesIn(RungeKuttaMethods().begin(),
                                             RungeKuttaMethods().end()),
                         [](const auto& info) {
                           return std::string(GetMethodInfo(info.param).name);
                         });

struct ThousandSteps {
  MixedProblem mixed;
  std::unique_ptr<DenseStates> states;
  absl::StatusOr<std::vector<Trajectory>> solved;
  explicit ThousandSteps(DenseStates::Options limits) {
    SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kFixed);
    options.control.fixed_step = (mixed.t1 - mixed.t0) / 1000;
    options.save.times = ManyTimes(mixed);
    states = DenseStates::Create(options.method, mixed.field, mixed.params, limits).value();
    IntegrateHooks hooks;
    hooks.companions = {states.get()};
    solved = Integrate(mixed.problem(), options, hooks);
  }
};

TEST(DenseStatesBudget, KeepsFewerStatesToFit) {
  ThousandSteps all({.max_bytes = kPlenty});
  ASSERT_TRUE(all.solved.ok());
  EXPECT_GT(all.states->bytes(), 8 * 1001 * 4);
  EXPECT_EQ(all.states->num_steps(), 1000);
  for (const int64_t budget : {25'000, 18'000, 14'000}) {
    ThousandSteps thin({.max_bytes = budget});
    ASSERT_TRUE(thin.solved.ok()) << thin.solved.status();
    ExpectSavedBits(*thin.states, (*thin.solved)[0]);
    EXPECT_LE(thin.states->bytes(), budget);
    EXPECT_GT(thin.states->recomputed_steps(), all.states->recomputed_steps());
  }
}

TEST(DenseStatesBudget, RefusesWithWhatWouldFit) {
  ThousandSteps none({.max_bytes = 9'000});  // the step times alone are 8,008
  EXPECT_EQ(none.solved.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(none.solved.status().message()),
              ::testing::HasSubstr("these need no fewer than"));
  ThousandSteps fixed({.every = 1, .max_bytes = 16'000});
  EXPECT_EQ(fixed.solved.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(fixed.solved.status().message()), ::testing::HasSubstr("would fit in"));
}

TEST(DenseStatesPieces, CutWhereStepsMeet) {
  ThousandSteps run({.max_bytes = kPlenty});
  const std::vector<double> grid = Times(*run.states);
  std::vector<double> seen;
  double end = 0;
  run.states->ForEachPiece(0.5 * (grid[500] + grid[501]), grid[497], [&](double from, double to) {
    seen.push_back(from);
    end = to;
  });
  EXPECT_THAT(
      seen, ::testing::ElementsAre(0.5 * (grid[500] + grid[501]), grid[500], grid[499], grid[498]));
  EXPECT_EQ(end, grid[497]);
}

}  // namespace
}  // namespace costate

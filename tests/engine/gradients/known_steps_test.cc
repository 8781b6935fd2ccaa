#include "engine/gradients/known_steps.h"

#include <vector>

#include "engine/solvers/integrate.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;

// As many as the solve then takes, for steps that divide the span and for others.
TEST(KnownNumberOfSteps, IsWhatTheSolveTakes) {
  const MixedProblem mixed;
  const Problem problem = mixed.problem();
  SolveOptions options = MixedOptions(mixed, Method::kRk4, Steps::kFixed);
  for (const double step : {0.2, 0.275, 2.75, 5.0, 2.75 / 3, 2.75 / 1000}) {
    options.control.fixed_step = step;
    const auto solved = Integrate(problem, options);
    ASSERT_TRUE(solved.ok()) << solved.status();
    EXPECT_EQ(KnownNumberOfSteps(problem, options), (*solved)[0].stats.accepted_steps) << step;
  }
  options.max_steps = 10;
  EXPECT_EQ(KnownNumberOfSteps(problem, options), 10);
}

TEST(KnownNumberOfSteps, IsThatOfTheGridAndUnknownWithErrorControl) {
  const MixedProblem mixed;
  const Problem problem = mixed.problem();
  const SolveOptions grid = MixedOptions(mixed, Method::kRk4, Steps::kGrid);
  EXPECT_EQ(KnownNumberOfSteps(problem, grid), static_cast<int64_t>(grid.control.grid.size()) - 1);
  const SolveOptions adaptive = MixedOptions(mixed, Method::kTsit5, Steps::kAdaptive);
  EXPECT_FALSE(KnownNumberOfSteps(problem, adaptive).has_value());
}

}  // namespace
}  // namespace costate

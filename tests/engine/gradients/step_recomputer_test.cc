#include "engine/gradients/step_recomputer.h"

#include <algorithm>
#include <vector>

#include "engine/solvers/integrate.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;

class EveryMethod : public ::testing::TestWithParam<Method> {};

// From any step on, whatever the solve did before: interpolation for saved values, rejected steps.
TEST_P(EveryMethod, StepsHaveTheirBitsAgain) {
  const MixedProblem mixed;
  const Problem problem = mixed.problem();
  const SolveOptions options = MixedOptions(mixed, GetParam(), Steps::kAdaptive);
  Recorder recorder(GetParam(), 3, int64_t{1} << 30);
  ASSERT_TRUE(Integrate(problem, options, {.companions = {&recorder}}).ok());
  const Recording& whole = recorder.recording();
  const AdjointOptions adjoint;
  auto recomputer = StepRecomputer::Create({problem, options, adjoint}, whole.times);
  ASSERT_TRUE(recomputer.ok()) << recomputer.status();
  const int64_t values = GetMethodInfo(GetParam()).stages * 3;
  int64_t steps = 0;
  for (int64_t start = 0; start < whole.num_steps(); start += 2) {
    (*recomputer)->Start(start, whole.step(start).y);
    for (int64_t i = start; i < whole.num_steps(); ++i, ++steps) {
      ASSERT_EQ((*recomputer)->step(), i);
      EXPECT_TRUE(std::equal(whole.step(i).y, whole.step(i).y + 3, (*recomputer)->y()));
      ASSERT_TRUE((*recomputer)->Try().ok());
      EXPECT_TRUE(
          std::equal(whole.step(i).stages, whole.step(i).stages + values, (*recomputer)->stages()))
          << start << " " << i;
      (*recomputer)->Advance();
    }
  }
  EXPECT_EQ((*recomputer)->recomputed_steps(), steps);
  EXPECT_GE((*recomputer)->rhs_evaluations(), steps);
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryMethod, ::testing::ValuesIn(RungeKuttaMethods().begin(), RungeKuttaMethods().end()),
    [](const auto& info) { return std::string(GetMethodInfo(info.param).name); });

TEST(StepRecomputerTest, StopsWhenCancelled) {
  const MixedProblem mixed;
  const Problem problem = mixed.problem();
  const SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kGrid);
  const AdjointOptions adjoint;
  Cancellation cancellation;
  AdjointInput input = {problem, options, adjoint};
  const StopSource stop = {.cancellation = &cancellation};
  input.stop = &stop;
  auto recomputer = StepRecomputer::Create(input, options.control.grid).value();
  recomputer->Start(0, mixed.y0.data());
  EXPECT_TRUE(recomputer->AdvanceTo(3).ok());
  cancellation.Cancel(Cancellation::Reason::kClientCancelled);
  EXPECT_EQ(recomputer->AdvanceTo(5).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(recomputer->step(), 3);
}

}  // namespace
}  // namespace costate

// Gradients from checkpoints and from segments equal backprop's to the last bit: for every method,
// every way of choosing steps, losses at save times and at the end, and 1 to 64 checkpoints.
#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "engine/gradients/adjoint.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;

std::vector<double> Weights(size_t size, double phase) {
  std::vector<double> weights(size);
  for (size_t i = 0; i < size; ++i) weights[i] = std::sin(1.7 * static_cast<double>(i) + phase);
  return weights;
}

// All numbers of several pull-backs: one loss at save times and the end, three at once, and one at
// the end alone.
std::vector<double> Gradients(GradientMethod method, const MixedProblem& mixed,
                              const SolveOptions& options, const AdjointOptions& adjoint) {
  const Problem problem = mixed.problem();
  AdjointInput input = {.problem = problem, .options = options, .adjoint = adjoint};
  input.want_times = true;
  auto solver = MakeAdjointMethod(method, input).value();
  const auto trajectory = solver->Solve();
  EXPECT_TRUE(trajectory.ok()) << trajectory.status();
  if (!trajectory.ok()) return {};
  std::vector<std::vector<double>> saved, terminal;
  for (int v = 0; v < 4; ++v) {
    saved.push_back(Weights(options.save.times.size() * 3, 0.3 * v));
    terminal.push_back(Weights(3, 2.0 - v));
  }
  std::vector<StateCotangents> cotangents;
  for (int v = 0; v < 4; ++v) cotangents.push_back({options.save.times, saved[v], terminal[v]});
  const StateCotangents end_only = {{}, {}, terminal[0]};
  std::vector<double> all(solver->terminal_state().begin(), solver->terminal_state().end());
  for (const auto& group :
       {absl::MakeConstSpan(cotangents).first(1), absl::MakeConstSpan(cotangents).subspan(1),
        absl::MakeConstSpan(&end_only, 1)}) {
    const auto results = solver->PullBack(group);
    EXPECT_TRUE(results.ok()) << results.status();
    if (!results.ok()) return {};
    for (const AdjointResult& result : *results) {
      all.insert(all.end(), result.initial_state.begin(), result.initial_state.end());
      all.insert(all.end(), result.params.begin(), result.params.end());
      all.insert(all.end(), result.times.begin(), result.times.end());
      all.push_back(result.t0);
      all.push_back(result.t1);
    }
  }
  return all;
}

class SameBits : public ::testing::TestWithParam<std::tuple<Method, Steps>> {
 protected:
  SameBits() {
    const auto [method, steps] = GetParam();
    options_ = MixedOptions(mixed_, method, steps);
    options_.control.fixed_step = 0.05;  // 55 steps
    expected_ = Gradients(GradientMethod::kBackprop, mixed_, options_, {});
  }

  MixedProblem mixed_;
  SolveOptions options_;
  std::vector<double> expected_;
};

TEST_P(SameBits, EveryNumberOfCheckpoints) {
  ASSERT_FALSE(expected_.empty());
  for (const int64_t c : {0, 1, 2, 3, 5, 10, 64}) {
    EXPECT_EQ(Gradients(GradientMethod::kCheckpointed, mixed_, options_, {.checkpoints = c}),
              expected_)
        << c;
  }
}

TEST_P(SameBits, EveryNumberOfSegments) {
  ASSERT_FALSE(expected_.empty());
  for (const int64_t k : {1, 2, 3, 5, 10, 50, 500}) {
    EXPECT_EQ(Gradients(GradientMethod::kSegmented, mixed_, options_, {.segments = k}), expected_)
        << k;
  }
}

std::string Name(const ::testing::TestParamInfo<std::tuple<Method, Steps>>& info) {
  const char* const steps[] = {"fixed", "adaptive", "grid"};
  return std::string(GetMethodInfo(std::get<0>(info.param)).name) + "_" +
         steps[static_cast<int>(std::get<1>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(
    All, SameBits,
    ::testing::Combine(::testing::ValuesIn(RungeKuttaMethods().begin(), RungeKuttaMethods().end()),
                       ::testing::Values(Steps::kFixed, Steps::kAdaptive, Steps::kGrid)),
    Name);

// Without gaps in c, on a step count that takes several repetitions.
TEST(CheckpointedGradientsTest, SameBitsForOneToSixtyFourCheckpoints) {
  const MixedProblem mixed;
  for (const Steps steps : {Steps::kFixed, Steps::kAdaptive}) {
    SolveOptions options = MixedOptions(mixed, Method::kDopri5, steps);
    options.control.fixed_step = 0.02;
    options.control.rtol = 1e-9;
    options.control.atol = {1e-11};
    const auto expected = Gradients(GradientMethod::kBackprop, mixed, options, {});
    for (int64_t c = 1; c <= 64; ++c) {
      EXPECT_EQ(Gradients(GradientMethod::kCheckpointed, mixed, options, {.checkpoints = c}),
                expected)
          << c;
    }
  }
}

}  // namespace
}  // namespace costate

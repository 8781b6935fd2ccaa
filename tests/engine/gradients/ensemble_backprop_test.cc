// Backprop in lanes gives each trajectory the bits it has alone, whatever its neighbours do.
#include "engine/gradients/ensemble_backprop.h"

#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;

constexpr int kTrajectories = 13;  // three blocks of four lanes and one left over

// Trajectories of different parameters, initial values and (for adaptive steps) lengths; one has no
// length at all.
struct Ensemble {
  MixedProblem mixed;
  std::vector<double> t0, t1, y0, params;
  std::vector<std::vector<double>> saved, terminal;
  SolveOptions options;

  Ensemble(Method method, Steps steps) {
    options = MixedOptions(mixed, method, steps);
    const bool own_spans = options.control.kind == StepControl::Kind::kAdaptive;
    if (own_spans) options.save.times = {0.5, 0.5};  // which all spans cover
    for (int b = 0; b < kTrajectories; ++b) {
      const bool at_rest = own_spans && b == 5;
      t0.push_back(at_rest ? 0.5 : mixed.t0);
      t1.push_back(at_rest ? 0.5 : own_spans ? 1.0 + 0.3 * ((b * 5) % 7) : mixed.t1);
      for (const double y : mixed.y0) y0.push_back(y * (1 + 0.05 * b));
      for (const double p : mixed.params) params.push_back(p * (1 - 0.03 * b));
      saved.emplace_back();
      for (size_t i = 0; i < 3 * options.save.times.size(); ++i) {
        saved.back().push_back(std::sin(1.3 * static_cast<double>(i) + b));
      }
      terminal.push_back({0.5 + b, -1.0, 0.25 * b});
    }
  }
};

std::vector<double> Flatten(const AdjointResult& adjoint) {
  std::vector<double> all = adjoint.initial_state;
  all.insert(all.end(), adjoint.params.begin(), adjoint.params.end());
  all.insert(all.end(), adjoint.times.begin(), adjoint.times.end());
  all.push_back(adjoint.t0);
  all.push_back(adjoint.t1);
  return all;
}

using Case = std::tuple<Method, Steps>;
class EveryMethod : public ::testing::TestWithParam<Case> {};

TEST_P(EveryMethod, SameBitsAsAlone) {
  const auto [method, steps] = GetParam();
  Ensemble e(method, steps);
  const std::vector<double>& times = e.options.save.times;
  Problem problem = e.mixed.problem();
  problem.num_trajectories = kTrajectories;
  problem.t0 = e.t0;
  problem.t1 = e.t1;
  problem.y0 = e.y0;
  problem.params = e.params;
  const AdjointOptions adjoint_options;
  AdjointInput input = {.problem = problem, .options = e.options, .adjoint = adjoint_options};
  input.want_times = true;
  const auto ensemble = MakeEnsembleBackprop(input);
  ASSERT_TRUE(ensemble.ok()) << ensemble.status();
  const auto trajectories = (*ensemble)->Solve();
  ASSERT_TRUE(trajectories.ok()) << trajectories.status();
  std::vector<StateCotangents> cotangents;
  std::vector<bool> wanted;
  for (int b = 0; b < kTrajectories; ++b) {
    cotangents.push_back(
        {times, absl::MakeConstSpan(e.saved[b]).first(3 * times.size()), e.terminal[b]});
    wanted.push_back(b != 7);
  }
  const auto results = (*ensemble)->PullBack(cotangents, wanted);
  ASSERT_TRUE(results.ok()) << results.status();
  for (int b = 0; b < kTrajectories; ++b) {
    if (!wanted[b]) {
      EXPECT_THAT((*results)[b].initial_state, ::testing::IsEmpty());
      continue;
    }
    Problem one = problem;
    one.num_trajectories = 1;
    one.t0 = problem.t0.subspan(b, 1);
    one.t1 = problem.t1.subspan(b, 1);
    one.y0 = problem.y0.subspan(3 * b, 3);
    one.params = problem.params.subspan(4 * b, 4);
    AdjointInput alone_input = {.problem = one, .options = e.options, .adjoint = adjoint_options};
    alone_input.want_times = true;
    const auto alone = MakeAdjointMethod(GradientMethod::kBackprop, alone_input).value();
    const auto trajectory = alone->Solve();
    ASSERT_TRUE(trajectory.ok()) << trajectory.status();
    EXPECT_EQ(trajectory->states, (*trajectories)[b].states) << b;
    EXPECT_EQ(alone->terminal_state(), (*ensemble)->terminal_state(b)) << b;
    const auto expected = alone->PullBack(absl::MakeConstSpan(&cotangents[b], 1));
    ASSERT_TRUE(expected.ok()) << expected.status();
    EXPECT_EQ(Flatten((*results)[b]), Flatten((*expected)[0])) << "trajectory " << b;
    EXPECT_EQ((*ensemble)->stats(b).replayed_steps, alone->stats().replayed_steps);
    EXPECT_EQ((*ensemble)->stats(b).peak_stored_bytes, alone->stats().peak_stored_bytes);
  }
}

std::string Name(const ::testing::TestParamInfo<Case>& info) {
  const char* const steps[] = {"fixed", "adaptive", "grid"};
  return std::string(GetMethodInfo(std::get<0>(info.param)).name) + "_" +
         steps[static_cast<int>(std::get<1>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryMethod,
    ::testing::Combine(::testing::ValuesIn(RungeKuttaMethods().begin(), RungeKuttaMethods().end()),
                       ::testing::Values(Steps::kFixed, Steps::kAdaptive, Steps::kGrid)),
    Name);

TEST(EnsembleBackprop, KeepsItsBudgetAndStops) {
  Ensemble e(Method::kTsit5, Steps::kFixed);
  Problem problem = e.mixed.problem();
  problem.num_trajectories = kTrajectories;
  problem.y0 = e.y0;
  problem.params = e.params;
  AdjointOptions small;
  small.memory_budget = 2000;
  const AdjointInput over = {.problem = problem, .options = e.options, .adjoint = small};
  EXPECT_EQ(MakeEnsembleBackprop(over).value()->Solve().status().code(),
            absl::StatusCode::kResourceExhausted);

  Cancellation cancellation;
  const AdjointOptions adjoint;
  AdjointInput input = {.problem = problem, .options = e.options, .adjoint = adjoint};
  const StopSource stop = {.cancellation = &cancellation};
  input.stop = &stop;
  const auto ensemble = MakeEnsembleBackprop(input).value();
  ASSERT_TRUE(ensemble->Solve().ok());
  cancellation.Cancel(Cancellation::Reason::kClientCancelled);
  const std::vector<StateCotangents> cotangents(kTrajectories,
                                                StateCotangents{{}, {}, e.terminal[0]});
  EXPECT_EQ(ensemble->PullBack(cotangents, std::vector<bool>(kTrajectories, true)).status().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace costate

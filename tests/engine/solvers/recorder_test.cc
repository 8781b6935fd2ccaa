#include <vector>

#include "engine/solvers/integrate.h"
#include "gtest/gtest.h"
#include "tests/engine/solvers/solve_testing.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

const OwnedProblem kProblem{.t1 = {3}, .y0 = {1, 0, 0}, .params = {10, 28, 8.0 / 3}};

TEST(Recorder, KeepsWhatTheStepsWere) {
  const GenericMap<Lorenz> field;
  for (const Method method : {Method::kTsit5, Method::kDopri8, Method::kHeun}) {
    SolveOptions options = Adaptive(method, 1e-5, 1e-7);
    options.return_grid = true;
    SaveSteps(&options);
    Recorder recorder(method, 3, limits::kMaxRecordingBytes);
    IntegrateHooks hooks;
    hooks.companions = {&recorder};
    const Trajectory s = Solve(field, kProblem, options, hooks)[0];
    const Recording recording = std::move(recorder).Take();
    const int64_t stages = GetMethodInfo(method).stages;
    EXPECT_EQ(recording.scheme.method, method);
    EXPECT_EQ(recording.num_steps(), s.stats.accepted_steps);
    EXPECT_TRUE(SameBits(recording.times, s.grid));
    EXPECT_TRUE(SameBits(recording.states, s.states));
    EXPECT_EQ(recording.stages.size(), recording.num_steps() * stages * 3);
    EXPECT_EQ(recording.bytes(), 8 * (recording.num_steps() * (1 + 3 + 3 * stages) + 4));
    for (int64_t i = 0; i < recording.num_steps(); ++i) {
      const StepRecord step = recording.step(i);
      EXPECT_EQ(step.t_next - step.t, step.h);
      double f[3];
      Lorenz()(step.t, step.y, kProblem.params.data(), f);
      for (int e = 0; e < 3; ++e) EXPECT_EQ(step.stages[e], f[e]);
    }
  }
}

TEST(Recorder, OfAnEmptySpanHasNoSteps) {
  const GenericMap<Lorenz> field;
  OwnedProblem problem = kProblem;
  problem.t1 = {0};
  Recorder recorder(Method::kTsit5, 3, 1000);
  IntegrateHooks hooks;
  hooks.companions = {&recorder};
  Solve(field, problem, SolveOptions(), hooks);
  const Recording recording = std::move(recorder).Take();
  EXPECT_EQ(recording.num_steps(), 0);
  EXPECT_EQ(recording.times, std::vector<double>{0});
  EXPECT_EQ(recording.states, problem.y0);
}

TEST(Recorder, StopsAtItsLimit) {
  const GenericMap<Lorenz> field;
  Recorder recorder(Method::kTsit5, 3, 2000);
  IntegrateHooks hooks;
  hooks.companions = {&recorder};
  const Problem problem = kProblem.View(field);
  const absl::Status status = Integrate(problem, SolveOptions(), hooks).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_LE(std::move(recorder).Take().bytes(), 2000);
}

}  // namespace
}  // namespace costate

// Shorthand for solver tests: one call from numbers to trajectories.
#ifndef COSTATE_TESTS_ENGINE_SOLVERS_SOLVE_TESTING_H_
#define COSTATE_TESTS_ENGINE_SOLVERS_SOLVE_TESTING_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/solvers/integrate.h"
#include "gtest/gtest.h"

namespace costate {

// A problem that owns its arrays.
struct OwnedProblem {
  std::vector<double> t0 = {0}, t1 = {1}, y0 = {}, params = {};
  int64_t batch = 1;

  Problem View(const VectorField& field) const {
    Problem problem;
    problem.field = &field;
    problem.num_trajectories = batch;
    problem.t0 = t0;
    problem.t1 = t1;
    problem.y0 = y0;
    problem.params = params;
    return problem;
  }
};

// Validates and solves; any error fails the test.
inline std::vector<Trajectory> Solve(const VectorField& field, const OwnedProblem& problem,
                                     const SolveOptions& options,
                                     const IntegrateHooks& hooks = {}) {
  const Problem view = problem.View(field);
  const absl::Status valid = ValidateSolve(view, options);
  EXPECT_TRUE(valid.ok()) << valid;
  if (!valid.ok()) return std::vector<Trajectory>(problem.batch);
  absl::StatusOr<std::vector<Trajectory>> result = Integrate(view, options, hooks);
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) return std::vector<Trajectory>(problem.batch);
  return *std::move(result);
}

inline SolveOptions FixedSteps(Method method, double step) {
  SolveOptions options;
  options.method = method;
  options.control.kind = StepControl::Kind::kFixed;
  options.control.fixed_step = step;
  return options;
}

inline SolveOptions Adaptive(Method method, double rtol, double atol) {
  SolveOptions options;
  options.method = method;
  options.control.rtol = rtol;
  options.control.atol = {atol};
  return options;
}

inline void SaveTimes(SolveOptions* options, std::vector<double> times) {
  options->save.kind = SaveAt::Kind::kTimes;
  options->save.times = std::move(times);
}

inline void SaveSteps(SolveOptions* options, int64_t every = 1) {
  options->save.kind = SaveAt::Kind::kSteps;
  options->save.every = every;
}

// The same bits, NaN included.
inline bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<uint64_t>(a[i]) != std::bit_cast<uint64_t>(b[i])) return false;
  }
  return true;
}

inline void ExpectSameBits(const Trajectory& a, const Trajectory& b) {
  EXPECT_TRUE(SameBits(a.times, b.times));
  EXPECT_TRUE(SameBits(a.states, b.states));
  EXPECT_TRUE(SameBits(a.grid, b.grid));
  EXPECT_EQ(a.num_reached, b.num_reached);
  EXPECT_EQ(a.termination.reason, b.termination.reason);
  EXPECT_EQ(a.termination.t, b.termination.t);
  EXPECT_EQ(a.termination.state_index, b.termination.state_index);
  EXPECT_EQ(a.termination.detail, b.termination.detail);
  EXPECT_EQ(a.stats.accepted_steps, b.stats.accepted_steps);
  EXPECT_EQ(a.stats.rejected_steps, b.stats.rejected_steps);
  EXPECT_EQ(a.stats.rhs_evaluations, b.stats.rhs_evaluations);
}

// Minus the slope of log(error) against log(steps), by least squares.
inline double ObservedOrder(const std::vector<double>& steps, const std::vector<double>& errors) {
  const auto n = static_cast<double>(errors.size());
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (size_t i = 0; i < errors.size(); ++i) {
    const double x = std::log(steps[i]), y = std::log(errors[i]);
    sx += x;
    sy += y;
    sxx += x * x;
    sxy += x * y;
  }
  return -(n * sxy - sx * sy) / (n * sxx - sx * sx);
}

}  // namespace costate

#endif  // COSTATE_TESTS_ENGINE_SOLVERS_SOLVE_TESTING_H_

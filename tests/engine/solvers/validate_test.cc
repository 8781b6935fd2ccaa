// Every refusal names its field.
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "engine/solvers/integrate.h"
#include "gtest/gtest.h"
#include "tests/engine/solvers/solve_testing.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Case {
  std::string field;  // "" for valid
  std::function<void(OwnedProblem&, SolveOptions&)> change;
};

const OwnedProblem kBase{.t1 = {1}, .y0 = {1, 0, 0, 1, 1, 1}, .params = {10, 28, 2}, .batch = 2};

void Fixed(SolveOptions& options, double step) {
  options.control.kind = StepControl::Kind::kFixed;
  options.control.fixed_step = step;
}
void Grid(SolveOptions& options, std::vector<double> grid) {
  options.control.kind = StepControl::Kind::kGrid;
  options.control.grid = std::move(grid);
}

#define CHANGE [](OwnedProblem & problem [[maybe_unused]], SolveOptions & options [[maybe_unused]])

const Case kCases[] = {{"", CHANGE{}}, {"", CHANGE{problem.params = {1, 2, 3, 4, 5, 6};
}  // namespace
}  // namespace costate
, {"", CHANGE{problem.t1 = {1, -2};
}
}
, {"", CHANGE{problem.y0[0] = kNaN;
}
}
, {"", CHANGE{problem.params[0] = kInfinity;
}
}
, {"num_trajectories", CHANGE{problem.batch = 0;
}
}
, {"num_trajectories", CHANGE{problem.batch = limits::kMaxTrajectories + 1;
}
}
, {"t0", CHANGE{problem.t0 = {};
}
}
, {"t0", CHANGE{problem.t0 = {0, 0, 0};
}
}
, {"t0[0]", CHANGE{problem.t0 = {kNaN};
}
}
, {"t1[1]", CHANGE{problem.t1 = {1, kInfinity};
}
}
, {"t1", CHANGE{problem.t0 = {-1e308}, problem.t1 = {1e308};
}
}
, {"y0", CHANGE{problem.y0.pop_back();
}
}
, {"params", CHANGE{problem.params.pop_back();
}
}
,
    // Step control.
    {"control.rtol", CHANGE{options.control.rtol = -1e-3;
}
}
, {"control.rtol", CHANGE{options.control.rtol = kNaN;
}
}
, {"control.atol", CHANGE{options.control.atol = {};
}
}
, {"control.atol", CHANGE{options.control.atol = {1, 1};
}
}
, {"", CHANGE{options.control.atol = {1, 1, 0};
}
}
, {"control.atol[1]", CHANGE{options.control.atol = {1, -1, 1};
}
}
, {"control.atol[2]", CHANGE{options.control.atol = {1, 1, 0}, options.control.rtol = 0;
}
}
, {"control.beta1", CHANGE{options.control.beta1 = kNaN;
}
}
, {"control.beta3", CHANGE{options.control.beta3 = 100;
}
}
, {"control.safety", CHANGE{options.control.safety = 0;
}
}
, {"control.safety", CHANGE{options.control.safety = 1.1;
}
}
, {"control.min_factor", CHANGE{options.control.min_factor = 1;
}
}
, {"control.max_factor", CHANGE{options.control.max_factor = 1;
}
}
, {"control.initial_step", CHANGE{options.control.initial_step = 0;
}
}
, {"control.max_step", CHANGE{options.control.max_step = -1;
}
}
, {"control.max_step", CHANGE{options.control.max_step = 0.1, options.control.min_step = 0.2;
}
}
, {"control.min_step", CHANGE{options.control.min_step = kInfinity;
}
}
, {"method", CHANGE{options.method = Method::kRk4;
}
}
, {"method", CHANGE{options.method = Method::kEuler;
}
}
, {"", CHANGE{options.method = Method::kRk4, Fixed(options, 0.1);
}
}
, {"control.fixed_step", CHANGE{options.control.kind = StepControl::Kind::kFixed;
}
}
, {"control.fixed_step", CHANGE{Fixed(options, 0);
}
}
, {"control.fixed_step", CHANGE{Fixed(options, kNaN);
}
}
, {"control.fixed_step", CHANGE{problem.t1 = {1e12}, Fixed(options, 1e-5);
}
}
, {"", CHANGE{Grid(options, {0, 0.5, 1});
}
}
, {"control.grid", CHANGE{Grid(options, {});
}
}
, {"control.grid[0]", CHANGE{Grid(options, {0.1, 1});
}
}
, {"control.grid[1]", CHANGE{Grid(options, {0, 0.9});
}
}
, {"control.grid[2]", CHANGE{Grid(options, {0, 0.5, 0.5, 1});
}
}
, {"control.grid[1]", CHANGE{Grid(options, {0, kNaN, 1});
}
}
, {"control.grid[1]", CHANGE{problem.t1 = {1, 2}, Grid(options, {0, 1});
}
}
,
    // What is saved.
    {"", CHANGE{SaveTimes(&options, {0, 0.5, 0.5, 1});
}
}
, {"save.times[2]", CHANGE{SaveTimes(&options, {0, 0.5, 1.1});
}
}
, {"save.times[0]", CHANGE{SaveTimes(&options, {-0.1, 0.5});
}
}
, {"save.times[1]", CHANGE{SaveTimes(&options, {0.1, kNaN});
}
}
, {"save.times[2]", CHANGE{SaveTimes(&options, {0, 0.5, 0.4, 0.9});
}
}
, {"save.times", CHANGE{SaveTimes(&options, {0.9, 0.1});
}
}
, {"", CHANGE{problem.t1 = {-1}, SaveTimes(&options, {0, -0.5, -1});
}
}
, {"save.times[0]", CHANGE{problem.t1 = {1, 2}, SaveTimes(&options, {1.5});
}
}
, {"save.every", CHANGE{SaveSteps(&options, 0);
}
}
,
    // Limits.
    {"max_steps", CHANGE{options.max_steps = 0;
}
}
, {"max_steps", CHANGE{options.max_steps = limits::kMaxSteps + 1;
}
}
, {"wall_budget", CHANGE{options.wall_budget = absl::ZeroDuration();
}
}
, {"lanes", CHANGE{options.lanes = 3;
}
}
, {"", CHANGE{options.lanes = 8;
}
}
,
}
;

TEST(ValidateSolve, NamesTheFieldAtFault) {
  const GenericMap<Lorenz> field;
  for (size_t i = 0; i < std::size(kCases); ++i) {
    OwnedProblem problem = kBase;
    SolveOptions options;
    kCases[i].change(problem, options);
    const absl::Status status = ValidateSolve(problem.View(field), options);
    if (kCases[i].field.empty()) {
      EXPECT_TRUE(status.ok()) << "case " << i << ": " << status;
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << "case " << i;
      EXPECT_EQ(FieldOf(status), kCases[i].field) << "case " << i << ": " << status;
    }
  }
}

}  // namespace
}  // namespace costate

#include "engine/shifted_solve.h"

#include <cmath>
#include <vector>

#include "engine/pass_values.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileText;
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;

// x(t) = x0 exp(-k (t - t0)), x0 = 2 k + t0 unless given.
constexpr char kDecay[] = "model d\nparam k = 0.5\nstate x = 2*k + t\nx' = -k*x\n";

struct DecayPass {
  explicit DecayPass(bool given) : model(CompileText(kDecay)) {
    Simulation simulation = Simulate(model, 1, 3, 1e-11, 1e-13);
    if (given) simulation.initial_state = {Scalar("x", 4)};
    bound = Bind(simulation).value();
    options = simulation.options;
    wrt = ResolveWrt(model->ir(), {"k", "x", "t0", "t1"}).value();
    input.bound = &bound;
    input.options = &options;
    input.wrt = &wrt;
  }
  std::shared_ptr<const Model> model;
  BoundSimulation bound;
  SolveOptions options;
  std::vector<WrtEntry> wrt;
  PassInput input;
};

TEST(ShiftedSolve, FollowsTheExactSolution) {
  for (const bool given : {false, true}) {
    DecayPass setup(given);
    ShiftedSolve solve(setup.input, setup.options);
    const std::vector<double> shift = {0.1, 0.3, -0.2, 0.4};
    const auto moved = solve.At(shift);
    ASSERT_TRUE(moved.ok()) << moved.status();
    const double k = 0.6, t0 = 0.8, t1 = 3.4;
    const double x0 = (given ? 4 : 2 * k + t0) + 0.3;
    EXPECT_NEAR(moved->values.terminal_state[0], x0 * std::exp(-k * (t1 - t0)), 1e-9);
    EXPECT_EQ(moved->values.times[0], t1);
    EXPECT_EQ(ShiftParams(setup.input, shift)[0], 0.6);
    const int64_t once = solve.rhs_evaluations();
    EXPECT_GT(once, 0);
    ASSERT_TRUE(solve.At({}).ok());
    EXPECT_GT(solve.rhs_evaluations(), once);
  }
}

TEST(ShiftedSolve, MovesTheEndsOfAGrid) {
  DecayPass setup(true);
  setup.options.control.kind = StepControl::Kind::kGrid;
  setup.options.control.grid = {1, 2, 3};
  setup.options.return_grid = true;
  ShiftedSolve solve(setup.input, setup.options);
  const auto moved = solve.At(std::vector<double>{0, 0, -0.25, 0.5});
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->grid, (std::vector<double>{0.75, 2, 3.5}));
}

TEST(ShiftedSolve, LossIsNaNWhereTheEndIsNotReached) {
  DecayPass setup(true);
  const Loss loss = Squares({Channel::Kind::kState, 0}, {2}, {0});
  setup.options.save = {.kind = SaveAt::Kind::kTimes, .times = {2}};
  EXPECT_NEAR(ShiftedSolve(setup.input, setup.options).LossAt(loss, {}).value(),
              16 * std::exp(-1.0), 1e-8);
  setup.options.max_steps = 1;
  EXPECT_TRUE(std::isnan(ShiftedSolve(setup.input, setup.options).LossAt(loss, {}).value()));
}

TEST(FreeSide, KeepsSaveTimesInside) {
  DecayPass setup(true);
  EXPECT_EQ(FreeSide(setup.input, 2), 0);
  setup.options.save = {.kind = SaveAt::Kind::kTimes, .times = {1, 2, 3}};
  EXPECT_EQ(FreeSide(setup.input, 0), 0);
  EXPECT_EQ(FreeSide(setup.input, 2), -1);
  EXPECT_EQ(FreeSide(setup.input, 3), 1);
  setup.options.save.times = {1.5, 2};
  EXPECT_EQ(FreeSide(setup.input, 2), 0);
  EXPECT_EQ(FreeSide(setup.input, 3), 0);
}

}  // namespace
}  // namespace costate

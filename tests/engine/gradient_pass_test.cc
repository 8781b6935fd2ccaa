// What happens between the solve and the gradient of one trajectory.
#include "engine/gradient_pass.h"

#include <cmath>
#include <vector>

#include "absl/time/clock.h"
#include "engine/resolve_options.h"
#include "engine/tangent_pass.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileText;
using ::costate::testing::SaveTimes;
using ::costate::testing::Simulate;

// y = a exp(-k t) with one output.
class Passes : public ::testing::Test {
 protected:
  void SetUp() override {
    simulation_ = Simulate(
        CompileText("model d\nparam a = 2\nparam k = 1\nstate y = a\ny' = -k*y\noutput u = k*y\n"),
        0, 1, 1e-10, 1e-12);
    SaveTimes(&simulation_, {0.5, 1});
    bound_ = Bind(simulation_).value();
    options_ = ResolveOptions(simulation_, bound_).value().options;
    wrt_ = ResolveWrt(simulation_.model->ir(), {"k", "a"}).value();
    input_.bound = &bound_;
    input_.options = &options_;
    input_.wrt = &wrt_;
    input_.adjoint = &adjoint_;
    stop_.cancellation = &cancellation_;
    input_.stop = &stop_;
  }

  Simulation simulation_;
  BoundSimulation bound_;
  SolveOptions options_;
  AdjointOptions adjoint_;
  std::vector<WrtEntry> wrt_;
  Cancellation cancellation_;
  StopSource stop_;
  PassInput input_;
};

TEST_F(Passes, OneSolveServesSeveralGradientsAloneAndTogether) {
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    const auto pass = MakeGradientPass(method, input_);
    ASSERT_TRUE(pass->Solve().ok());
    const double e = std::exp(-0.5);
    EXPECT_NEAR(pass->primal().values.outputs.at(0), 2 * e, 1e-9);
    const std::vector<Cotangents> cotangents = {
        {.states = {1, 0}, .outputs = {}, .terminal_state = {}, .terminal_output = {}},
        {.states = {}, .outputs = {1, 0}, .terminal_state = {}, .terminal_output = {}}};
    PassGradients both;
    ASSERT_TRUE(pass->PullBack(cotangents, &both).ok());
    EXPECT_NEAR(both.values[0], -e, 1e-9);
    EXPECT_NEAR(both.values[1], e, 1e-9);
    EXPECT_NEAR(both.values[2], 2 * e - e, 1e-9);
    EXPECT_NEAR(both.values[3], e, 1e-9);
    for (size_t v = 0; v < 2; ++v) {
      PassGradients one;
      ASSERT_TRUE(pass->PullBack(absl::MakeConstSpan(&cotangents[v], 1), &one).ok());
      EXPECT_EQ(one.values, std::vector<double>(&both.values[v * 2], &both.values[v * 2] + 2));
    }
  }
}

TEST_F(Passes, CancelledBetweenSolveAndReversePass) {
  const auto pass = MakeGradientPass(GradientMethod::kBackprop, input_);
  ASSERT_TRUE(pass->Solve().ok());
  ASSERT_TRUE(pass->primal().reached());
  cancellation_.Cancel(Cancellation::Reason::kClientCancelled);
  PassGradients gradients;
  const Cotangents cotangents = {
      .states = {1, 1}, .outputs = {}, .terminal_state = {}, .terminal_output = {}};
  ASSERT_TRUE(pass->PullBack(absl::MakeConstSpan(&cotangents, 1), &gradients).ok());
  EXPECT_EQ(pass->primal().termination.reason, Termination::Reason::kCancelled);
  EXPECT_TRUE(std::isnan(gradients.values[0]));
  EXPECT_FALSE(std::isnan(pass->primal().values.states[1]));
}

TEST_F(Passes, WallBudgetSpentBeforeTheReversePass) {
  stop_.deadline = absl::Now() + absl::Milliseconds(20);
  const auto pass = MakeGradientPass(GradientMethod::kBackprop, input_);
  ASSERT_TRUE(pass->Solve().ok());
  absl::SleepFor(absl::Milliseconds(30));
  PassGradients gradients;
  const Cotangents cotangents = {
      .states = {1, 1}, .outputs = {}, .terminal_state = {}, .terminal_output = {}};
  ASSERT_TRUE(pass->PullBack(absl::MakeConstSpan(&cotangents, 1), &gradients).ok());
  EXPECT_EQ(pass->primal().termination.reason, Termination::Reason::kWallBudget);
  EXPECT_TRUE(std::isnan(gradients.values[0]));
}

TEST_F(Passes, DirectionsCombineColumns) {
  const std::vector<double> directions = {1, 0, 0, 1, 2, -3};
  const auto pass = SolveInDirections(input_, 3, directions);
  ASSERT_TRUE(pass.ok()) << pass.status();
  ASSERT_EQ(pass->states.size(), 2u * 3);
  for (size_t row = 0; row < 2; ++row) {
    const double* s = &pass->states[row * 3];
    EXPECT_NEAR(s[2], 2 * s[0] - 3 * s[1], 1e-13);
  }
  EXPECT_NEAR(pass->states[3], -2 * std::exp(-1.0), 1e-9);
  EXPECT_THAT(ParamTangents(input_, 3, directions), ::testing::ElementsAre(0, 1, -3, 1, 0, 2));
  EXPECT_THAT(TimeTangents(input_, WrtEntry::Kind::kT0, 3, directions), ::testing::IsEmpty());
  EXPECT_THAT(UnitDirections(2), ::testing::ElementsAre(1, 0, 0, 1));
}

TEST_F(Passes, TooManyDirectionsAreRefused) {
  const absl::Status status = CheckTangentRoom(input_, int64_t{1} << 40);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("use backprop"));
}

}  // namespace
}  // namespace costate

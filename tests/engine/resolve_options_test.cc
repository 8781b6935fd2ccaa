#include "engine/resolve_options.h"

#include <string>

#include "engine/base/field_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileText;
using ::costate::testing::Simulate;
using ::testing::HasSubstr;

Simulation Base() { return Simulate(CompileText("model d\nstate x = 1\nx' = -x\n"), 0, 2); }

absl::StatusOr<ResolvedOptions> Resolve(const Simulation& simulation) {
  const auto bound = Bind(simulation);
  EXPECT_TRUE(bound.ok()) << bound.status();
  return ResolveOptions(simulation, *bound);
}

TEST(ResolveOptions, EchoesEveryDefaultAsANumber) {
  const auto resolved = Resolve(Base());
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  const SolveOptions& echo = resolved->resolution.options;
  EXPECT_EQ(echo.method, Method::kTsit5);
  EXPECT_THAT(resolved->resolution.method_reason, HasSubstr("tsit5"));
  EXPECT_NEAR(echo.control.beta1.value(), 0.7 / 5, 1e-15);  // PI, order 5(4)
  EXPECT_NEAR(echo.control.beta2.value(), 0.4 / 5, 1e-15);
  EXPECT_EQ(echo.control.beta3.value(), 0);
  EXPECT_EQ(echo.control.max_step.value(), 2);
  EXPECT_FALSE(echo.control.initial_step.has_value());
  EXPECT_EQ(echo.lanes, 1);
}

TEST(ResolveOptions, TightTolerancesTakeTheHighOrder) {
  Simulation simulation = Base();
  simulation.options.control.rtol = kHighOrderRtol;
  auto resolved = Resolve(simulation);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->options.method, Method::kTsit5);
  simulation.options.control.rtol = kHighOrderRtol / 10;
  resolved = Resolve(simulation);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->options.method, Method::kDopri8);
  EXPECT_THAT(resolved->resolution.method_reason, HasSubstr("dopri8"));
}

TEST(ResolveOptions, AnAskedForMethodStaysWithoutReason) {
  Simulation simulation = Base();
  simulation.method_auto = false;
  simulation.options.method = Method::kBosh3;
  const auto resolved = Resolve(simulation);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->options.method, Method::kBosh3);
  EXPECT_EQ(resolved->resolution.method_reason, "");
}

TEST(ResolveOptions, FullBatchesRunInLanes) {
  Simulation simulation = Base();
  simulation.t1.assign(16, 2.0);
  const auto resolved = Resolve(simulation);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->resolution.options.lanes, simulation.model->rhs().simd_lanes());
  EXPECT_FALSE(resolved->resolution.options.control.max_step.has_value());  // one for each span
}

TEST(ResolveOptions, FieldsAreThoseOfTheWire) {
  const auto field = [](auto change) {
    Simulation simulation = Base();
    change(simulation.options);
    return FieldOf(Resolve(simulation).status()).value_or("none");
  };
  EXPECT_EQ(field([](SolveOptions& o) { o.control.rtol = -1; }), "options.adaptive.rtol");
  EXPECT_EQ(field([](SolveOptions& o) { o.control.atol = {1, 1, 1}; }), "options.adaptive.atol");
  EXPECT_EQ(field([](SolveOptions& o) { o.max_steps = 0; }), "options.max_steps");
  EXPECT_EQ(field([](SolveOptions& o) { o.control.kind = StepControl::Kind::kFixed; }),
            "options.fixed.step");
  EXPECT_EQ(field([](SolveOptions& o) {
              o.control.kind = StepControl::Kind::kGrid;
              o.control.grid = {0, 1, 1, 2};
            }),
            "options.grid.times[2]");
  EXPECT_EQ(field([](SolveOptions& o) {
              o.save.kind = SaveAt::Kind::kTimes;
              o.save.times = {0, 3};
            }),
            "options.save.times.times[1]");
  EXPECT_EQ(field([](SolveOptions& o) {
              o.save.kind = SaveAt::Kind::kSteps;
              o.save.every = 0;
            }),
            "options.save.every_steps");
}

TEST(ResolveOptions, MessageNamesTheFieldOnce) {
  Simulation simulation = Base();
  simulation.options.control.rtol = -1;
  EXPECT_THAT(std::string(Resolve(simulation).status().message()),
              ::testing::StartsWith("options.adaptive.rtol: got -1"));
}

}  // namespace
}  // namespace costate

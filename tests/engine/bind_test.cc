// Names, shapes, batches and bounds: what is accepted and what each refusal says.
#include "engine/bind.h"

#include <limits>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::Batch;
using ::costate::testing::CompileText;
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kText[] =
    "model m\nparam rate = 2 in [0, 10]\nparam W[2] = [3, 4]\n"
    "state y[2] = [rate, 7]\nstate z = log(rate) + t\ny' = rate*W*y\nz' = -z\n";

Simulation Base() { return Simulate(CompileText(kText), 0.5, 2); }

TEST(Bind, DefaultsAndInitMap) {
  const auto bound = Bind(Base());
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_EQ(bound->num_trajectories, 1);
  EXPECT_FALSE(bound->batched);
  EXPECT_THAT(bound->params, ElementsAre(2, 3, 4));
  EXPECT_THAT(bound->y0, ElementsAre(2, 7, ::testing::DoubleNear(std::log(2.0) + 0.5, 1e-15)));
  EXPECT_THAT(bound->given, ElementsAre(false, false, false));
}

TEST(Bind, GivenValuesReplaceTheModelsOwn) {
  Simulation simulation = Base();
  simulation.params = {{.name = "W", .shape = {2}, .values = {8, 9}}, Scalar("rate", 1)};
  simulation.initial_state = {{.name = "y", .shape = {2}, .values = {-1, -2}}};
  const auto bound = Bind(simulation);
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_THAT(bound->params, ElementsAre(1, 8, 9));
  EXPECT_THAT(bound->y0, ElementsAre(-1, -2, 0.5));
  EXPECT_THAT(bound->given, ElementsAre(true, true, false));
}

TEST(Bind, BatchesExpand) {
  Simulation simulation = Base();
  simulation.params = {Batch("rate", {1, 2})};
  simulation.initial_state = {{.name = "y", .shape = {2, 2}, .values = {10, 20, 30, 40}}};
  simulation.t1 = {3, 4};
  const auto bound = Bind(simulation);
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_TRUE(bound->batched);
  EXPECT_EQ(bound->num_trajectories, 2);
  EXPECT_THAT(bound->params, ElementsAre(1, 3, 4, 2, 3, 4));
  EXPECT_EQ(bound->y0[0], 10);
  EXPECT_EQ(bound->y0[2], 0.5);
  EXPECT_EQ(bound->y0[4], 40);
  EXPECT_EQ(bound->one(1).t0[0], 0.5);
  EXPECT_EQ(bound->one(1).t1[0], 4);
  EXPECT_EQ(bound->one(1).params[0], 2);
  EXPECT_EQ(bound->one(1).y0[0], 30);
}

TEST(Bind, ABatchOfOneIsABatch) {
  Simulation simulation = Base();
  simulation.params = {Batch("rate", {1})};
  const auto bound = Bind(simulation);
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_TRUE(bound->batched);
  EXPECT_EQ(bound->num_trajectories, 1);
}

void ExpectRefused(const Simulation& simulation, const std::string& field,
                   const std::string& message) {
  const absl::Status status = Bind(simulation).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
  EXPECT_EQ(FieldOf(status).value_or("none"), field);
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

TEST(Bind, RefusesAndSaysWhy) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto with_params = [](std::vector<NamedArray> params) {
    Simulation simulation = Base();
    simulation.params = std::move(params);
    return simulation;
  };
  ExpectRefused(Simulation(), "model", "a model");
  ExpectRefused(with_params({Scalar("rat", 1)}), "params[0].name", "did you mean 'rate'?");
  ExpectRefused(with_params({Scalar("rate", 1), Scalar("rate", 2)}), "params[1].name", "once");
  ExpectRefused(with_params({Scalar("W", 1)}), "params[0].array", "shape [] for 'W'");
  ExpectRefused(with_params({Scalar("W", 1)}), "params[0].array", "shape [2] or [B, 2]");
  ExpectRefused(with_params({{.name = "rate", .shape = {2, 2}, .values = {1, 2, 3, 4}}}),
                "params[0].array", "shape [] or [B]");
  ExpectRefused(with_params({{.name = "W", .shape = {2}, .values = {1}}}), "params[0].array",
                "got 1 values, expected 2");
  ExpectRefused(with_params({Scalar("rate", 11)}), "params[0]", "range [0, 10]");
  ExpectRefused(with_params({Batch("rate", {1, -1})}), "params[0].array[1]", "got -1 for 'rate'");
  ExpectRefused(with_params({Scalar("rate", nan)}), "params[0]", "a finite number");
  ExpectRefused(with_params({Batch("rate", {1, 2}),
                             {.name = "W", .shape = {3, 2}, .values = {1, 2, 3, 4, 5, 6}}}),
                "params[1].array",
                "got a batch of 3 for 'W', expected 2, the batch of 'rate' (params[0].array)");
  ExpectRefused(with_params({Batch("rate", {})}), "params[0].array", "got a batch of 0 for 'rate'");
  ExpectRefused(with_params({Scalar("rate", 0)}), "initial_state", "initial value of 'z' is -inf");
  Simulation simulation = Base();
  simulation.initial_state = {Scalar("rate", 1)};
  ExpectRefused(simulation, "initial_state[0].name", "the model has no state 'rate'");
  simulation = Base();
  simulation.t1 = {};
  ExpectRefused(simulation, "t1", "one time");
  simulation = Base();
  simulation.t0 = {0, nan};
  ExpectRefused(simulation, "t0[1]", "finite");
  simulation = Base();
  simulation.t0 = {0, 1};
  simulation.t1 = {1, 2, 3};
  ExpectRefused(simulation, "t1", "got a batch of 3 for 't1', expected 2, the batch of 't0' (t0)");
  simulation = Simulate(CompileText("model n\nstate x = 1\nx' = -x\n"), 0, 1);
  simulation.params = {Scalar("k", 1)};
  ExpectRefused(simulation, "params[0].name", "the model has no parameter 'k'; it declares none");
}

TEST(Bind, EndsWhenCancelled) {
  Simulation simulation = Base();
  simulation.params = {Batch("rate", {1, 2})};
  Cancellation cancellation;
  EXPECT_TRUE(Bind(simulation, &cancellation).ok());
  cancellation.Cancel(Cancellation::Reason::kClientCancelled);
  EXPECT_EQ(Bind(simulation, &cancellation).status().code(), absl::StatusCode::kCancelled);
}

TEST(ResolveWrt, FindsEveryKind) {
  const auto model = CompileText(kText);
  const auto wrt = ResolveWrt(model->ir(), {"W", "t1", "z", "t0", "y", "rate"});
  ASSERT_TRUE(wrt.ok()) << wrt.status();
  EXPECT_EQ(NumColumns(*wrt), 2 + 1 + 1 + 1 + 2 + 1);
  EXPECT_EQ((*wrt)[0].kind, WrtEntry::Kind::kParam);
  EXPECT_EQ((*wrt)[0].offset, 1);
  EXPECT_EQ((*wrt)[1].kind, WrtEntry::Kind::kT1);
  EXPECT_EQ((*wrt)[2].kind, WrtEntry::Kind::kInitialState);
  EXPECT_EQ((*wrt)[2].offset, 2);
  EXPECT_EQ((*wrt)[3].kind, WrtEntry::Kind::kT0);
  EXPECT_EQ((*wrt)[4].size, 2);
}

TEST(ResolveWrt, NoneMeansEveryParameter) {
  const auto wrt = ResolveWrt(CompileText(kText)->ir(), {});
  ASSERT_TRUE(wrt.ok()) << wrt.status();
  ASSERT_EQ(wrt->size(), 2u);
  EXPECT_EQ((*wrt)[1].name, "W");
}

TEST(CheckSpans, TimesNeedAStepToMove) {
  Simulation simulation = Base();
  simulation.t1 = {2, 0.5};  // the second span is empty
  const auto bound = Bind(simulation);
  ASSERT_TRUE(bound.ok()) << bound.status();
  const ModelIr& ir = simulation.model->ir();
  EXPECT_TRUE(CheckSpans(*bound, ResolveWrt(ir, {"rate", "y"}).value()).ok());
  EXPECT_EQ(FieldOf(CheckSpans(*bound, ResolveWrt(ir, {"rate", "t1"}).value())), "t1");
  EXPECT_EQ(FieldOf(CheckSpans(*bound, ResolveWrt(ir, {"t0"}).value())), "t1");
}

// A name that could mean two things is not guessed at; the list of all parameters is no guess.
TEST(ResolveWrt, RefusesNamesThatMeanTwoThings) {
  const auto model =
      CompileText("model m\nparam t0 = 1\nparam k = 2\nstate t1 = 3\nt1' = -k*t0*t1\n");
  const absl::Status param = ResolveWrt(model->ir(), {"k", "t0"}).status();
  EXPECT_EQ(param.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(param), "wrt[1]");
  EXPECT_THAT(std::string(param.message()),
              HasSubstr("'t0' is a parameter of the model and an end of the time span"));
  const absl::Status state = ResolveWrt(model->ir(), {"t1"}).status();
  EXPECT_EQ(FieldOf(state), "wrt[0]");
  EXPECT_THAT(std::string(state.message()), HasSubstr("rename the state"));
  const auto all = ResolveWrt(model->ir(), {});
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].name, "t0");
  EXPECT_EQ((*all)[0].kind, WrtEntry::Kind::kParam);
  EXPECT_TRUE(ResolveWrt(model->ir(), {"k"}).ok());
}

TEST(ResolveWrt, RefusesAndSaysWhy) {
  const auto model = CompileText(kText);
  const absl::Status unknown = ResolveWrt(model->ir(), {"rate", "rte"}).status();
  EXPECT_EQ(FieldOf(unknown), "wrt[1]");
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("did you mean 'rate'?"));
  EXPECT_EQ(FieldOf(ResolveWrt(model->ir(), {"W", "W"}).status()), "wrt[1]");
  const auto none = CompileText("model n\nstate x = 1\nx' = -x\n");
  EXPECT_EQ(FieldOf(ResolveWrt(none->ir(), {}).status()), "wrt");
}

}  // namespace
}  // namespace costate

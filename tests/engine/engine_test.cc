#include "engine/engine.h"

#include <string>

#include "engine/interpreter/interpreter.h"
#include "engine/model/model.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::Batch;
using ::costate::testing::CompileText;
using ::costate::testing::Simulate;

ModelIr Decay(const std::string& rate) {
  return ParseModel("model d\nparam k = " + rate + "\nstate x = 1\nx' = -k*x\n").ir;
}

TEST(Engine, TheSameModelIsCompiledOnce) {
  Engine engine({.evaluator = MakeInterpreter()});
  const auto first = engine.Compile(Decay("1"));
  const auto again = engine.Compile(Decay("1"));
  const auto other = engine.Compile(Decay("2"));
  ASSERT_TRUE(first.ok() && again.ok() && other.ok());
  EXPECT_EQ(*first, *again);
  EXPECT_NE(*first, *other);
  EXPECT_EQ(engine.num_cached_models(), 2);
  EXPECT_EQ((*first)->resource_name(), ModelResourceName(Decay("1")));
  EXPECT_EQ(engine.evaluator().name(), "interpreter");
}

TEST(Engine, TheLeastRecentlyUsedModelGoes) {
  Engine engine({.evaluator = MakeInterpreter(), .max_cached_models = 2});
  const auto one = engine.Compile(Decay("1")).value();
  const auto two = engine.Compile(Decay("2")).value();
  EXPECT_EQ(engine.Compile(Decay("1")).value(), one);
  engine.Compile(Decay("3")).value();  // 2 goes
  EXPECT_EQ(engine.num_cached_models(), 2);
  EXPECT_EQ(engine.Compile(Decay("1")).value(), one);
  EXPECT_NE(engine.Compile(Decay("2")).value(), two);
}

TEST(Engine, AModelOutlivesItsEngine) {
  std::shared_ptr<const Model> model;
  {
    Engine engine({.evaluator = MakeInterpreter()});
    model = engine.Compile(Decay("1")).value();
  }
  EXPECT_TRUE(model->rhs().Get(MapKernel::kVjp, 1).ok());
}

TEST(Engine, RefusesIrThatDoesNotVerify) {
  Engine engine({.evaluator = MakeInterpreter()});
  ModelIr broken = Decay("1");
  broken.rhs.results[0].value = 1000;
  EXPECT_EQ(engine.Compile(std::move(broken)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EstimateCost, GrowsWithTheWork) {
  const auto small = CompileText("model s\nparam k = 1\nstate x = 1\nx' = -k*x\n");
  const auto large = CompileText("model l\nparam W[50, 50]\nstate x[50] = 0\nx' = W @ tanh(x)\n");
  const Simulation base = Simulate(small, 0, 10);
  const double cost = Engine::EstimateCost(base, 0);
  EXPECT_GT(cost, 0);
  EXPECT_GT(Engine::EstimateCost(base, 10), 2 * cost);
  EXPECT_GT(Engine::EstimateCost(Simulate(large, 0, 10), 0), 100 * cost);
  Simulation batch = base;
  batch.params = {Batch("k", std::vector<double>(1000, 1.0))};
  EXPECT_DOUBLE_EQ(Engine::EstimateCost(batch, 0), 1000 * cost);
  Simulation fixed = base;
  fixed.options.control.kind = StepControl::Kind::kFixed;
  fixed.options.control.fixed_step = 1e-3;  // 10,000 steps instead of the 1,000 guessed
  EXPECT_DOUBLE_EQ(Engine::EstimateCost(fixed, 0), 10 * cost);
  fixed.options.max_steps = 1000;
  EXPECT_DOUBLE_EQ(Engine::EstimateCost(fixed, 0), cost);
  EXPECT_EQ(Engine::EstimateCost(Simulation(), 0), 0);
}

}  // namespace
}  // namespace costate

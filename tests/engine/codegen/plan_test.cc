#include "engine/codegen/plan.h"

#include <set>

#include "engine/base/limits.h"
#include "engine/model/function_builder.h"
#include "gtest/gtest.h"

namespace costate::codegen {
namespace {

FunctionBuilder Builder(int64_t n) { return {"f", {{"t", 1}, {"y", n}, {"p", n}}, {{"dy", n}}}; }

int64_t CountSteps(const Plan& plan, Step::Kind kind) {
  int64_t count = 0;
  for (const Block& block : plan.blocks) {
    for (const Step& step : block.steps) count += step.kind == kind ? 1 : 0;
  }
  return count;
}

TEST(Plan, UniformInputsStayScalarUntilTheyMeetVaryingOnes) {
  FunctionBuilder b = Builder(1);
  const ValueId p = b.Input(2, 0, {});
  const ValueId q = b.Unary(Op::kExp, p);
  const ValueId r = b.Binary(Op::kMul, q, b.Input(1, 0, {}));
  b.Result(r, 0, 0);
  const Function f = std::move(b).Build();
  const Plan lanes = MakePlan(f, {.lanes = 8, .uniform_inputs = 0b101}, {}).value();
  int varying = 0;
  for (size_t i = 0; i < f.instructions.size(); ++i) {
    varying += lanes.values[i].varying ? 1 : 0;
    if (f.instructions[i].op == Op::kExp) {
      EXPECT_FALSE(lanes.values[i].varying);
    }
  }
  EXPECT_EQ(varying, 2);  // y and the product
  const Plan scalar = MakePlan(f, {.lanes = 1, .uniform_inputs = 0}, {}).value();
  for (const ValuePlan& value : scalar.values) EXPECT_FALSE(value.varying);
}

TEST(Plan, UniformOutputOfVaryingValueIsRefused) {
  FunctionBuilder b = Builder(1);
  b.Result(b.Binary(Op::kAdd, b.Input(1, 0, {}), b.Input(2, 0, {})), 0, 0);
  const Function f = std::move(b).Build();
  const auto plan = MakePlan(f, {.lanes = 4, .uniform_inputs = 0b100, .uniform_outputs = 1}, {});
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(MakePlan(f, {.lanes = 4, .uniform_inputs = 0b110, .uniform_outputs = 1}, {}).ok());
}

Instruction Make(Op op, std::initializer_list<ValueId> operands,
                 std::initializer_list<int64_t> attributes) {
  Instruction instruction;
  instruction.op = op;
  instruction.operands = operands;
  instruction.attributes = attributes;
  return instruction;
}

TEST(Plan, UnusedInstructionsAreSkipped) {
  Function f;
  f.inputs = {{"x", 1}};
  f.outputs = {{"y", 1}};
  f.instructions.push_back(Make(Op::kInput, {}, {0, 0}));
  f.instructions.push_back(Make(Op::kExp, {0}, {}));
  f.instructions.push_back(Make(Op::kNeg, {0}, {}));
  f.results = {{.value = 2, .buffer = 0, .offset = 0}};
  const Plan plan = MakePlan(f, {}, {}).value();
  EXPECT_FALSE(plan.values[1].used);
  EXPECT_EQ(plan.num_math_calls, 0);
}

TEST(Plan, ConsecutiveElementwiseOpsShareALoop) {
  FunctionBuilder b = Builder(100);
  ValueId x = b.Input(1, 0, {100});
  const ValueId p = b.Input(2, 0, {100});
  for (const Op op : {Op::kMul, Op::kAdd, Op::kSub}) x = b.Binary(op, b.Unary(Op::kTanh, x), p);
  b.Result(x, 0, 0);
  const Function f = std::move(b).Build();
  const Plan plan = MakePlan(f, {}, {}).value();
  EXPECT_EQ(CountSteps(plan, Step::Kind::kLoop), 1);
  EXPECT_EQ(plan.scratch_size, 0)
      << "nothing inside the loop needs memory, and the result has its own";
}

TEST(Plan, IndependentCallsAreBatched) {
  FunctionBuilder b = Builder(20);
  for (int i = 0; i < 20; ++i) {
    const ValueId gate =
        b.Unary(Op::kSigmoid, b.Binary(Op::kMul, b.Input(1, i, {}), b.Input(2, i, {})));
    b.Result(b.Binary(Op::kSub, gate, b.Input(1, i, {})), 0, i);
  }
  const Function f = std::move(b).Build();
  EXPECT_EQ(CountSteps(MakePlan(f, {}, {.batch_width = 8}).value(), Step::Kind::kBatch), 3);
  EXPECT_EQ(CountSteps(MakePlan(f, {}, {.batch_width = 1}).value(), Step::Kind::kBatch), 0);
  // In lanes the vector is the lanes, unless the operands are uniform.
  EXPECT_EQ(CountSteps(MakePlan(f, {.lanes = 8}, {.batch_width = 8}).value(), Step::Kind::kBatch),
            0);
  const KernelSpec uniform = {.lanes = 8, .uniform_inputs = 0b111};
  EXPECT_EQ(CountSteps(MakePlan(f, uniform, {.batch_width = 8}).value(), Step::Kind::kBatch), 3);
}

TEST(Plan, ChainsOfCallsAreNotBatched) {
  FunctionBuilder b = Builder(1);
  ValueId x = b.Input(1, 0, {});
  for (int i = 0; i < 5; ++i) x = b.Unary(Op::kSin, x);
  b.Result(x, 0, 0);
  const Plan plan = MakePlan(std::move(b).Build(), {}, {.batch_width = 8}).value();
  for (const Step& step : plan.blocks[0].steps) EXPECT_LE(step.members.size(), 1u);
}

// Operands come before their users in the order of steps, whatever was moved.
TEST(Plan, OrderRespectsOperands) {
  FunctionBuilder b = Builder(60);
  std::vector<ValueId> values;
  for (int i = 0; i < 60; ++i) values.push_back(b.Input(1, i, {}));
  const Op ops[] = {Op::kExp, Op::kSin, Op::kTanh, Op::kNeg};
  for (int i = 0; i < 600; ++i) {
    const ValueId x = b.Unary(ops[i % 4], values[(i * 7919) % values.size()]);
    values.push_back(b.Binary(Op::kAdd, x, values[(i * 104729) % values.size()]));
  }
  for (int i = 0; i < 60; ++i) b.Result(values[values.size() - 60 + i], 0, i);
  const Function f = std::move(b).Build();
  const Plan plan = MakePlan(f, {}, {.block_size = 64, .batch_width = 8}).value();
  std::vector<int64_t> step_of(f.instructions.size(), -1);
  int64_t now = 0;
  for (const Block& block : plan.blocks) {
    for (const Step& step : block.steps) {
      std::set<ValueId> defined(step.values.begin(), step.values.end());
      for (const BatchMember& member : step.members) defined.insert(member.value);
      for (ValueId id : defined) {
        for (ValueId operand : f.instructions[id].operands) {
          if (plan.values[operand].block >= 0) {
            ASSERT_GE(step_of[operand], 0);
            ASSERT_LT(step_of[operand], now);
          }
        }
      }
      for (ValueId id : defined) step_of[id] = now;
      ++now;
    }
  }
}

TEST(Plan, BlocksAreBoundedAndLinear) {
  for (const int64_t n : {100, 1000, 10000}) {
    FunctionBuilder b = Builder(n);
    for (int64_t i = 0; i < n; ++i) {
      b.Result(b.Binary(Op::kMul, b.Input(1, i, {}), b.Input(2, i, {})), 0, i);
    }
    const Plan plan = MakePlan(std::move(b).Build(), {}, {.block_size = 50}).value();
    EXPECT_EQ(plan.blocks.size(), static_cast<size_t>(n / 25));  // a product and its store
    for (const Block& block : plan.blocks) EXPECT_LE(block.steps.size(), 51u);
  }
}

TEST(Plan, ConstantResultsAreBoundedToo) {
  Function f;
  f.outputs = {{"y", 10000}};
  f.constants = {{1.5}};
  f.instructions.push_back(Make(Op::kConstant, {}, {0}));
  for (int i = 0; i < 10000; ++i) f.results.push_back({.value = 0, .buffer = 0, .offset = i});
  const Plan plan = MakePlan(f, {}, {.block_size = 100}).value();
  EXPECT_EQ(plan.blocks.size(), 100u);
}

TEST(Plan, ScratchIsReused) {
  FunctionBuilder b("f", {{"y", 100}}, {{"out", 100}});
  ValueId x = b.Input(0, 0, {10, 10});
  for (int i = 0; i < 50; ++i) x = b.Unary(Op::kTanh, b.Transpose(x));
  b.Result(x, 0, 0);
  const Plan plan = MakePlan(std::move(b).Build(), {}, {}).value();
  EXPECT_LE(plan.scratch_size, 300);
}

TEST(Plan, TooMuchScratchIsRefused) {
  const int64_t n = limits::kMaxTensorElements;
  FunctionBuilder b("f", {{"y", 1}}, {{"out", 1}});
  std::vector<ValueId> tensors;
  for (int i = 0; i < 4; ++i) {
    tensors.push_back(
        b.BroadcastTo(b.Binary(Op::kAdd, b.Input(0, 0, {}), b.Constant(i + 0.5)), {n}));
  }
  // All four are alive until the last product.
  ValueId sum = b.Sum(tensors[0]);
  for (ValueId tensor : tensors) sum = b.Binary(Op::kAdd, sum, b.Matmul(tensor, tensors[0]));
  b.Result(sum, 0, 0);
  const auto plan = MakePlan(std::move(b).Build(), {}, {});
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kResourceExhausted) << plan.status();
}

TEST(Plan, TooManyOperationsAreRefused) {
  FunctionBuilder b("f", {{"y", 8}}, {{"out", 8}});
  ValueId x = b.Input(0, 0, {8});
  for (int i = 0; i < 60'000; ++i) x = b.Powi(x, 1023);  // eighteen products of eight elements
  b.Result(x, 0, 0);
  const auto plan = MakePlan(std::move(b).Build(), {}, {});
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kResourceExhausted) << plan.status();
}

}  // namespace
}  // namespace costate::codegen

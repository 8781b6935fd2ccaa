#include "engine/codegen/instruction_kind.h"

#include "engine/model/function_builder.h"
#include "gtest/gtest.h"

namespace costate::codegen {
namespace {

TEST(InstructionKind, SizeDecidesBetweenRegistersLoopsAndRuntime) {
  FunctionBuilder b("f", {{"y", 100}}, {});
  const ValueId small = b.Unary(Op::kTanh, b.Input(0, 0, {2, 4}));
  const ValueId large = b.Unary(Op::kTanh, b.Input(0, 0, {10, 10}));
  const ValueId spread = b.BroadcastTo(b.Sum(large), {20});
  const auto kind = [&](ValueId id, int64_t register_elements = kMaxRegisterElements) {
    const Instruction& instruction = b.instruction(id);
    const bool loop = IsLoopInstruction(b.function(), instruction, register_elements);
    const bool runtime = UsesRuntime(b.function(), instruction, register_elements);
    EXPECT_FALSE(loop && runtime);
    return loop ? "loop" : runtime ? "runtime" : "registers";
  };
  EXPECT_STREQ(kind(small), "registers");
  EXPECT_STREQ(kind(small, 4), "loop");
  EXPECT_STREQ(kind(large), "loop");
  EXPECT_STREQ(kind(spread), "loop");
  EXPECT_STREQ(kind(b.Transpose(small)), "registers");
  EXPECT_STREQ(kind(b.Transpose(small), 4), "runtime");
  EXPECT_STREQ(kind(b.Sum(large)), "runtime");
  EXPECT_STREQ(kind(b.Matmul(small, small, true, false)), "runtime");  // 16 results
  EXPECT_STREQ(kind(b.Matmul(small, small, false, true)), "registers");
  EXPECT_STREQ(kind(b.Slice(large, {0, 1, 1, 0, 3, 1})), "registers");
  EXPECT_STREQ(kind(b.Slice(large, {0, 10, 2, 0, 10, 1})), "runtime");
}

TEST(InstructionKind, ContiguousSlices) {
  FunctionBuilder b("f", {{"y", 1000}}, {});
  const ValueId x = b.Unary(Op::kTanh, b.Input(0, 0, {10, 10, 10}));
  const auto start = [&](std::vector<int64_t> slice) {
    return ContiguousSliceStart(b.function(), b.instruction(b.Slice(x, std::move(slice))));
  };
  EXPECT_EQ(start({2, 5, 1, 0, 10, 1, 0, 10, 1}), 200);
  EXPECT_EQ(start({2, 3, 1, 4, 9, 1, 0, 10, 1}), 240);
  EXPECT_EQ(start({2, 3, 1, 4, 5, 1, 3, 9, 1}), 243);
  EXPECT_EQ(start({0, 10, 2, 0, 10, 1, 0, 10, 1}), -1);
  EXPECT_EQ(start({2, 4, 1, 1, 9, 1, 0, 10, 1}), -1);
  EXPECT_EQ(start({2, 4, 1, 0, 10, 1, 0, 9, 1}), -1);
}

}  // namespace
}  // namespace costate::codegen

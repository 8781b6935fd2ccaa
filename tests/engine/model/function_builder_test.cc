// Construction, sharing and pruning.
#include "engine/model/function_builder.h"

#include <cmath>
#include <string>
#include <vector>

#include "engine/interpreter/interpreter.h"
#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/random_function.h"

namespace costate {
namespace {

using ::testing::ElementsAre;

FunctionBuilder Vector(int64_t n) { return FunctionBuilder("f", {{"x", n}}, {{"out", n}}); }

TEST(FunctionBuilderTest, EqualInstructionsAreOneValue) {
  FunctionBuilder b = Vector(4);
  const ValueId x = b.Input(0, 0, {2});
  const ValueId y = b.Input(0, 2, {2});
  EXPECT_EQ(b.Input(0, 0, {2}), x);
  EXPECT_NE(b.Input(0, 0, {2, 1}), x);
  EXPECT_EQ(b.Unary(Op::kSin, x), b.Unary(Op::kSin, x));
  EXPECT_NE(b.Unary(Op::kSin, x), b.Unary(Op::kCos, x));
  EXPECT_EQ(b.Binary(Op::kMul, x, y), b.Binary(Op::kMul, y, x));
  EXPECT_NE(b.Binary(Op::kSub, x, y), b.Binary(Op::kSub, y, x));
  EXPECT_NE(b.Binary(Op::kMin, x, y), b.Binary(Op::kMin, y, x));  // a tie goes to the first
  EXPECT_NE(b.Powi(x, 3), b.Powi(x, 4));
  EXPECT_NE(b.Matmul(x, y), b.Outer(x, y));
  EXPECT_NE(b.Pad(x, {0, 1}, {3}), b.Pad(x, {0, 1}, {4}));
  EXPECT_NE(b.Concat({x, y}, 0), b.Concat({x, y, x}, 0));
}

TEST(FunctionBuilderTest, ConstantsAreSharedByTheirBits) {
  FunctionBuilder b = Vector(1);
  EXPECT_EQ(b.Constant(0.5), b.Constant(0.5));
  EXPECT_NE(b.Constant(0.0), b.Constant(-0.0));
  EXPECT_EQ(b.Constant(std::nan("")), b.Constant(std::nan("")));
  EXPECT_EQ(b.Constant({1, 2}, {2}), b.Constant({1, 2}, {2}));
  EXPECT_NE(b.Constant({1, 2}, {2}), b.Constant({1, 2}, {2, 1}));
}

TEST(FunctionBuilderTest, BuildDropsWhatNoResultNeeds) {
  FunctionBuilder b = Vector(1);
  const ValueId x = b.Input(0, 0, {});
  b.Unary(Op::kExp, x);
  b.Constant({1, 2, 3}, {3});
  const ValueId two = b.Constant(2);
  b.Result(b.Binary(Op::kPow, x, two), 0, 0);
  const Function f = std::move(b).Build();
  EXPECT_EQ(PrintFunction(f),
            "f: inputs {x[1]} -> outputs {out[1]}\n"
            "  %0 = input {0, 0} : f64\n"
            "  %1 = constant 2 : f64\n"
            "  %2 = pow %0, %1 : f64\n"
            "  return out[0] = %2\n");
  EXPECT_EQ(f.constants.size(), 1);
  EXPECT_TRUE(VerifyFunction(f).ok());
}

TEST(FunctionBuilderTest, InstructionsCarryTheLocation) {
  FunctionBuilder b = Vector(1);
  const ValueId x = b.Input(0, 0, {});
  b.set_location({3, 7, 2});
  const ValueId y = b.Unary(Op::kSin, x);
  b.set_location({4, 1, 1});
  EXPECT_EQ(b.Unary(Op::kSin, x), y);
  EXPECT_EQ(b.instruction(y).location.line, 3);
  EXPECT_EQ(b.instruction(x).location.line, 0);
}

TEST(FunctionBuilderDeathTest, WrongShapesAbort) {
  FunctionBuilder b = Vector(5);
  const ValueId x = b.Input(0, 0, {2});
  const ValueId y = b.Input(0, 2, {3});
  EXPECT_DEATH(b.Binary(Op::kAdd, x, y), "add: operand shapes \\[2\\] and \\[3\\] differ");
  EXPECT_DEATH(b.Constant({1, 2}, {3}), "constant has 2 elements");
}

TEST(FunctionBuilderTest, CopyTakesAnInstructionToAnotherFunction) {
  FunctionBuilder source = Vector(2);
  const ValueId c = source.Constant({5, 6}, {2});
  const ValueId sum = source.Sum(source.Input(0, 0, {2}));
  FunctionBuilder b = Vector(2);
  b.Constant(9);
  const ValueId copy = b.Copy(source.function(), source.instruction(c), {});
  EXPECT_THAT(*b.constant(copy), ElementsAre(5, 6));
  const ValueId operands[] = {copy};
  const ValueId copied_sum = b.Copy(source.function(), source.instruction(sum), operands);
  EXPECT_EQ(b.instruction(copied_sum).op, Op::kSum);
  EXPECT_EQ(b.constant(copied_sum), nullptr);
}

// 100,000 different instructions and as many equal ones.
TEST(FunctionBuilderTest, SharingIsLinear) {
  FunctionBuilder b = Vector(1);
  for (int round = 0; round < 2; ++round) {
    ValueId x = b.Input(0, 0, {});
    for (int i = 0; i < 100'000; ++i) x = b.Unary(i % 3 == 0 ? Op::kSin : Op::kCos, x);
  }
  EXPECT_EQ(b.function().instructions.size(), 100'001);
}

}  // namespace
}  // namespace costate

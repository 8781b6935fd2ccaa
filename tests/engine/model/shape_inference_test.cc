// Shape rules: what each op gives, and the text of each refusal.
#include <limits>
#include <string>
#include <vector>

#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

struct Row {
  Op op;
  std::vector<Shape> operands;  // f64 inputs of these shapes
  std::vector<int64_t> attributes;
  Shape given;           // for the ops whose shape is an argument
  std::string expected;  // shape, or part of the message
};

Function WithInputs(const std::vector<Shape>& shapes) {
  Function f;
  f.name = "f";
  f.constants = {{1, 2, 3}};
  for (const Shape& shape : shapes) {
    Instruction input;
    input.op = Op::kInput;
    input.shape = shape;
    input.attributes = {static_cast<int64_t>(f.inputs.size()), 0};
    f.inputs.push_back({"x", NumElements(shape)});
    f.instructions.push_back(input);
  }
  return f;
}

std::string Infer(const Row& row) {
  const Function f = WithInputs(row.operands);
  Instruction instruction;
  instruction.op = row.op;
  instruction.shape = row.given;
  instruction.attributes.assign(row.attributes.begin(), row.attributes.end());
  for (size_t i = 0; i < row.operands.size(); ++i) {
    instruction.operands.push_back(static_cast<ValueId>(i));
  }
  const absl::Status status = InferShape(f, &instruction);
  return status.ok() ? ShapeToString(instruction.shape) : std::string(status.message());
}

void Check(const std::vector<Row>& rows) {
  for (const Row& row : rows) EXPECT_THAT(Infer(row), HasSubstr(row.expected)) << OpName(row.op);
}

TEST(ShapeInferenceTest, Elementwise) {
  Check({
      {Op::kExp, {{2, 3}}, {}, {}, "[2, 3]"},
      {Op::kAdd, {{3}, {3}}, {}, {}, "[3]"},
      {Op::kAdd, {{}, {3}}, {}, {}, "[3]"},
      {Op::kAdd, {{3}, {}}, {}, {}, "[3]"},
      {Op::kAdd, {{}, {}}, {}, {}, "[]"},
      {Op::kLt, {{2}, {}}, {}, {}, "[2]"},
      {Op::kAdd, {{3}, {4}}, {}, {}, "operand shapes [3] and [4] differ"},
      {Op::kAdd, {{1}, {3}}, {}, {}, "operand shapes [1] and [3] differ"},
      {Op::kAdd, {{3}}, {}, {}, "has 1 operands, expected 2"},
      {Op::kExp, {{3}}, {7}, {}, "has 1 attributes, expected 0"},
      {Op::kPowi, {{3}}, {1025}, {}, "exponent 1025 is outside"},
      {Op::kPowi, {{3}}, {-kHuge - 1}, {}, "is outside [-1024, 1024]"},
      {Op::kNot, {{3}}, {}, {}, "operand 0 is f64, expected bool"},
      {Op::kSelect, {{3}, {3}, {3}}, {}, {}, "operand 0 is f64, expected bool"},
  });
}

TEST(ShapeInferenceTest, Leaves) {
  Check({
      {Op::kConstant, {}, {0}, {3}, "[3]"},
      {Op::kConstant, {}, {0}, {2}, "constant has 3 elements, shape [2] needs 2"},
      {Op::kConstant, {}, {1}, {3}, "constant 1 does not exist"},
      {Op::kConstant, {}, {-1}, {3}, "constant -1 does not exist"},
      {Op::kConstant, {}, {0}, {kHuge, kHuge}, "more than 16777216 elements"},
      {Op::kConstant, {}, {0}, {1, 1, 1, 1, 3}, "shape has 5 axes, at most 4"},
      {Op::kConstant, {}, {0}, {0, kHuge}, "an extent below 1"},
      {Op::kConstant, {}, {0}, {-3, -1}, "an extent below 1"},
      {Op::kInput, {}, {0, 0}, {}, "input buffer 0 does not exist"},
  });
  const Function f = WithInputs({{4}});
  for (int64_t offset : {int64_t{-1}, int64_t{3}, kHuge}) {
    Instruction input;
    input.op = Op::kInput;
    input.shape = {2};
    input.attributes = {0, offset};
    EXPECT_THAT(std::string(InferShape(f, &input).message()),
                HasSubstr("reads 2 elements from " + std::to_string(offset)));
  }
}

TEST(ShapeInferenceTest, Structure) {
  Check({
      {Op::kSum, {{2, 3}}, {-1}, {}, "[]"},
      {Op::kSum, {{2, 3}}, {0}, {}, "[3]"},
      {Op::kSum, {{2, 3}}, {2}, {}, "axis 2 does not exist"},
      {Op::kSum, {{2, 3}}, {-2}, {}, "axis -2 does not exist"},
      {Op::kReshape, {{2, 3}}, {}, {6}, "[6]"},
      {Op::kReshape, {{2, 3}}, {}, {5}, "different numbers of elements"},
      {Op::kTranspose, {{2, 3}}, {}, {}, "[3, 2]"},
      {Op::kTranspose, {{3}}, {}, {}, "operand has rank 1, expected 2"},
      {Op::kBroadcastTo, {{3, 1}}, {}, {2, 3, 4}, "[2, 3, 4]"},
      {Op::kBroadcastTo, {{3}}, {}, {3, 2}, "[3] does not broadcast to [3, 2]"},
      {Op::kBroadcastTo, {{2, 3}}, {}, {3}, "does not broadcast"},
      {Op::kBroadcastTo, {{}}, {}, {4096, 4097}, "more than 16777216 elements"},
      {Op::kSumTo, {{2, 3, 4}}, {}, {3, 1}, "[3, 1]"},
      {Op::kSumTo, {{2, 3}}, {}, {2}, "[2] does not broadcast to [2, 3]"},
      {Op::kSlice, {{5}}, {1, 5, 2}, {}, "[2]"},
      {Op::kSlice, {{5}}, {0, 1, kHuge}, {}, "[1]"},
      {Op::kSlice, {{5}}, {2, 2, 1}, {}, "range 2:2:1 of axis 0 is empty or outside"},
      {Op::kSlice, {{5}}, {0, 6, 1}, {}, "is empty or outside shape [5]"},
      {Op::kSlice, {{5}}, {-1, 2, 1}, {}, "is empty or outside"},
      {Op::kSlice, {{5}}, {0, 2, 0}, {}, "is empty or outside"},
      {Op::kSlice, {{5}}, {0, 2}, {}, "has 2 attributes, expected 3 per axis"},
      {Op::kPad, {{2}}, {1, 3}, {5}, "[5]"},
      {Op::kPad, {{2}}, {1, 3}, {4}, "does not fit axis 0"},
      {Op::kPad, {{2}}, {1, kHuge}, {5}, "does not fit axis 0"},
      {Op::kPad, {{2}}, {kHuge, 1}, {5}, "does not fit axis 0"},
      {Op::kPad, {{2}}, {0, 1}, {2, 2}, "expected 2 attributes per axis"},
      {Op::kConcat, {{2, 3}, {2, 1}}, {1}, {}, "[2, 4]"},
      {Op::kConcat, {{2, 3}, {3, 1}}, {1}, {}, "does not fit the others along axis 1"},
      {Op::kConcat, {{2, 3}, {2}}, {0}, {}, "operand 1 of shape [2] does not fit"},
      {Op::kConcat, {{}, {}}, {0}, {}, "axis 0 does not exist in shape []"},
      {Op::kConcat, {}, {0}, {}, "has 0 operands, expected at least 1"},
      {Op::kConcat, {{16777216}, {1}}, {0}, {}, "more than 16777216 elements"},
  });
}

TEST(ShapeInferenceTest, Contract) {
  Check({
      {Op::kMatmul, {{2, 3}, {3, 4}}, {0, 0}, {}, "[2, 4]"},
      {Op::kMatmul, {{3, 2}, {4, 3}}, {1, 1}, {}, "[2, 4]"},
      {Op::kMatmul, {{2, 3}, {3}}, {0, 0}, {}, "[2]"},
      {Op::kMatmul, {{3}, {3, 4}}, {0, 0}, {}, "[4]"},
      {Op::kMatmul, {{3}, {3}}, {0, 0}, {}, "[]"},
      {Op::kMatmul, {{2, 3}, {2}}, {0, 0}, {}, "inner extents 3 and 2 differ: [2, 3] @ [2]"},
      {Op::kMatmul, {{3}, {3}}, {1, 0}, {}, "transpose flag 1 does not fit operand 0 of rank 1"},
      {Op::kMatmul, {{3, 3}, {3}}, {2, 0}, {}, "transpose flag 2"},
      {Op::kMatmul, {{}, {3}}, {0, 0}, {}, "operand 0 has rank 0, expected 1 or 2"},
      {Op::kMatmul, {{5000, 1}, {1, 5000}}, {0, 0}, {}, "more than 16777216 elements"},
      {Op::kOuter, {{2}, {3}}, {}, {}, "[2, 3]"},
      {Op::kOuter, {{2}, {3, 1}}, {}, {}, "expected vectors"},
      {Op::kOuter, {{5000}, {5000}}, {}, {}, "more than 16777216 elements"},
  });
}

TEST(ShapeInferenceTest, ConditionsAreBoolAndStayOutOfArithmetic) {
  Function f = WithInputs({{3}, {}});
  Instruction compare;
  compare.op = Op::kLe;
  compare.operands = {0, 1};
  ASSERT_TRUE(InferShape(f, &compare).ok());
  EXPECT_EQ(compare.dtype, DType::kBool);
  EXPECT_EQ(compare.shape, Shape{3});
  f.instructions.push_back(compare);
  for (Op op : {Op::kExp, Op::kSum, Op::kReshape}) {
    Instruction use;
    use.op = op;
    use.operands = {2};
    use.shape = {3};
    if (op == Op::kSum) use.attributes = {-1};
    EXPECT_THAT(std::string(InferShape(f, &use).message()), HasSubstr("is bool, expected f64"));
  }
  Instruction select;
  select.op = Op::kSelect;
  select.operands = {2, 1, 0};
  ASSERT_TRUE(InferShape(f, &select).ok());
  EXPECT_EQ(select.dtype, DType::kF64);
  EXPECT_EQ(select.shape, Shape{3});
}

TEST(ShapeInferenceTest, RefusesForeignOpsAndOperands) {
  const Function f = WithInputs({{3}});
  Instruction instruction;
  instruction.op = static_cast<Op>(200);
  EXPECT_EQ(InferShape(f, &instruction).message(), "unknown op");
  instruction.op = Op::kExp;
  for (ValueId id : {-1, 1, std::numeric_limits<ValueId>::max()}) {
    instruction.operands = {id};
    EXPECT_THAT(std::string(InferShape(f, &instruction).message()), HasSubstr("does not exist"));
  }
}

}  // namespace
}  // namespace costate

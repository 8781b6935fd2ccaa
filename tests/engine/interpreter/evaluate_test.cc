// Every op against the C math library or a value worked out by hand.
#include "engine/interpreter/evaluate.h"

#include <cmath>
#include <limits>
#include <vector>

#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using ::testing::ElementsAre;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

// Evaluates one instruction over operands of these shapes and elements.
struct Operand {
  Shape shape;
  std::vector<double> elements;
};

std::vector<double> Evaluate(Op op, const std::vector<Operand>& operands,
                             std::vector<int64_t> attributes = {}, Shape shape = {}) {
  Function f;
  f.name = "f";
  std::vector<std::vector<double>> inputs;
  Instruction instruction;
  instruction.op = op;
  instruction.attributes.assign(attributes.begin(), attributes.end());
  instruction.shape = shape;
  for (const Operand& operand : operands) {
    Instruction input;
    input.op = Op::kInput;
    input.shape = operand.shape;
    input.attributes = {static_cast<int64_t>(inputs.size()), 0};
    f.inputs.push_back({"x", static_cast<int64_t>(operand.elements.size())});
    instruction.operands.push_back(static_cast<ValueId>(inputs.size()));
    inputs.push_back(operand.elements);
    f.instructions.push_back(input);
  }
  EXPECT_TRUE(InferShape(f, &instruction).ok()) << InferShape(f, &instruction);
  f.instructions.push_back(instruction);
  ValueId result = static_cast<ValueId>(f.instructions.size()) - 1;
  if (instruction.dtype == DType::kBool) {
    Instruction one;
    one.op = Op::kConstant;
    one.attributes = {0};
    f.constants = {{1}, {0}};
    f.instructions.push_back(one);
    one.attributes = {1};
    f.instructions.push_back(one);
    Instruction select;
    select.op = Op::kSelect;
    select.operands = {result, result + 1, result + 2};
    EXPECT_TRUE(InferShape(f, &select).ok());
    f.instructions.push_back(select);
    result += 3;
  }
  f.outputs = {{"out", NumElements(instruction.shape)}};
  f.results = {{result, 0, 0}};
  EXPECT_TRUE(VerifyFunction(f).ok()) << VerifyFunction(f);
  return Interpret(f, inputs)[0];
}

double Scalar(Op op, std::vector<double> operands, std::vector<int64_t> attributes = {}) {
  std::vector<Operand> scalars;
  for (double x : operands) scalars.emplace_back().elements = {x};
  return Evaluate(op, scalars, std::move(attributes))[0];
}

TEST(EvaluateTest, UnaryOpsAreThoseOfTheMathLibrary) {
  struct Row {
    Op op;
    double (*f)(double);
  };
  const Row rows[] = {{Op::kAbs, std::fabs},    {Op::kFloor, std::floor}, {Op::kSqrt, std::sqrt},
                      {Op::kExp, std::exp},     {Op::kExpm1, std::expm1}, {Op::kLog, std::log},
                      {Op::kLog1p, std::log1p}, {Op::kSin, std::sin},     {Op::kCos, std::cos},
                      {Op::kTan, std::tan},     {Op::kAsin, std::asin},   {Op::kAcos, std::acos},
                      {Op::kAtan, std::atan},   {Op::kSinh, std::sinh},   {Op::kCosh, std::cosh},
                      {Op::kTanh, std::tanh},   {Op::kAsinh, std::asinh}, {Op::kAcosh, std::acosh},
                      {Op::kAtanh, std::atanh}, {Op::kErf, std::erf}};
  for (const Row& row : rows) {
    for (double x : {-2.5, -0.75, -0.0, 0.0, 0.3, 1.0, 2.25, 40.0}) {
      const double expected = row.f(x);
      const double value = Scalar(row.op, {x});
      EXPECT_TRUE(value == expected || (std::isnan(value) && std::isnan(expected)))
          << OpName(row.op) << "(" << x << ")";
    }
  }
  EXPECT_EQ(Scalar(Op::kNeg, {3.5}), -3.5);
  EXPECT_TRUE(std::signbit(Scalar(Op::kNeg, {0.0})));
  EXPECT_EQ(Scalar(Op::kSigmoid, {0}), 0.5);
  EXPECT_EQ(Scalar(Op::kSigmoid, {-1000}), 0);
  EXPECT_DOUBLE_EQ(Scalar(Op::kSigmoid, {2}), 0.88079707797788243);
}

TEST(EvaluateTest, SignMinAndMaxTreatZerosAndNanAsDocumented) {
  EXPECT_EQ(Scalar(Op::kSign, {-4}), -1);
  EXPECT_EQ(Scalar(Op::kSign, {kInf}), 1);
  EXPECT_TRUE(std::signbit(Scalar(Op::kSign, {-0.0})));
  EXPECT_TRUE(std::isnan(Scalar(Op::kSign, {kNan})));
  for (Op op : {Op::kMin, Op::kMax}) {
    EXPECT_TRUE(std::isnan(Scalar(op, {kNan, 1})));
    EXPECT_TRUE(std::isnan(Scalar(op, {1, kNan})));
    EXPECT_TRUE(std::signbit(Scalar(op, {-0.0, 0.0})));
    EXPECT_FALSE(std::signbit(Scalar(op, {0.0, -0.0})));
  }
  EXPECT_EQ(Scalar(Op::kMin, {2, -kInf}), -kInf);
  EXPECT_EQ(Scalar(Op::kMax, {2, 7}), 7);
}

TEST(EvaluateTest, PowiIsTheProduct) {
  EXPECT_EQ(Scalar(Op::kPowi, {kNan}, {0}), 1);
  EXPECT_EQ(Scalar(Op::kPowi, {3}, {1}), 3);
  EXPECT_EQ(Scalar(Op::kPowi, {3}, {5}), 243);
  EXPECT_EQ(Scalar(Op::kPowi, {2}, {-3}), 0.125);
  EXPECT_EQ(Scalar(Op::kPowi, {-2}, {1023}), -std::ldexp(1, 1023));
  EXPECT_EQ(Scalar(Op::kPowi, {0}, {-1}), kInf);
  // Lowest bit first: 1.1^7 = (1.1 * 1.1^2) * 1.1^4.
  const double square = 1.1 * 1.1;
  EXPECT_EQ(Scalar(Op::kPowi, {1.1}, {7}), (1.1 * square) * (square * square));
}

TEST(EvaluateTest, BinaryCompareLogicAndSelect) {
  EXPECT_EQ(Scalar(Op::kAdd, {2, 0.5}), 2.5);
  EXPECT_EQ(Scalar(Op::kSub, {2, 0.5}), 1.5);
  EXPECT_EQ(Scalar(Op::kMul, {2, 0.5}), 1.0);
  EXPECT_EQ(Scalar(Op::kDiv, {2, 0.5}), 4.0);
  EXPECT_EQ(Scalar(Op::kPow, {2, 0.5}), std::sqrt(2.0));
  EXPECT_EQ(Scalar(Op::kAtan2, {-1, -1}), std::atan2(-1, -1));
  const struct {
    Op op;
    double less, equal, greater, nan;
  } rows[] = {
      {Op::kLt, 1, 0, 0, 0}, {Op::kLe, 1, 1, 0, 0}, {Op::kEq, 0, 1, 0, 0}, {Op::kNe, 1, 0, 1, 1}};
  for (const auto& row : rows) {
    EXPECT_EQ(Scalar(row.op, {1, 2}), row.less) << OpName(row.op);
    EXPECT_EQ(Scalar(row.op, {2, 2}), row.equal) << OpName(row.op);
    EXPECT_EQ(Scalar(row.op, {3, 2}), row.greater) << OpName(row.op);
    EXPECT_EQ(Scalar(row.op, {kNan, 2}), row.nan) << OpName(row.op);
  }
  FunctionBuilder b("f", {{"x", 2}}, {{"out", 4}});
  const ValueId x = b.Input(0, 0, {2});
  const ValueId low = b.Binary(Op::kLt, x, b.Constant(1));
  const ValueId high = b.Binary(Op::kLt, b.Constant(0), x);
  const ValueId both = b.Binary(Op::kAnd, low, high);
  const ValueId neither = b.Unary(Op::kNot, b.Binary(Op::kOr, low, high));
  b.Result(b.Select(both, x, b.Constant(-1)), 0, 0);
  b.Result(b.Select(neither, x, b.Constant(-2)), 0, 2);
  EXPECT_THAT(Interpret(std::move(b).Build(), {{0.5, 3}})[0], ElementsAre(0.5, -1, -2, -2));
}

TEST(EvaluateTest, ScalarsAreRepeated) {
  EXPECT_THAT(Evaluate(Op::kSub, {{{2}, {1, 2}}, {{}, {10}}}), ElementsAre(-9, -8));
  EXPECT_THAT(Evaluate(Op::kSub, {{{}, {10}}, {{2}, {1, 2}}}), ElementsAre(9, 8));
}

const Operand kMatrix = {{2, 3}, {1, 2, 3, 4, 5, 6}};

TEST(EvaluateTest, SumsAndBroadcasts) {
  EXPECT_THAT(Evaluate(Op::kSum, {kMatrix}, {-1}), ElementsAre(21));
  EXPECT_THAT(Evaluate(Op::kSum, {kMatrix}, {0}), ElementsAre(5, 7, 9));
  EXPECT_THAT(Evaluate(Op::kSum, {kMatrix}, {1}), ElementsAre(6, 15));
  EXPECT_THAT(Evaluate(Op::kSumTo, {kMatrix}, {}, {}), ElementsAre(21));
  EXPECT_THAT(Evaluate(Op::kSumTo, {kMatrix}, {}, {1, 3}), ElementsAre(5, 7, 9));
  EXPECT_THAT(Evaluate(Op::kSumTo, {kMatrix}, {}, {2, 1}), ElementsAre(6, 15));
  EXPECT_THAT(Evaluate(Op::kSumTo, {kMatrix}, {}, {3}), ElementsAre(5, 7, 9));
  EXPECT_THAT(Evaluate(Op::kBroadcastTo, {{{2, 1}, {1, 2}}}, {}, {2, 3}),
              ElementsAre(1, 1, 1, 2, 2, 2));
  EXPECT_THAT(Evaluate(Op::kBroadcastTo, {{{3}, {1, 2, 3}}}, {}, {2, 3}),
              ElementsAre(1, 2, 3, 1, 2, 3));
}

TEST(EvaluateTest, MovesElements) {
  EXPECT_THAT(Evaluate(Op::kTranspose, {kMatrix}), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_THAT(Evaluate(Op::kReshape, {kMatrix}, {}, {3, 2}), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(Evaluate(Op::kSlice, {kMatrix}, {0, 2, 1, 0, 3, 2}), ElementsAre(1, 3, 4, 6));
  EXPECT_THAT(Evaluate(Op::kSlice, {kMatrix}, {1, 2, 5, 1, 3, 1}), ElementsAre(5, 6));
  EXPECT_THAT(Evaluate(Op::kPad, {{{2, 1}, {7, 8}}}, {0, 2, 1, 1}, {3, 2}),
              ElementsAre(0, 7, 0, 0, 0, 8));
  EXPECT_THAT(Evaluate(Op::kConcat, {kMatrix, {{2, 1}, {7, 8}}}, {1}),
              ElementsAre(1, 2, 3, 7, 4, 5, 6, 8));
  EXPECT_THAT(Evaluate(Op::kConcat, {{{1}, {7}}, {{2}, {8, 9}}}, {0}), ElementsAre(7, 8, 9));
}

TEST(EvaluateTest, Products) {
  const Operand transposed = {{3, 2}, {1, 4, 2, 5, 3, 6}};
  const Operand right = {{3, 2}, {1, 0, 0, 1, 2, 2}};
  const Operand right_transposed = {{2, 3}, {1, 0, 2, 0, 1, 2}};
  const auto product = ElementsAre(7, 8, 16, 17);
  EXPECT_THAT(Evaluate(Op::kMatmul, {kMatrix, right}, {0, 0}), product);
  EXPECT_THAT(Evaluate(Op::kMatmul, {transposed, right}, {1, 0}), product);
  EXPECT_THAT(Evaluate(Op::kMatmul, {kMatrix, right_transposed}, {0, 1}), product);
  EXPECT_THAT(Evaluate(Op::kMatmul, {transposed, right_transposed}, {1, 1}), product);
  EXPECT_THAT(Evaluate(Op::kMatmul, {kMatrix, {{3}, {1, 0, -1}}}, {0, 0}), ElementsAre(-2, -2));
  EXPECT_THAT(Evaluate(Op::kMatmul, {kMatrix, {{2}, {1, -1}}}, {1, 0}), ElementsAre(-3, -3, -3));
  EXPECT_THAT(Evaluate(Op::kMatmul, {{{2}, {1, -1}}, kMatrix}, {0, 0}), ElementsAre(-3, -3, -3));
  EXPECT_THAT(Evaluate(Op::kMatmul, {{{3}, {1, 0, -1}}, kMatrix}, {0, 1}), ElementsAre(-2, -2));
  EXPECT_THAT(Evaluate(Op::kMatmul, {{{2}, {3, 4}}, {{2}, {5, 6}}}, {0, 0}), ElementsAre(39));
  EXPECT_THAT(Evaluate(Op::kOuter, {{{2}, {1, 2}}, {{3}, {3, 4, 5}}}),
              ElementsAre(3, 4, 5, 6, 8, 10));
}

}  // namespace
}  // namespace costate

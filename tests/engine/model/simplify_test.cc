// Each rewriting, and the property they share: not a bit of any value changes.
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/random_function.h"

namespace costate {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class SimplifyTest : public ::testing::Test {
 protected:
  FunctionBuilder b{"f", {{"x", 12}}, {{"out", 1}}};
  ValueId x = b.Input(0, 0, {});
  ValueId y = b.Input(0, 1, {});
  ValueId v = b.Input(0, 0, {3});
  ValueId one = b.Constant(1);
  ValueId zero = b.Constant(0);

  std::string Text(ValueId id) const {
    const Instruction& instruction = b.instruction(id);
    return std::string(OpName(instruction.op)) + ShapeToString(instruction.shape);
  }
};

TEST_F(SimplifyTest, NeutralElements) {
  EXPECT_EQ(b.Binary(Op::kMul, x, one), x);
  EXPECT_EQ(b.Binary(Op::kMul, one, v), v);
  EXPECT_EQ(b.Binary(Op::kDiv, v, one), v);
  EXPECT_EQ(b.Binary(Op::kSub, v, zero), v);
  EXPECT_EQ(b.Binary(Op::kAdd, v, b.Constant(-0.0)), v);
  EXPECT_EQ(b.Binary(Op::kMul, v, b.Constant({1, 1, 1}, {3})), v);
  EXPECT_EQ(b.Powi(x, 1), x);
  EXPECT_EQ(b.Binary(Op::kMul, x, b.Constant(-1)), b.Unary(Op::kNeg, x));
}

TEST_F(SimplifyTest, KeepsWhatCouldChangeABit) {
  EXPECT_EQ(Text(b.Binary(Op::kAdd, x, zero)), "add[]");              // -0 + 0 = 0
  EXPECT_EQ(Text(b.Binary(Op::kSub, x, b.Constant(-0.0))), "sub[]");  // -0 - -0 = 0
  EXPECT_EQ(Text(b.Binary(Op::kMul, x, zero)), "mul[]");              // inf * 0
  EXPECT_EQ(Text(b.Binary(Op::kSub, x, x)), "sub[]");                 // inf - inf
  EXPECT_EQ(Text(b.Binary(Op::kDiv, one, x)), "div[]");
  // x * [1] is not x: the shape differs.
  EXPECT_EQ(Text(b.Binary(Op::kMul, x, b.Constant({1, 1}, {2}))), "mul[2]");
  // 1 / 3 is not a rounding of x / 3.
  EXPECT_EQ(Text(b.Binary(Op::kDiv, x, b.Constant(3))), "div[]");
}

TEST_F(SimplifyTest, Signs) {
  const ValueId minus_x = b.Unary(Op::kNeg, x);
  const ValueId minus_y = b.Unary(Op::kNeg, y);
  EXPECT_EQ(b.Unary(Op::kNeg, minus_x), x);
  EXPECT_EQ(b.Binary(Op::kAdd, x, minus_y), b.Binary(Op::kSub, x, y));
  EXPECT_EQ(b.Binary(Op::kAdd, minus_x, y), b.Binary(Op::kSub, y, x));
  EXPECT_EQ(b.Binary(Op::kSub, x, minus_y), b.Binary(Op::kAdd, x, y));
  EXPECT_EQ(b.Binary(Op::kMul, minus_x, minus_y), b.Binary(Op::kMul, x, y));
  EXPECT_EQ(b.Binary(Op::kMul, minus_x, y), b.Unary(Op::kNeg, b.Binary(Op::kMul, x, y)));
  EXPECT_EQ(b.Binary(Op::kDiv, minus_x, b.Constant(18)), b.Binary(Op::kDiv, x, b.Constant(-18)));
  EXPECT_EQ(b.Binary(Op::kDiv, one, minus_y), b.Binary(Op::kDiv, b.Constant(-1), y));
  EXPECT_EQ(b.Binary(Op::kDiv, x, minus_y), b.Unary(Op::kNeg, b.Binary(Op::kDiv, x, y)));
  EXPECT_EQ(b.Binary(Op::kDiv, minus_x, minus_y), b.Binary(Op::kDiv, x, y));
}

TEST_F(SimplifyTest, FoldsCorrectlyRoundedOpsOnly) {
  EXPECT_EQ(*b.constant(b.Binary(Op::kDiv, one, b.Constant(3))), std::vector<double>{1.0 / 3});
  EXPECT_EQ(*b.constant(b.Unary(Op::kSqrt, b.Constant(2))), std::vector<double>{std::sqrt(2.0)});
  EXPECT_EQ(*b.constant(b.Binary(Op::kMul, b.Constant({2, 3}, {2}), b.Constant(0.5))),
            (std::vector<double>{1, 1.5}));
  EXPECT_EQ(Text(b.Unary(Op::kExp, one)), "exp[]");
}

TEST_F(SimplifyTest, KnownConditions) {
  const ValueId yes = b.Binary(Op::kLt, zero, one);
  const ValueId no = b.Unary(Op::kNot, yes);
  const ValueId open = b.Binary(Op::kLt, x, one);
  EXPECT_EQ(b.Select(yes, x, y), x);
  EXPECT_EQ(b.Select(no, x, y), y);
  EXPECT_EQ(b.Select(b.Binary(Op::kAnd, open, no), x, y), y);
  EXPECT_EQ(b.Select(b.Binary(Op::kOr, yes, open), x, y), x);
  EXPECT_EQ(Text(b.Select(b.Binary(Op::kAnd, open, yes), x, y)), "select[]");
  EXPECT_EQ(b.Select(open, y, y), y);
  EXPECT_EQ(Text(b.Select(yes, x, v)), "broadcast_to[3]");
  EXPECT_EQ(b.Select(b.Binary(Op::kEq, b.Constant(kNan), b.Constant(kNan)), x, y), y);
}

TEST_F(SimplifyTest, RepeatedScalarsStayScalars) {
  const ValueId xs = b.BroadcastTo(x, {3});
  EXPECT_EQ(b.Binary(Op::kMul, xs, v), b.Binary(Op::kMul, x, v));
  const ValueId product = b.Binary(Op::kMul, xs, b.BroadcastTo(y, {3}));
  EXPECT_EQ(product, b.BroadcastTo(b.Binary(Op::kMul, x, y), {3}));
  EXPECT_EQ(b.Unary(Op::kSin, xs), b.BroadcastTo(b.Unary(Op::kSin, x), {3}));
  EXPECT_EQ(b.Reshape(xs, {3, 1}), b.BroadcastTo(x, {3, 1}));
  EXPECT_EQ(b.Slice(xs, {0, 2, 1}), b.BroadcastTo(x, {2}));
  EXPECT_EQ(b.BroadcastTo(xs, {2, 3}), b.BroadcastTo(x, {2, 3}));
}

TEST_F(SimplifyTest, Structure) {
  const ValueId m = b.Input(0, 0, {3, 4});
  const ValueId computed = b.Unary(Op::kSin, m);
  EXPECT_EQ(b.Reshape(m, {12}), b.Input(0, 0, {12}));
  EXPECT_EQ(b.Slice(m, {1, 2, 1, 1, 3, 1}), b.Input(0, 5, {1, 2}));
  EXPECT_EQ(b.Slice(m, {1, 3, 1, 0, 4, 1}), b.Input(0, 4, {2, 4}));
  EXPECT_EQ(Text(b.Slice(m, {0, 2, 1, 1, 3, 1})), "slice[2, 2]");
  EXPECT_EQ(b.Slice(computed, {0, 3, 1, 0, 4, 1}), computed);
  const ValueId part = b.Slice(computed, {0, 3, 2, 1, 4, 1});  // rows 0, 2; columns 1 to 3
  EXPECT_EQ(b.Slice(part, {1, 2, 1, 0, 3, 2}), b.Slice(computed, {2, 3, 1, 1, 4, 2}));
  const ValueId joined = b.Concat({computed, computed}, 0);
  EXPECT_EQ(b.Slice(joined, {3, 6, 1, 0, 4, 1}), computed);
  EXPECT_EQ(b.Transpose(b.Transpose(computed)), computed);
  EXPECT_EQ(b.Transpose(v), v);
  EXPECT_EQ(b.Concat({v}, 0), v);
  EXPECT_EQ(b.SumTo(v, {3}), v);
  EXPECT_EQ(b.Pad(v, {0, 1}, {3}), v);
  EXPECT_EQ(b.Sum(x), x);
  EXPECT_EQ(b.Reshape(b.Reshape(computed, {12}), {3, 4}), computed);
}

Function Rebuilt(const Function& f) {
  FunctionBuilder b(f.name, f.inputs, f.outputs);
  std::vector<ValueId> values;
  for (const Instruction& instruction : f.instructions) {
    std::vector<ValueId> operands;
    for (ValueId operand : instruction.operands) operands.push_back(values[operand]);
    values.push_back(b.Copy(f, instruction, operands));
    EXPECT_EQ(b.shape(values.back()), instruction.shape);
  }
  for (const OutputEntry& entry : f.results) {
    b.Result(values[entry.value], entry.buffer, entry.offset);
  }
  return std::move(b).Build();
}

TEST(SimplifyPropertyTest, RebuiltFunctionsHaveTheSameBits) {
  const double special[] = {0.0, -0.0, 1.0, -1.0, kInf, -kInf, kNan, 1e-310, -2.5};
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const Function f = RandomFunction(seed, {20, seed % 3 != 0, true});
    const Function rebuilt = Rebuilt(f);
    ASSERT_TRUE(VerifyFunction(rebuilt).ok()) << VerifyFunction(rebuilt);
    auto inputs = RandomInputs(f, seed);
    for (int round = 0; round < 2; ++round) {
      const auto expected = Interpret(f, inputs);
      const auto actual = Interpret(rebuilt, inputs);
      for (size_t k = 0; k < expected.size(); ++k) {
        for (size_t i = 0; i < expected[k].size(); ++i) {
          const double a = expected[k][i];
          const double b = actual[k][i];
          EXPECT_TRUE(std::memcmp(&a, &b, sizeof(a)) == 0 || (std::isnan(a) && std::isnan(b)))
              << "seed " << seed << ": " << a << " and " << b;
        }
      }
      for (size_t i = 0; i < inputs[1].size(); ++i) inputs[1][i] = special[(seed + 5 * i) % 9];
    }
  }
}

}  // namespace
}  // namespace costate

// Conditionals: the branch not taken adds exactly nothing to a gradient.
#include "engine/autodiff/regions.h"

#include <cmath>
#include <vector>

#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/autodiff/derivative_checks.h"

namespace costate {
namespace {

using ::testing::ElementsAre;

double Gradient(const Function& f, double x) {
  return Interpret(VjpOf(f, {0}, false), {{x}, {1}})[0][0];
}

// if x > 0 then sqrt(x) else 0
TEST(RegionsTest, ABranchWithNanAddsNothing) {
  const Function f = FunctionOf(1, [](FunctionBuilder& b, ValueId v) {
    const ValueId x = b.Reshape(v, {});
    const ValueId zero = b.Constant(0);
    return b.Select(b.Binary(Op::kLt, zero, x), b.Unary(Op::kSqrt, x), zero);
  });
  EXPECT_EQ(Gradient(f, -1), 0);
  EXPECT_EQ(Gradient(f, 0), 0);
  EXPECT_EQ(Gradient(f, 4), 0.25);
}

// if abs(x) < 1e-6 then 1 - x/2 else x / (exp(x) - 1): the other branch of a removable pole.
TEST(RegionsTest, RemovablePole) {
  const Function f = FunctionOf(1, [](FunctionBuilder& b, ValueId v) {
    const ValueId x = b.Reshape(v, {});
    const ValueId near = b.Binary(Op::kLt, b.Unary(Op::kAbs, x), b.Constant(1e-6));
    const ValueId series = b.Binary(Op::kSub, b.Constant(1), b.Binary(Op::kDiv, x, b.Constant(2)));
    return b.Select(near, series, b.Binary(Op::kDiv, x, b.Unary(Op::kExpm1, x)));
  });
  EXPECT_EQ(Gradient(f, 0), -0.5);
  EXPECT_NEAR(Gradient(f, 1), (std::expm1(1) - std::exp(1)) / std::pow(std::expm1(1), 2), 1e-15);
  // The second derivative goes through the masks once more.
  const Function second = VjpOf(VjpOf(f, {0}, false), {0}, false);
  EXPECT_EQ(Interpret(second, {{0}, {1}, {1}})[0][0], 0);
}

// if x < 0 then (if x < -1 then log(-1 - x) else x^2) else (if x < 1 then sqrt(x) else x sqrt(x)):
// the inner branches share the root.
TEST(RegionsTest, NestedBranches) {
  const Function f = FunctionOf(1, [](FunctionBuilder& b, ValueId v) {
    const ValueId x = b.Reshape(v, {});
    const ValueId root = b.Unary(Op::kSqrt, x);
    const ValueId log = b.Unary(Op::kLog, b.Binary(Op::kSub, b.Constant(-1), x));
    const ValueId left = b.Select(b.Binary(Op::kLt, x, b.Constant(-1)), log, b.Powi(x, 2));
    const ValueId right =
        b.Select(b.Binary(Op::kLt, x, b.Constant(1)), root, b.Binary(Op::kMul, root, x));
    return b.Select(b.Binary(Op::kLt, x, b.Constant(0)), left, right);
  });
  EXPECT_DOUBLE_EQ(Gradient(f, -3), -0.5);
  EXPECT_DOUBLE_EQ(Gradient(f, -0.5), -1);
  EXPECT_DOUBLE_EQ(Gradient(f, 0.25), 1);
  EXPECT_DOUBLE_EQ(Gradient(f, 4), 3);
  const Function second = VjpOf(VjpOf(f, {0}, false), {0}, false);
  EXPECT_DOUBLE_EQ(Interpret(second, {{-3}, {1}, {1}})[0][0], -0.25);
  EXPECT_DOUBLE_EQ(Interpret(second, {{-0.5}, {1}, {1}})[0][0], 2);
  EXPECT_DOUBLE_EQ(Interpret(second, {{0.25}, {1}, {1}})[0][0], -2);
  EXPECT_DOUBLE_EQ(Interpret(second, {{4}, {1}, {1}})[0][0], 0.375);
}

// Two conditionals of one condition, or of its parts, have branches in common.
TEST(RegionsTest, BranchesOfEqualConditionsAreOne) {
  const Function f = FunctionOf(1, [](FunctionBuilder& b, ValueId v) {
    const ValueId x = b.Reshape(v, {});
    const ValueId zero = b.Constant(0);
    const ValueId root = b.Unary(Op::kSqrt, x);
    const ValueId positive = b.Binary(Op::kLt, zero, x);
    const ValueId low = b.Binary(Op::kLt, x, b.Constant(2));
    ValueId sum = b.Select(positive, root, zero);
    sum = b.Binary(Op::kAdd, sum, b.Select(b.Unary(Op::kNot, positive), zero, b.Powi(root, 3)));
    return b.Binary(Op::kAdd, sum,
                    b.Select(b.Binary(Op::kAnd, positive, low), b.Unary(Op::kExp, root), zero));
  });
  EXPECT_EQ(Gradient(f, -1), 0);
  EXPECT_EQ(Gradient(f, 0), 0);
  EXPECT_DOUBLE_EQ(Gradient(f, 4), 0.25 + 3);
  EXPECT_DOUBLE_EQ(Gradient(f, 1), 0.5 + 1.5 + 0.5 * std::exp(1));
}

// Elementwise: each element masks itself, before scalars are summed.
TEST(RegionsTest, TensorConditions) {
  FunctionBuilder b("f", {{"x", 4}, {"s", 1}}, {{"out", 4}});
  const ValueId x = b.Input(0, 0, {4});
  const ValueId s = b.Input(1, 0, {});
  const ValueId root = b.Unary(Op::kSqrt, b.Binary(Op::kMul, s, x));
  b.Result(b.Select(b.Binary(Op::kLt, b.Constant(0), x), root, x), 0, 0);
  const Function vjp = VjpOf(std::move(b).Build(), {0, 1}, false);
  const Buffers out = Interpret(vjp, {{-1, 1, 0, 4}, {4}, {1, 1, 1, 1}});
  EXPECT_THAT(out[0], ElementsAre(1, 1, 1, 0.5));
  EXPECT_THAT(out[1], ElementsAre(0.25 + 0.5));
}

// A scalar condition over a branch with sums and products of tensors.
TEST(RegionsTest, ScalarConditionOverTensors) {
  FunctionBuilder b("f", {{"x", 3}}, {{"out", 1}});
  const ValueId x = b.Input(0, 0, {3});
  const ValueId total = b.Sum(x);
  const ValueId norm = b.Unary(Op::kSqrt, b.Matmul(x, x));
  const ValueId unit = b.Binary(Op::kDiv, x, norm);
  const ValueId condition = b.Binary(Op::kLt, b.Constant(0), norm);
  b.Result(b.Select(condition, b.Sum(b.Binary(Op::kMul, unit, unit)), total), 0, 0);
  const Function vjp = VjpOf(std::move(b).Build(), {0}, false);
  EXPECT_THAT(Interpret(vjp, {{0, 0, 0}, {1}})[0], ElementsAre(1, 1, 1));
  const Buffers away = Interpret(vjp, {{3, 0, 4}, {1}});
  for (double g : away[0]) EXPECT_NEAR(g, 0, 1e-15);
}

// A value both branches use, or a branch and the rest, is always computed: nothing to mask.
TEST(RegionsTest, SharedValuesStayOutside) {
  const Function f = FunctionOf(1, [](FunctionBuilder& b, ValueId v) {
    const ValueId x = b.Reshape(v, {});
    const ValueId shared = b.Unary(Op::kExp, x);
    const ValueId chosen =
        b.Select(b.Binary(Op::kLt, x, b.Constant(0)), shared, b.Binary(Op::kMul, shared, shared));
    return b.Binary(Op::kAdd, chosen, shared);
  });
  EXPECT_DOUBLE_EQ(Gradient(f, -1), 2 * std::exp(-1));
  EXPECT_DOUBLE_EQ(Gradient(f, 1), std::exp(1) + 2 * std::exp(2));
}

// 1,000 conditionals, each in the else branch of the one before.
TEST(RegionsTest, DeepChainsStayLinear) {
  const int depth = 1000;
  const Function f = FunctionOf(1, [](FunctionBuilder& b, ValueId v) {
    const ValueId x = b.Reshape(v, {});
    ValueId value = x;
    for (int i = depth; i-- > 0;) {
      const ValueId piece = b.Binary(Op::kMul, b.Constant(i), x);
      value = b.Select(b.Binary(Op::kLt, x, b.Constant(i)), piece, value);
    }
    return value;
  });
  const Function vjp = VjpOf(f, {0}, false);
  EXPECT_LE(vjp.instructions.size(), 4 * f.instructions.size());
  EXPECT_EQ(Interpret(vjp, {{500.5}, {1}})[0][0], 501);
  EXPECT_EQ(Interpret(vjp, {{5000}, {1}})[0][0], 1);
}

}  // namespace
}  // namespace costate

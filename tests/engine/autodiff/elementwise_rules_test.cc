// Every elementwise derivative against its closed form, in both modes.
#include "engine/autodiff/elementwise_rules.h"

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "gtest/gtest.h"
#include "tests/engine/autodiff/derivative_checks.h"

namespace costate {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kInf = std::numeric_limits<double>::infinity();

// d op(x) by jvp with tangent 1 and by vjp with cotangent 1.
Buffers BothModes(const Function& f, const std::vector<double>& x, int k) {
  Buffers inputs;
  for (double value : x) inputs.push_back({value});
  Buffers directions(x.size(), {0.0});
  directions[k] = {1};
  const Buffers forward = Interpret(JvpOf(f, AllInputs(f)), Joined(inputs, directions));
  const Buffers reverse = Interpret(VjpOf(f, AllInputs(f)), Joined(inputs, {{1}}));
  return {forward[1], reverse[1 + k]};
}

Function Apply(Op op, int operands, int64_t exponent = 0) {
  std::vector<Buffer> inputs(operands, Buffer{"x", 1});
  FunctionBuilder b("f", inputs, {{"out", 1}});
  std::vector<ValueId> x;
  for (int k = 0; k < operands; ++k) x.push_back(b.Input(k, 0, {}));
  const ValueId y = op == Op::kPowi ? b.Powi(x[0], exponent)
                    : operands == 1 ? b.Unary(op, x[0])
                                    : b.Binary(op, x[0], x[1]);
  b.Result(y, 0, 0);
  return std::move(b).Build();
}

void ExpectDerivative(Op op, const std::vector<double>& x, int k, double expected) {
  const Buffers modes = BothModes(Apply(op, static_cast<int>(x.size())), x, k);
  for (const auto& mode : modes) {
    EXPECT_NEAR(mode[0], expected, 4e-15 * (1 + std::fabs(expected)))
        << OpName(op) << " at " << x[0] << ", operand " << k;
  }
}

using F = std::function<double(double)>;

struct UnaryRow {
  Op op;
  std::vector<double> points;
  F derivative;
};

double Square(double x) { return x * x; }

std::vector<UnaryRow> UnaryRows() {
  const std::vector<double> all = {-2.3, -0.4, 0.2, 1.7};
  const std::vector<double> positive = {0.1, 0.9, 7.5};
  const std::vector<double> small = {-0.85, -0.1, 0.3, 0.9};
  return {
      {Op::kNeg, all, [](double) { return -1; }},
      {Op::kAbs, {-2, -0.0, 0.0, 3}, [](double x) { return x > 0   ? 1
                                                           : x < 0 ? -1
                                                                   : 0; }},
      {Op::kSign, {-2, 0, 3}, [](double) { return 0; }},
      {Op::kFloor, {-2, 0.5, 3}, [](double) { return 0; }},
      {Op::kSqrt, positive, [](double x) { return 1 / (2 * std::sqrt(x)); }},
      {Op::kExp, all, [](double x) { return std::exp(x); }},
      {Op::kExpm1, all, [](double x) { return std::exp(x); }},
      {Op::kLog, positive, [](double x) { return 1 / x; }},
      {Op::kLog1p, small, [](double x) { return 1 / (1 + x); }},
      {Op::kSin, all, [](double x) { return std::cos(x); }},
      {Op::kCos, all, [](double x) { return -std::sin(x); }},
      {Op::kTan, small, [](double x) { return 1 / Square(std::cos(x)); }},
      {Op::kAsin, small, [](double x) { return 1 / std::sqrt(1 - x * x); }},
      {Op::kAcos, small, [](double x) { return -1 / std::sqrt(1 - x * x); }},
      {Op::kAtan, all, [](double x) { return 1 / (1 + x * x); }},
      {Op::kSinh, all, [](double x) { return std::cosh(x); }},
      {Op::kCosh, all, [](double x) { return std::sinh(x); }},
      {Op::kTanh, all, [](double x) { return 1 / Square(std::cosh(x)); }},
      {Op::kAsinh, all, [](double x) { return 1 / std::sqrt(x * x + 1); }},
      {Op::kAcosh, {1.1, 2.5, 8}, [](double x) { return 1 / std::sqrt(x * x - 1); }},
      {Op::kAtanh, small, [](double x) { return 1 / (1 - x * x); }},
      {Op::kSigmoid, all, [](double x) { return 0.25 / Square(std::cosh(x / 2)); }},
      {Op::kErf, all, [](double x) { return 2 / std::sqrt(kPi) * std::exp(-x * x); }},
  };
}

TEST(ElementwiseRulesTest, UnaryOpsHaveTheirClosedForms) {
  const std::vector<UnaryRow> rows = UnaryRows();
  int unary = 0;
  for (int i = 0; i < kNumOps; ++i) unary += ClassOf(static_cast<Op>(i)) == OpClass::Unary;
  EXPECT_EQ(rows.size(), unary - 1);  // powi below
  for (const UnaryRow& row : rows) {
    for (double x : row.points) ExpectDerivative(row.op, {x}, 0, row.derivative(x));
  }
}

TEST(ElementwiseRulesTest, IntegerPowers) {
  for (int64_t n : {-1024, -3, -1, 0, 1, 2, 3, 10, 1024}) {
    for (double x : {-1.01, -0.99, 1.0, 1.015}) {
      const double expected = static_cast<double>(n) * std::pow(x, static_cast<double>(n - 1));
      for (const auto& mode : BothModes(Apply(Op::kPowi, 1, n), {x}, 0)) {
        EXPECT_NEAR(mode[0], expected, 1e-12 * (1 + std::fabs(expected))) << n << " at " << x;
      }
    }
  }
  for (const auto& mode : BothModes(Apply(Op::kPowi, 1, 2), {0}, 0)) EXPECT_EQ(mode[0], 0);
}

TEST(ElementwiseRulesTest, BinaryOpsHaveTheirClosedForms) {
  for (double x : {0.3, 1.9}) {
    for (double y : {-1.2, 0.7, 2.0}) {
      ExpectDerivative(Op::kAdd, {x, y}, 0, 1);
      ExpectDerivative(Op::kAdd, {x, y}, 1, 1);
      ExpectDerivative(Op::kSub, {x, y}, 0, 1);
      ExpectDerivative(Op::kSub, {x, y}, 1, -1);
      ExpectDerivative(Op::kMul, {x, y}, 0, y);
      ExpectDerivative(Op::kMul, {x, y}, 1, x);
      ExpectDerivative(Op::kDiv, {x, y}, 0, 1 / y);
      ExpectDerivative(Op::kDiv, {x, y}, 1, -x / (y * y));
      ExpectDerivative(Op::kPow, {x, y}, 0, y * std::pow(x, y) / x);
      ExpectDerivative(Op::kPow, {x, y}, 1, std::log(x) * std::pow(x, y));
      ExpectDerivative(Op::kAtan2, {x, y}, 0, y / (x * x + y * y));
      ExpectDerivative(Op::kAtan2, {x, y}, 1, -x / (x * x + y * y));
      ExpectDerivative(Op::kMin, {x, y}, 0, x <= y);
      ExpectDerivative(Op::kMin, {x, y}, 1, x > y);
      ExpectDerivative(Op::kMax, {x, y}, 0, x >= y);
      ExpectDerivative(Op::kMax, {x, y}, 1, x < y);
    }
  }
}

TEST(ElementwiseRulesTest, TiesGoToTheFirstOperand) {
  for (Op op : {Op::kMin, Op::kMax}) {
    ExpectDerivative(op, {2, 2}, 0, 1);
    ExpectDerivative(op, {2, 2}, 1, 0);
  }
}

TEST(ElementwiseRulesTest, PowersAtZero) {
  ExpectDerivative(Op::kPow, {0, 1.5}, 0, 0);
  ExpectDerivative(Op::kPow, {0, 1}, 0, 1);
  ExpectDerivative(Op::kPow, {0, 1.5}, 1, 0);
  EXPECT_EQ(BothModes(Apply(Op::kPow, 2), {0, 0.5}, 0)[1][0], kInf);
  EXPECT_EQ(BothModes(Apply(Op::kSqrt, 1), {0}, 0)[0][0], kInf);
  EXPECT_EQ(BothModes(Apply(Op::kLog, 1), {0}, 0)[1][0], kInf);
  // d2(x^p)/dp2 = x^p log(x)^2, 0 at x = 0 too.
  const Function gradient = VjpOf(Apply(Op::kPow, 2), {1}, false);
  const Buffers second = Interpret(JvpOf(gradient, {1}), {{0}, {2.5}, {1}, {1}});
  EXPECT_EQ(second[1][0], 0);
}

// x^p for constant p, where the derivative avoids pow.
TEST(ElementwiseRulesTest, ConstantExponents) {
  for (double p : {-1.5, -1.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.5, 64.0, 80.0}) {
    const Function f = FunctionOf(
        1, [p](FunctionBuilder& b, ValueId x) { return b.Binary(Op::kPow, x, b.Constant(p)); });
    for (double x : {0.7, 1.3}) {
      const double expected = p * std::pow(x, p - 1);
      for (const auto& mode : BothModes(f, {x}, 0)) {
        EXPECT_NEAR(mode[0], expected, 1e-13 * std::fabs(expected)) << p;
      }
    }
  }
}

// The reuse the rules promise: how many transcendental functions a gradient evaluates.
TEST(ElementwiseRulesTest, ReusesTheValueOfTheFunction) {
  for (Op op : {Op::kExp, Op::kExpm1, Op::kTanh, Op::kSigmoid, Op::kSqrt, Op::kTan}) {
    const Function gradient = VjpOf(Apply(op, 1), {0});
    int count = 0;
    for (const Instruction& instruction : gradient.instructions) {
      count += ClassOf(instruction.op) == OpClass::Unary;
    }
    EXPECT_EQ(count, 1) << OpName(op);
  }
  const Function quotient = VjpOf(Apply(Op::kDiv, 2), {0, 1});
  int divisions = 0;
  for (const Instruction& instruction : quotient.instructions) {
    divisions += instruction.op == Op::kDiv;
  }
  EXPECT_EQ(divisions, 2);  // the value and c / y
}

// Where a rule makes both operands of an instruction, it makes the left one first: the order of
// instructions must not depend on the order in which a compiler evaluates arguments.
TEST(ElementwiseRulesTest, OperandsAreMadeFromLeftToRight) {
  struct Row {
    Op op;
    int operands;
    Op pair;  // the one instruction of two operands made for it
  };
  const Row rows[] = {
      {Op::kAsin, 1, Op::kMul}, {Op::kAcosh, 1, Op::kMul}, {Op::kAtan2, 2, Op::kAdd}};
  for (const Row& row : rows) {
    SCOPED_TRACE(OpName(row.op));
    const Function f = Apply(row.op, row.operands);
    const Function jvp = JvpOf(f, {0});
    int seen = 0;
    for (const Instruction& instruction : jvp.instructions) {
      if (instruction.op != row.pair) continue;
      const auto made = [&](int k) {
        const OpClass op_class = ClassOf(jvp.instructions[instruction.operands[k]].op);
        return op_class == OpClass::Binary;
      };
      if (!made(0) || !made(1)) continue;
      ++seen;
      EXPECT_LT(instruction.operands[0], instruction.operands[1]);
    }
    EXPECT_EQ(seen, 1);
  }
}

// y = c sqrt(a) and y = c a^p, differentiated by c alone while a (and p) hold still where the
// partial derivatives by them do not exist.
TEST(ElementwiseRulesTest, WhatHoldsStillAddsNothing) {
  const Function root = Apply(Op::kSqrt, 1);
  EXPECT_EQ(Interpret(JvpOf(root, {0}), {{0}, {0}})[1][0], 0);
  EXPECT_EQ(Interpret(VjpOf(root, {0}), {{0}, {0}})[1][0], 0);
  EXPECT_EQ(Interpret(JvpOf(root, {0}), {{0}, {1}})[1][0], kInf);
  const Function power = Apply(Op::kPow, 2);
  const auto push = [&](double x, double p, double dx, double dp) {
    return Interpret(JvpOf(power, {0, 1}), {{x}, {p}, {dx}, {dp}})[1][0];
  };
  EXPECT_EQ(push(-2, 3, 1, 0), 12);  // 3 x^2
  EXPECT_TRUE(std::isnan(push(-2, 3, 1, 1)));
  EXPECT_EQ(push(0, 0.25, 0, 1), 0);
  EXPECT_EQ(push(0, 0.25, 1, 0), kInf);
  EXPECT_EQ(push(0, 1, 1, 0), 1);
  const Buffers pulled = Interpret(VjpOf(power, {0, 1}), {{-2}, {3}, {0}});
  EXPECT_EQ(pulled[1][0], 0);
  EXPECT_EQ(pulled[2][0], 0);
}

// d^2/dp^2 of x^p is x^p log(x)^2 also where the first derivative is scaled by 0: at q = 0 the
// cotangent q of x^p does not move, yet its own derivative is that of the power.
TEST(ElementwiseRulesTest, AScaleOfZeroKeepsItsDerivative) {
  FunctionBuilder b("f", {{"x", 1}, {"p", 1}, {"q", 1}}, {{"out", 1}});
  const ValueId x = b.Input(0, 0, {});
  const ValueId power = b.Binary(Op::kPow, x, b.Input(1, 0, {}));
  b.Result(b.Binary(Op::kMul, b.Input(2, 0, {}), power), 0, 0);
  const Function f = std::move(b).Build();
  const Function pull = VjpOf(f, {1});      // {x, p, q, c} -> {f, c q x^p log x}
  const Function twice = JvpOf(pull, {2});  // by q
  const Buffers found = Interpret(twice, {{2}, {3}, {0}, {1}, {1}});
  EXPECT_NEAR(found[3][0], 8 * std::log(2.0), 1e-14);
}

}  // namespace
}  // namespace costate

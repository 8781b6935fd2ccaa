#include "engine/autodiff/elementwise_rules.h"

#include <cmath>
#include <vector>

namespace costate {
namespace {

constexpr double kTwoOverSqrtPi = 1.12837916709551257389615890312;

// Arithmetic on values of one builder.
struct Arithmetic {
  FunctionBuilder& b;

  ValueId Number(double x) const { return b.Constant(x); }
  ValueId Add(ValueId x, ValueId y) const { return b.Binary(Op::kAdd, x, y); }
  ValueId Sub(ValueId x, ValueId y) const { return b.Binary(Op::kSub, x, y); }
  ValueId Mul(ValueId x, ValueId y) const { return b.Binary(Op::kMul, x, y); }
  ValueId Div(ValueId x, ValueId y) const { return b.Binary(Op::kDiv, x, y); }
  ValueId Neg(ValueId x) const { return b.Unary(Op::kNeg, x); }
  ValueId OnePlus(ValueId x) const { return Add(Number(1), x); }
  ValueId OneMinus(ValueId x) const { return Sub(Number(1), x); }
  // (1 - x)(1 + x), without the cancellation of 1 - x^2 near 1.
  ValueId OneMinusSquare(ValueId x) const {
    const ValueId one_minus = OneMinus(x);
    return Mul(one_minus, OnePlus(x));
  }
};

// 1 in place of x where v is 0 and `singular` holds: what does not move adds 0, even where the
// partial derivative is infinite or NaN.
ValueId UnlessStill(const Arithmetic& a, ValueId v, ValueId singular, ValueId x) {
  const ValueId still = a.b.Binary(Op::kEq, v, a.Number(0));
  return a.b.Select(a.b.Binary(Op::kAnd, still, singular), a.Number(1), x);
}

// n x^(n-1) v
ValueId TimesPowiPartial(const Arithmetic& a, int64_t n, ValueId x, ValueId y, ValueId v) {
  if (n == 0) return kNoValue;
  if (n == 1) return v;
  const ValueId power = n == -1024 ? a.Div(y, x) : a.b.Powi(x, n - 1);
  return a.Mul(v, a.Mul(a.Number(static_cast<double>(n)), power));
}

ValueId TimesUnaryPartial(FunctionBuilder& b, const Rebuilt& at, ValueId v) {
  const Arithmetic a{b};
  const ValueId x = at.operands[0];
  const ValueId y = at.result;
  switch (at.instruction.op) {
    case Op::kNeg:
      return a.Neg(v);
    case Op::kAbs:
      return a.Mul(v, b.Unary(Op::kSign, x));
    case Op::kSign:
    case Op::kFloor:
      return kNoValue;
    case Op::kSqrt: {
      const ValueId is_zero = b.Binary(Op::kEq, y, a.Number(0));
      const ValueId root = UnlessStill(a, v, is_zero, y);
      return a.Mul(v, a.Div(a.Number(0.5), root));
    }
    case Op::kExp:
      return a.Mul(v, y);
    case Op::kExpm1:
      return a.Mul(v, a.OnePlus(y));
    case Op::kLog:
      return a.Div(v, x);
    case Op::kLog1p:
      return a.Div(v, a.OnePlus(x));
    case Op::kSin:
      return a.Mul(v, b.Unary(Op::kCos, x));
    case Op::kCos:
      return a.Neg(a.Mul(v, b.Unary(Op::kSin, x)));
    case Op::kTan:
      return a.Mul(v, a.OnePlus(a.Mul(y, y)));
    case Op::kAsin:
      return a.Div(v, b.Unary(Op::kSqrt, a.OneMinusSquare(x)));
    case Op::kAcos:
      return a.Neg(a.Div(v, b.Unary(Op::kSqrt, a.OneMinusSquare(x))));
    case Op::kAtan:
      return a.Div(v, a.OnePlus(a.Mul(x, x)));
    case Op::kSinh:
      return a.Mul(v, b.Unary(Op::kCosh, x));
    case Op::kCosh:
      return a.Mul(v, b.Unary(Op::kSinh, x));
    case Op::kTanh:
      return a.Mul(v, a.OneMinus(a.Mul(y, y)));
    case Op::kAsinh:
      return a.Div(v, b.Unary(Op::kSqrt, a.OnePlus(a.Mul(x, x))));
    case Op::kAcosh: {
      const ValueId minus_one = a.Sub(x, a.Number(1));
      return a.Div(v, b.Unary(Op::kSqrt, a.Mul(minus_one, a.OnePlus(x))));
    }
    case Op::kAtanh:
      return a.Div(v, a.OneMinusSquare(x));
    case Op::kSigmoid:
      return a.Mul(v, a.Mul(y, a.OneMinus(y)));
    case Op::kErf: {
      const ValueId bell = b.Unary(Op::kExp, a.Neg(a.Mul(x, x)));
      return a.Mul(v, a.Mul(a.Number(kTwoOverSqrtPi), bell));
    }
    case Op::kPowi:
      return TimesPowiPartial(a, at.instruction.attributes[0], x, y, v);
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_LEAF_OP_LIST(COSTATE_CASE)
      COSTATE_BINARY_OP_LIST(COSTATE_CASE)
      COSTATE_COMPARE_OP_LIST(COSTATE_CASE)
      COSTATE_LOGIC_OP_LIST(COSTATE_CASE)
      COSTATE_SELECT_OP_LIST(COSTATE_CASE)
      COSTATE_STRUCTURE_OP_LIST(COSTATE_CASE)
      COSTATE_CONTRACT_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
      break;
  }
  return kNoValue;
}

// x^p, by multiplication or a square root where p is a constant that allows it.
ValueId Power(const Arithmetic& a, ValueId x, ValueId p) {
  const std::vector<double>* elements = a.b.constant(p);
  if (elements == nullptr || elements->size() != 1) return a.b.Binary(Op::kPow, x, p);
  const double exponent = (*elements)[0];
  if (std::fabs(exponent) <= 64 && exponent == std::floor(exponent)) {
    return a.b.Powi(x, static_cast<int64_t>(exponent));
  }
  if (exponent == 0.5) return a.b.Unary(Op::kSqrt, x);
  if (exponent == -0.5) {
    const ValueId root = a.b.Unary(Op::kSqrt, x);
    return a.Div(a.Number(1), root);
  }
  return a.b.Binary(Op::kPow, x, p);
}

// Whether p is a constant of at least 1: x^(p-1) is finite at 0.
bool IsAtLeastOne(const FunctionBuilder& b, ValueId p) {
  const std::vector<double>* elements = b.constant(p);
  return elements != nullptr && elements->size() == 1 && elements->front() >= 1;
}

// d(x^p)/dx = p x^(p-1), which is right at x = 0 where y p / x is not. d(x^p)/dp = y log(x), with
// log(1) in place of log(0) where p > 0, so that derivatives of the zero are zero too.
ValueId TimesPowPartial(FunctionBuilder& b, const Rebuilt& at, int k, ValueId v) {
  const Arithmetic a{b};
  const ValueId x = at.operands[0];
  const ValueId p = at.operands[1];
  const ValueId zero = b.Constant(0);
  const ValueId is_zero = b.Binary(Op::kEq, x, zero);
  if (k == 0) {
    const ValueId base = IsAtLeastOne(b, p) ? x : UnlessStill(a, v, is_zero, x);
    return a.Mul(v, a.Mul(p, Power(a, base, a.Sub(p, a.Number(1)))));
  }
  const ValueId at_zero = b.Binary(Op::kAnd, is_zero, b.Binary(Op::kLt, zero, p));
  const ValueId above = b.Select(at_zero, a.Number(1), x);
  const ValueId is_negative = b.Binary(Op::kLt, x, zero);
  const ValueId log = b.Unary(Op::kLog, UnlessStill(a, v, is_negative, above));
  return a.Mul(v, a.Mul(at.result, log));
}

ValueId TimesBinaryPartial(FunctionBuilder& b, const Rebuilt& at, int k, ValueId v) {
  const Arithmetic a{b};
  const ValueId x = at.operands[0];
  const ValueId y = at.operands[1];
  const auto chosen = [&](ValueId condition) {
    const ValueId zero = a.Number(0);
    return k == 0 ? b.Select(condition, v, zero) : b.Select(condition, zero, v);
  };
  switch (at.instruction.op) {
    case Op::kAdd:
      return v;
    case Op::kSub:
      return k == 0 ? v : a.Neg(v);
    case Op::kMul:
      return a.Mul(v, k == 0 ? y : x);
    case Op::kDiv:
      return k == 0 ? a.Div(v, y) : a.Neg(a.Mul(a.Div(v, y), at.result));
    case Op::kPow:
      return TimesPowPartial(b, at, k, v);
    case Op::kAtan2: {
      const ValueId x_square = a.Mul(x, x);
      const ValueId square = a.Add(x_square, a.Mul(y, y));
      return k == 0 ? a.Mul(v, a.Div(y, square)) : a.Neg(a.Mul(v, a.Div(x, square)));
    }
    case Op::kMin:
      return chosen(b.Binary(Op::kLe, x, y));
    case Op::kMax:
      return chosen(b.Binary(Op::kLe, y, x));
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_LEAF_OP_LIST(COSTATE_CASE)
      COSTATE_UNARY_OP_LIST(COSTATE_CASE)
      COSTATE_COMPARE_OP_LIST(COSTATE_CASE)
      COSTATE_LOGIC_OP_LIST(COSTATE_CASE)
      COSTATE_SELECT_OP_LIST(COSTATE_CASE)
      COSTATE_STRUCTURE_OP_LIST(COSTATE_CASE)
      COSTATE_CONTRACT_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
      break;
  }
  return kNoValue;
}

}  // namespace

ValueId TimesPartial(FunctionBuilder& b, const Rebuilt& at, int k, ValueId v) {
  switch (ClassOf(at.instruction.op)) {
    case OpClass::Unary:
      return TimesUnaryPartial(b, at, v);
    case OpClass::Binary:
      return TimesBinaryPartial(b, at, k, v);
    case OpClass::Select: {
      if (k == 0) return kNoValue;
      const ValueId zero = b.Constant(0);
      return k == 1 ? b.Select(at.operands[0], v, zero) : b.Select(at.operands[0], zero, v);
    }
    case OpClass::Leaf:
    case OpClass::Compare:
    case OpClass::Logic:
    case OpClass::Structure:
    case OpClass::Contract:
      break;
  }
  return kNoValue;
}

}  // namespace costate

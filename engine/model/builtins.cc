#include "engine/model/builtins.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <numbers>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/model/text.h"

namespace costate {
namespace {

using Arguments = absl::Span<const ValueId>;
using Value = absl::StatusOr<ValueId>;

template <Op op>
Value LowerUnary(TensorBuilder& b, Arguments arguments) {
  return b.Unary(op, arguments[0], OpName(op));
}

template <Op op>
Value LowerBinary(TensorBuilder& b, Arguments arguments) {
  return b.Binary(op, arguments[0], arguments[1], OpName(op));
}

Value LowerPow(TensorBuilder& b, Arguments arguments) {
  return b.Power(arguments[0], arguments[1]);
}

Value LogToBase(TensorBuilder& b, ValueId x, double log_base, std::string_view name) {
  ASSIGN_OR_RETURN(const ValueId log, b.Unary(Op::kLog, x, name));
  return b.Binary(Op::kDiv, log, b.raw().Constant(log_base), name);
}
Value LowerLog2(TensorBuilder& b, Arguments arguments) {
  return LogToBase(b, arguments[0], std::numbers::ln2, "log2");
}
Value LowerLog10(TensorBuilder& b, Arguments arguments) {
  return LogToBase(b, arguments[0], std::numbers::ln10, "log10");
}

// sign(x) |x|^(1/3)
Value LowerCbrt(TensorBuilder& b, Arguments arguments) {
  RETURN_IF_ERROR(b.CheckNumber(arguments[0], "cbrt"));
  FunctionBuilder& raw = b.raw();
  const ValueId size = raw.Unary(Op::kAbs, arguments[0]);
  const ValueId root = raw.Binary(Op::kPow, size, raw.Constant(1.0 / 3.0));
  return raw.Binary(Op::kMul, raw.Unary(Op::kSign, arguments[0]), root);
}

Value LowerCeil(TensorBuilder& b, Arguments arguments) {
  RETURN_IF_ERROR(b.CheckNumber(arguments[0], "ceil"));
  FunctionBuilder& raw = b.raw();
  return raw.Unary(Op::kNeg, raw.Unary(Op::kFloor, raw.Unary(Op::kNeg, arguments[0])));
}

// a - b floor(a/b): the sign of b, as in Python.
Value LowerMod(TensorBuilder& b, Arguments arguments) {
  ASSIGN_OR_RETURN(const ValueId ratio, b.Binary(Op::kDiv, arguments[0], arguments[1], "mod"));
  const ValueId whole = b.raw().Unary(Op::kFloor, ratio);
  ASSIGN_OR_RETURN(const ValueId multiple, b.Binary(Op::kMul, arguments[1], whole, "mod"));
  return b.Binary(Op::kSub, arguments[0], multiple, "mod");
}

// 0 for x <= 0, else x: a NaN stays one, and the derivative at 0 is 0.
Value LowerRelu(TensorBuilder& b, Arguments arguments) {
  RETURN_IF_ERROR(b.CheckNumber(arguments[0], "relu"));
  FunctionBuilder& raw = b.raw();
  const ValueId zero = raw.Constant(0);
  return raw.Select(raw.Binary(Op::kLe, arguments[0], zero), zero, arguments[0]);
}

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|), with |x| as a choice whose derivative at 0 is 1, so
// that the derivative of the whole is 1/2 there.
Value LowerSoftplus(TensorBuilder& b, Arguments arguments) {
  RETURN_IF_ERROR(b.CheckNumber(arguments[0], "softplus"));
  FunctionBuilder& raw = b.raw();
  const ValueId x = arguments[0];
  const ValueId zero = raw.Constant(0);
  const ValueId positive = raw.Binary(Op::kLt, zero, x);
  const ValueId tail = raw.Select(positive, raw.Unary(Op::kNeg, x), x);
  const ValueId log = raw.Unary(Op::kLog1p, raw.Unary(Op::kExp, tail));
  return raw.Binary(Op::kAdd, raw.Select(positive, x, zero), log);
}

template <Op op>
Value LowerExtremum(TensorBuilder& b, Arguments arguments) {
  if (arguments.size() == 1) return b.Extremum(op, arguments[0]);
  ValueId best = arguments[0];
  for (ValueId next : arguments.subspan(1)) {
    ASSIGN_OR_RETURN(best, b.Binary(op, best, next, OpName(op)));
  }
  return best;
}

Value LowerClip(TensorBuilder& b, Arguments arguments) {
  ASSIGN_OR_RETURN(const ValueId raised, b.Binary(Op::kMax, arguments[0], arguments[1], "clip"));
  return b.Binary(Op::kMin, raised, arguments[2], "clip");
}

Value LowerWhere(TensorBuilder& b, Arguments arguments) {
  return b.Elementwise(Op::kSelect, arguments, "where");
}

absl::StatusOr<std::optional<int64_t>> OptionalAxis(TensorBuilder& b, Arguments arguments,
                                                    size_t position) {
  if (arguments.size() <= position) return std::nullopt;
  ASSIGN_OR_RETURN(const int64_t axis, b.ConstantInteger(arguments[position], "an axis"));
  return axis;
}

Value LowerSum(TensorBuilder& b, Arguments arguments) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> axis, OptionalAxis(b, arguments, 1));
  return b.Sum(arguments[0], axis);
}

Value LowerMean(TensorBuilder& b, Arguments arguments) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> axis, OptionalAxis(b, arguments, 1));
  ASSIGN_OR_RETURN(const ValueId sum, b.Sum(arguments[0], axis));
  const int64_t count = NumElements(b.shape(arguments[0])) / NumElements(b.shape(sum));
  return b.Binary(Op::kDiv, sum, b.raw().Constant(static_cast<double>(count)), "mean");
}

absl::Status CheckVectors(TensorBuilder& b, Arguments arguments, std::string_view name) {
  for (ValueId id : arguments) {
    RETURN_IF_ERROR(b.CheckNumber(id, name));
    if (b.shape(id).size() != 1) {
      return absl::InvalidArgumentError(
          Text(name, " takes vectors, got shape ", ShapeToString(b.shape(id))));
    }
  }
  return absl::OkStatus();
}

Value LowerDot(TensorBuilder& b, Arguments arguments) {
  RETURN_IF_ERROR(CheckVectors(b, arguments, "dot"));
  if (b.shape(arguments[0]) != b.shape(arguments[1])) {
    return absl::InvalidArgumentError(Text("shapes ", ShapeToString(b.shape(arguments[0])), " and ",
                                           ShapeToString(b.shape(arguments[1])),
                                           " do not fit together in dot"));
  }
  return b.Matmul(arguments[0], arguments[1]);
}

Value LowerOuter(TensorBuilder& b, Arguments arguments) {
  RETURN_IF_ERROR(CheckVectors(b, arguments, "outer"));
  RETURN_IF_ERROR(CheckShapeLimits({b.shape(arguments[0])[0], b.shape(arguments[1])[0]}));
  return b.raw().Outer(arguments[0], arguments[1]);
}

// sqrt(sum x^2); at 0 the value and the derivative are 0, where the root alone would give a NaN.
Value LowerNorm(TensorBuilder& b, Arguments arguments) {
  RETURN_IF_ERROR(b.CheckNumber(arguments[0], "norm"));
  FunctionBuilder& raw = b.raw();
  const ValueId squares = raw.Sum(raw.Powi(arguments[0], 2));
  const ValueId zero = raw.Constant(0);
  const ValueId is_zero = raw.Binary(Op::kEq, squares, zero);
  const ValueId safe = raw.Select(is_zero, raw.Constant(1), squares);
  return raw.Select(is_zero, zero, raw.Unary(Op::kSqrt, safe));
}

Value LowerConcat(TensorBuilder& b, Arguments arguments) { return b.Concat(arguments, 0); }
Value LowerStack(TensorBuilder& b, Arguments arguments) { return b.Stack(arguments); }

Value LowerRoll(TensorBuilder& b, Arguments arguments) {
  ASSIGN_OR_RETURN(const int64_t shift, b.ConstantInteger(arguments[1], "a shift"));
  ASSIGN_OR_RETURN(const std::optional<int64_t> axis, OptionalAxis(b, arguments, 2));
  if (!axis.has_value() && b.shape(arguments[0]).size() > 1) {
    return absl::InvalidArgumentError("roll of a tensor of several axes takes the axis as well");
  }
  return b.Roll(arguments[0], shift, axis.value_or(0));
}

absl::StatusOr<Shape> ConstantShape(TensorBuilder& b, Arguments extents) {
  Shape shape;
  for (ValueId id : extents) {
    ASSIGN_OR_RETURN(const int64_t extent, b.ConstantInteger(id, "an extent"));
    shape.push_back(extent);
  }
  RETURN_IF_ERROR(CheckShapeLimits(shape));
  return shape;
}

Value LowerReshape(TensorBuilder& b, Arguments arguments) {
  ASSIGN_OR_RETURN(Shape shape, ConstantShape(b, arguments.subspan(1)));
  return b.Reshape(arguments[0], std::move(shape));
}

Value LowerTranspose(TensorBuilder& b, Arguments arguments) { return b.Transpose(arguments[0]); }

Value LowerZeros(TensorBuilder& b, Arguments arguments) {
  ASSIGN_OR_RETURN(const Shape shape, ConstantShape(b, arguments));
  return b.BroadcastTo(b.raw().Constant(0), shape);
}
Value LowerOnes(TensorBuilder& b, Arguments arguments) {
  ASSIGN_OR_RETURN(const Shape shape, ConstantShape(b, arguments));
  return b.BroadcastTo(b.raw().Constant(1), shape);
}

// Extents past this need a parameter; it bounds the memory a few bytes of text can claim.
constexpr int64_t kMaxGenerated = 1 << 20;

Value LowerEye(TensorBuilder& b, Arguments arguments) {
  ASSIGN_OR_RETURN(const int64_t n, b.ConstantInteger(arguments[0], "an extent"));
  RETURN_IF_ERROR(CheckShapeLimits({n, n}));
  if (n * n > kMaxGenerated) {
    return absl::InvalidArgumentError(Text("eye has at most ", kMaxGenerated, " elements"));
  }
  std::vector<double> elements(n * n, 0.0);
  for (int64_t i = 0; i < n; ++i) elements[i * n + i] = 1;
  return b.raw().Constant(std::move(elements), {n, n});
}

// a + (b - a) i/(n - 1), and exactly b at the end.
Value LowerLinspace(TensorBuilder& b, Arguments arguments) {
  ASSIGN_OR_RETURN(const int64_t n, b.ConstantInteger(arguments[2], "the number of points"));
  if (n < 2 || n > kMaxGenerated) {
    return absl::InvalidArgumentError(
        Text("the number of points is 2 to ", kMaxGenerated, ", got ", n));
  }
  for (ValueId end : arguments.first(2)) {
    RETURN_IF_ERROR(b.CheckNumber(end, "linspace"));
    if (!b.shape(end).empty()) {
      return absl::InvalidArgumentError(
          Text("the ends of linspace are scalars, got shape ", ShapeToString(b.shape(end))));
    }
  }
  FunctionBuilder& raw = b.raw();
  const std::vector<double>* from = raw.constant(arguments[0]);
  const std::vector<double>* to = raw.constant(arguments[1]);
  std::vector<double> points(n);
  const auto last = static_cast<double>(n - 1);
  if (from != nullptr && to != nullptr) {
    const double a = from->front();
    const double z = to->front();
    for (int64_t i = 0; i < n; ++i) points[i] = a + (z - a) * static_cast<double>(i) / last;
    points[n - 1] = z;
    return raw.Constant(std::move(points), {n});
  }
  for (int64_t i = 0; i < n; ++i) points[i] = static_cast<double>(i) / last;
  const ValueId ramp = raw.Constant(std::move(points), {n});
  const ValueId span = raw.Binary(Op::kSub, arguments[1], arguments[0]);
  return raw.Binary(Op::kAdd, raw.Binary(Op::kMul, ramp, span), arguments[0]);
}

Value LowerLen(TensorBuilder& b, Arguments arguments) {
  if (b.shape(arguments[0]).empty()) {
    return absl::InvalidArgumentError("a scalar has no length");
  }
  return b.raw().Constant(static_cast<double>(b.shape(arguments[0])[0]));
}

// In alphabetical order, for FindBuiltin.
constexpr Builtin kBuiltins[] = {
    {"abs", "abs(x)", 1, 1, LowerUnary<Op::kAbs>},
    {"acos", "acos(x)", 1, 1, LowerUnary<Op::kAcos>},
    {"acosh", "acosh(x)", 1, 1, LowerUnary<Op::kAcosh>},
    {"asin", "asin(x)", 1, 1, LowerUnary<Op::kAsin>},
    {"asinh", "asinh(x)", 1, 1, LowerUnary<Op::kAsinh>},
    {"atan", "atan(x)", 1, 1, LowerUnary<Op::kAtan>},
    {"atan2", "atan2(y, x)", 2, 2, LowerBinary<Op::kAtan2>},
    {"atanh", "atanh(x)", 1, 1, LowerUnary<Op::kAtanh>},
    {"cbrt", "cbrt(x)", 1, 1, LowerCbrt},
    {"ceil", "ceil(x)", 1, 1, LowerCeil},
    {"clip", "clip(x, lower, upper)", 3, 3, LowerClip},
    {"concat", "concat(x, y, ...)", 1, kAnyNumber, LowerConcat},
    {"cos", "cos(x)", 1, 1, LowerUnary<Op::kCos>},
    {"cosh", "cosh(x)", 1, 1, LowerUnary<Op::kCosh>},
    {"dot", "dot(x, y)", 2, 2, LowerDot},
    {"erf", "erf(x)", 1, 1, LowerUnary<Op::kErf>},
    {"exp", "exp(x)", 1, 1, LowerUnary<Op::kExp>},
    {"expm1", "expm1(x)", 1, 1, LowerUnary<Op::kExpm1>},
    {"eye", "eye(n)", 1, 1, LowerEye},
    {"floor", "floor(x)", 1, 1, LowerUnary<Op::kFloor>},
    {"len", "len(x)", 1, 1, LowerLen},
    {"linspace", "linspace(from, to, n)", 3, 3, LowerLinspace},
    {"log", "log(x)", 1, 1, LowerUnary<Op::kLog>},
    {"log10", "log10(x)", 1, 1, LowerLog10},
    {"log1p", "log1p(x)", 1, 1, LowerUnary<Op::kLog1p>},
    {"log2", "log2(x)", 1, 1, LowerLog2},
    {"max", "max(x) or max(x, y, ...)", 1, kAnyNumber, LowerExtremum<Op::kMax>},
    {"mean", "mean(x) or mean(x, axis)", 1, 2, LowerMean},
    {"min", "min(x) or min(x, y, ...)", 1, kAnyNumber, LowerExtremum<Op::kMin>},
    {"mod", "mod(x, y)", 2, 2, LowerMod},
    {"norm", "norm(x)", 1, 1, LowerNorm},
    {"ones", "ones(n, ...)", 1, 4, LowerOnes},
    {"outer", "outer(x, y)", 2, 2, LowerOuter},
    {"pow", "pow(x, y)", 2, 2, LowerPow},
    {"relu", "relu(x)", 1, 1, LowerRelu},
    {"reshape", "reshape(x, n, ...)", 2, 5, LowerReshape},
    {"roll", "roll(x, shift) or roll(x, shift, axis)", 2, 3, LowerRoll},
    {"sigmoid", "sigmoid(x)", 1, 1, LowerUnary<Op::kSigmoid>},
    {"sign", "sign(x)", 1, 1, LowerUnary<Op::kSign>},
    {"sin", "sin(x)", 1, 1, LowerUnary<Op::kSin>},
    {"sinh", "sinh(x)", 1, 1, LowerUnary<Op::kSinh>},
    {"softplus", "softplus(x)", 1, 1, LowerSoftplus},
    {"sqrt", "sqrt(x)", 1, 1, LowerUnary<Op::kSqrt>},
    {"stack", "stack(x, y, ...)", 1, kAnyNumber, LowerStack},
    {"sum", "sum(x) or sum(x, axis)", 1, 2, LowerSum},
    {"tan", "tan(x)", 1, 1, LowerUnary<Op::kTan>},
    {"tanh", "tanh(x)", 1, 1, LowerUnary<Op::kTanh>},
    {"transpose", "transpose(x)", 1, 1, LowerTranspose},
    {"where", "where(condition, x, y)", 3, 3, LowerWhere},
    {"zeros", "zeros(n, ...)", 1, 4, LowerZeros},
};

constexpr NamedConstant kNamedConstants[] = {
    {"pi", std::numbers::pi},
    {"inf", std::numeric_limits<double>::infinity()},
};

struct ForeignFunction {
  std::string_view name;
  std::string_view ours;
};

constexpr ForeignFunction kForeignFunctions[] = {
    {"ln", "log(x)"},
    {"Log", "log(x)"},
    {"arctan", "atan(x)"},
    {"arcsin", "asin(x)"},
    {"arccos", "acos(x)"},
    {"arctan2", "atan2(y, x)"},
    {"fabs", "abs(x)"},
    {"power", "x^y"},
    {"square", "x^2"},
    {"fmod", "mod(x, y)"},
    {"logistic", "sigmoid(x)"},
    {"expit", "sigmoid(x)"},
    {"ifelse", "if condition then x else y"},
    {"cond", "if condition then x else y"},
    {"piecewise", "if condition then x else y"},
    {"heaviside", "if x > 0 then 1 else 0"},
    {"Heaviside", "if x > 0 then 1 else 0"},
    {"step", "if x > 0 then 1 else 0"},
    {"matmul", "x @ y"},
    {"erfc", "1 - erf(x)"},
    {"exp2", "2^x"},
    {"maximum", "max(x, y)"},
    {"minimum", "min(x, y)"},
    {"fmax", "max(x, y)"},
    {"fmin", "min(x, y)"},
    {"concatenate", "concat(x, y, ...)"},
    {"length", "len(x)"},
    {"size", "len(x)"},
    {"sgn", "sign(x)"},
    {"prod", "x*y"},
    {"sec", "1/cos(x)"},
    {"csc", "1/sin(x)"},
    {"cot", "1/tan(x)"},
};

}  // namespace

absl::Span<const Builtin> Builtins() { return kBuiltins; }

int FindBuiltin(std::string_view name) {
  const Builtin* found = std::lower_bound(
      std::begin(kBuiltins), std::end(kBuiltins), name,
      [](const Builtin& builtin, std::string_view wanted) { return builtin.name < wanted; });
  if (found == std::end(kBuiltins) || found->name != name) return -1;
  return static_cast<int>(found - std::begin(kBuiltins));
}

std::string_view ForeignFunctionHint(std::string_view name) {
  for (const ForeignFunction& function : kForeignFunctions) {
    if (function.name == name) return function.ours;
  }
  return {};
}

absl::Span<const NamedConstant> NamedConstants() { return kNamedConstants; }

}  // namespace costate

#include "engine/model/tensor_builder.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/model/model.h"
#include "engine/model/text.h"

namespace costate {
namespace {

constexpr double kMaxExactInteger = 9007199254740992.0;  // 2^53
constexpr int64_t kMaxPowi = 1024;

template <typename... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::InvalidArgumentError(Text(parts...));
}

// The shape both broadcast to, if any.
std::optional<Shape> JoinShapes(const Shape& a, const Shape& b) {
  const size_t rank = std::max(a.size(), b.size());
  Shape joined(rank, 1);
  for (size_t i = 0; i < rank; ++i) {  // from the last axis
    const int64_t from_a = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t from_b = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (from_a != from_b && from_a != 1 && from_b != 1) return std::nullopt;
    joined[rank - 1 - i] = std::max(from_a, from_b);
  }
  return joined;
}

std::string Name(const Shape& shape) {
  return shape.empty() ? "a scalar" : Text("shape ", ShapeToString(shape));
}

// The range of one axis as start, stop, step with start < stop <= extent.
absl::Status ResolveRange(const Subscript& range, int64_t axis, const Shape& shape,
                          std::vector<int64_t>* cut) {
  const int64_t extent = shape[axis];
  const int64_t step = range.step.value_or(1);
  if (step < 1) return Wrong("the step of a range is at least 1, got ", step);
  const auto from_end = [&](int64_t i) { return i < 0 ? i + extent : i; };
  const int64_t start = from_end(range.start.value_or(0));
  const int64_t stop = from_end(range.stop.value_or(extent));
  const std::string written = Text(range.start.has_value() ? Text(*range.start) : "", ":",
                                   range.stop.has_value() ? Text(*range.stop) : "");
  if (start < 0 || stop < 0 || start > extent || stop > extent) {
    return Wrong("range ", written, " is outside axis ", axis, " of ", Name(shape));
  }
  if (start >= stop) return Wrong("range ", written, " is empty");
  cut->insert(cut->end(), {start, stop, std::min(step, extent)});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int64_t> NormalizeAxis(int64_t axis, const Shape& shape) {
  const auto rank = static_cast<int64_t>(shape.size());
  if (axis < -rank || axis >= rank) return Wrong("axis ", axis, " does not exist in ", Name(shape));
  return axis < 0 ? axis + rank : axis;
}

absl::Status CheckShapeLimits(const Shape& shape) {
  if (static_cast<int64_t>(shape.size()) > limits::kMaxTensorRank) {
    return Wrong("a tensor has at most ", limits::kMaxTensorRank, " axes, got ", shape.size());
  }
  int64_t elements = 1;
  for (int64_t extent : shape) {
    if (extent < 1) return Wrong("an extent is at least 1, got ", extent);
    if (extent > limits::kMaxTensorElements / elements) {
      return Wrong("a tensor has at most ", limits::kMaxTensorElements, " elements, got ",
                   Name(shape));
    }
    elements *= extent;
  }
  return absl::OkStatus();
}

bool TensorBuilder::IsBool(ValueId id) const { return b_.instruction(id).dtype == DType::kBool; }

absl::Status TensorBuilder::CheckNumber(ValueId x, std::string_view name) const {
  if (!IsBool(x)) return absl::OkStatus();
  return Wrong(name, " takes numbers, got a condition");
}

absl::StatusOr<int64_t> TensorBuilder::ConstantInteger(ValueId id, std::string_view what) const {
  const std::vector<double>* value = b_.constant(id);
  if (IsBool(id) || value == nullptr) return Wrong(what, " is a constant integer");
  if (!shape(id).empty()) return Wrong(what, " is one integer, got ", Name(shape(id)));
  const double number = value->front();
  if (number != std::floor(number) || std::fabs(number) > kMaxExactInteger) {
    return Wrong(what, " is an integer, got ", number);
  }
  return static_cast<int64_t>(number);
}

absl::StatusOr<ValueId> TensorBuilder::Append(Instruction instruction) {
  Instruction inferred = instruction;
  RETURN_IF_ERROR(InferShape(b_.function(), &inferred));
  return b_.Append(std::move(instruction));
}

absl::StatusOr<ValueId> TensorBuilder::BroadcastBool(ValueId x, const Shape& shape) {
  const ValueId one = b_.Constant(1);
  const ValueId zero = b_.Constant(0);
  const ValueId repeated = b_.BroadcastTo(b_.Select(x, one, zero), shape);
  return b_.Binary(Op::kNe, repeated, zero);
}

absl::StatusOr<ValueId> TensorBuilder::BroadcastTo(ValueId x, const Shape& target) {
  if (shape(x) == target) return x;
  const std::optional<Shape> joined = JoinShapes(shape(x), target);
  if (!joined.has_value() || *joined != target) {
    return Wrong(Name(shape(x)), " does not repeat to ", Name(target));
  }
  RETURN_IF_ERROR(CheckShapeLimits(target));
  if (IsBool(x)) return BroadcastBool(x, target);
  return b_.BroadcastTo(x, target);
}

absl::StatusOr<ValueId> TensorBuilder::Elementwise(Op op, absl::Span<const ValueId> operands,
                                                   std::string_view name) {
  const OpClass op_class = ClassOf(op);
  Shape joined;
  for (size_t i = 0; i < operands.size(); ++i) {
    const bool wants_bool = op_class == OpClass::Logic || (op_class == OpClass::Select && i == 0);
    if (wants_bool != IsBool(operands[i])) {
      if (op_class == OpClass::Select && i == 0) {
        return Wrong("the condition of ", name, " is a number");
      }
      return Wrong(
          name, wants_bool ? " takes conditions, got a number" : " takes numbers, got a condition");
    }
    const std::optional<Shape> next = JoinShapes(joined, shape(operands[i]));
    if (!next.has_value()) {
      return Wrong("shapes ", ShapeToString(joined), " and ", ShapeToString(shape(operands[i])),
                   " do not fit together in ", name);
    }
    joined = *next;
  }
  RETURN_IF_ERROR(CheckShapeLimits(joined));
  Instruction instruction;
  instruction.op = op;
  for (ValueId operand : operands) {
    if (!shape(operand).empty()) {
      ASSIGN_OR_RETURN(operand, BroadcastTo(operand, joined));
    }
    instruction.operands.push_back(operand);
  }
  return Append(std::move(instruction));
}

absl::StatusOr<ValueId> TensorBuilder::Power(ValueId base, ValueId exponent) {
  RETURN_IF_ERROR(CheckNumber(base, "'^'"));
  RETURN_IF_ERROR(CheckNumber(exponent, "'^'"));
  const std::vector<double>* value = b_.constant(exponent);
  if (value != nullptr && shape(exponent).empty()) {
    const double n = value->front();
    if (n == 0.5) return b_.Unary(Op::kSqrt, base);
    if (n == std::floor(n) && std::fabs(n) <= kMaxPowi) {
      return b_.Powi(base, static_cast<int64_t>(n));
    }
  }
  return Binary(Op::kPow, base, exponent, "'^'");
}

absl::StatusOr<ValueId> TensorBuilder::Matmul(ValueId a, ValueId b) {
  RETURN_IF_ERROR(CheckNumber(a, "'@'"));
  RETURN_IF_ERROR(CheckNumber(b, "'@'"));
  for (ValueId operand : {a, b}) {
    const size_t rank = shape(operand).size();
    if (rank == 0) return Wrong("'@' takes vectors and matrices, got a scalar");
    if (rank > 2) return Wrong("'@' takes vectors and matrices, got ", Name(shape(operand)));
  }
  // A transposed operand is a flag of the product, not a copy.
  bool transposed[] = {false, false};
  ValueId operands[] = {a, b};
  for (int i = 0; i < 2; ++i) {
    const Instruction& instruction = b_.instruction(operands[i]);
    transposed[i] = instruction.op == Op::kTranspose;
    if (transposed[i]) operands[i] = instruction.operands[0];
  }
  if (shape(a).back() != shape(b)[0]) {
    return Wrong("shapes ", ShapeToString(shape(a)), " and ", ShapeToString(shape(b)),
                 " do not fit together in '@': inner extents ", shape(a).back(), " and ",
                 shape(b)[0]);
  }
  Instruction instruction;
  instruction.op = Op::kMatmul;
  instruction.operands = {operands[0], operands[1]};
  instruction.attributes = {transposed[0] ? 1 : 0, transposed[1] ? 1 : 0};
  return Append(std::move(instruction));
}

absl::StatusOr<ValueId> TensorBuilder::Transpose(ValueId x) {
  RETURN_IF_ERROR(CheckNumber(x, "'.T'"));
  if (shape(x).size() > 2) return Wrong("only a matrix is transposed, got ", Name(shape(x)));
  return b_.Transpose(x);
}

absl::StatusOr<ValueId> TensorBuilder::Index(ValueId x, absl::Span<const Subscript> subscripts) {
  RETURN_IF_ERROR(CheckNumber(x, "an index"));
  const Shape whole = shape(x);
  if (whole.empty()) return Wrong("a scalar has no elements to index");
  if (subscripts.size() > whole.size()) {
    return Wrong(subscripts.size(), " indices for ", Name(whole));
  }
  std::vector<int64_t> cut;
  Shape kept;
  for (size_t axis = 0; axis < whole.size(); ++axis) {
    const int64_t extent = whole[axis];
    Subscript subscript;
    subscript.is_range = true;
    if (axis < subscripts.size()) subscript = subscripts[axis];
    if (subscript.is_range) {
      RETURN_IF_ERROR(ResolveRange(subscript, static_cast<int64_t>(axis), whole, &cut));
      const size_t last = cut.size() - 3;
      kept.push_back((cut[last + 1] - cut[last] - 1) / cut[last + 2] + 1);
      continue;
    }
    const int64_t position = *subscript.start;
    if (position < -extent || position >= extent) {
      return Wrong("index ", position, " is outside axis ", axis, " of ", Name(whole),
                   ", which has positions 0 to ", extent - 1);
    }
    const int64_t start = position < 0 ? position + extent : position;
    cut.insert(cut.end(), {start, start + 1, 1});
  }
  return b_.Reshape(b_.Slice(x, std::move(cut)), std::move(kept));
}

absl::StatusOr<ValueId> TensorBuilder::Stack(absl::Span<const ValueId> parts) {
  Shape part = shape(parts[0]);
  bool constant = true;
  for (ValueId id : parts) {
    RETURN_IF_ERROR(CheckNumber(id, "a tensor"));
    if (shape(id) != part) {
      return Wrong("the elements of a tensor have one shape, got ", ShapeToString(part), " and ",
                   ShapeToString(shape(id)));
    }
    constant = constant && b_.constant(id) != nullptr;
  }
  Shape stacked = {static_cast<int64_t>(parts.size())};
  stacked.insert(stacked.end(), part.begin(), part.end());
  RETURN_IF_ERROR(CheckShapeLimits(stacked));
  if (constant) {
    std::vector<double> elements;
    elements.reserve(NumElements(stacked));
    for (ValueId id : parts) {
      elements.insert(elements.end(), b_.constant(id)->begin(), b_.constant(id)->end());
    }
    return b_.Constant(std::move(elements), std::move(stacked));
  }
  part.insert(part.begin(), 1);
  std::vector<ValueId> slabs;
  slabs.reserve(parts.size());
  for (ValueId id : parts) slabs.push_back(b_.Reshape(id, part));
  return b_.Concat(std::move(slabs), 0);
}

absl::StatusOr<ValueId> TensorBuilder::Concat(absl::Span<const ValueId> parts, int64_t axis) {
  std::vector<ValueId> slabs;
  for (ValueId id : parts) {
    RETURN_IF_ERROR(CheckNumber(id, "concat"));
    slabs.push_back(shape(id).empty() ? b_.Reshape(id, {1}) : id);
  }
  const Shape first = shape(slabs[0]);
  ASSIGN_OR_RETURN(axis, NormalizeAxis(axis, first));
  for (ValueId id : slabs) {
    Shape other = shape(id);
    if (other.size() == first.size()) other[axis] = first[axis];
    if (other != first) {
      return Wrong("shapes ", ShapeToString(first), " and ", ShapeToString(shape(id)),
                   " do not fit together in concat");
    }
  }
  Instruction instruction;
  instruction.op = Op::kConcat;
  instruction.operands.assign(slabs.begin(), slabs.end());
  instruction.attributes = {axis};
  return Append(std::move(instruction));
}

absl::StatusOr<ValueId> TensorBuilder::Sum(ValueId x, std::optional<int64_t> axis) {
  RETURN_IF_ERROR(CheckNumber(x, "sum"));
  if (!axis.has_value()) return b_.Sum(x);
  ASSIGN_OR_RETURN(const int64_t position, NormalizeAxis(*axis, shape(x)));
  return b_.Sum(x, position);
}

absl::StatusOr<ValueId> TensorBuilder::Extremum(Op op, ValueId x) {
  RETURN_IF_ERROR(CheckNumber(x, op == Op::kMax ? "max" : "min"));
  int64_t size = NumElements(shape(x));
  x = b_.Reshape(x, {size});
  // Halves are compared until one element is left.
  while (size > 1) {
    const int64_t half = size / 2;
    const ValueId left = b_.Slice(x, {0, half, 1});
    const ValueId right = b_.Slice(x, {half, 2 * half, 1});
    ValueId best = b_.Binary(op, left, right);
    if (size % 2 == 1) best = b_.Concat({best, b_.Slice(x, {size - 1, size, 1})}, 0);
    x = best;
    size = size - half;
  }
  return b_.Reshape(x, {});
}

absl::StatusOr<ValueId> TensorBuilder::Roll(ValueId x, int64_t shift, int64_t axis) {
  RETURN_IF_ERROR(CheckNumber(x, "roll"));
  ASSIGN_OR_RETURN(axis, NormalizeAxis(axis, shape(x)));
  const int64_t extent = shape(x)[axis];
  const int64_t cut = ((extent - shift % extent) % extent + extent) % extent;
  if (cut == 0) return x;
  std::vector<int64_t> head, tail;
  for (int64_t i = 0; i < static_cast<int64_t>(shape(x).size()); ++i) {
    const int64_t end = shape(x)[i];
    head.insert(head.end(), {i == axis ? cut : 0, end, 1});
    tail.insert(tail.end(), {0, i == axis ? cut : end, 1});
  }
  return b_.Concat({b_.Slice(x, std::move(head)), b_.Slice(x, std::move(tail))}, axis);
}

absl::StatusOr<ValueId> TensorBuilder::Reshape(ValueId x, Shape target) {
  RETURN_IF_ERROR(CheckNumber(x, "reshape"));
  RETURN_IF_ERROR(CheckShapeLimits(target));
  if (NumElements(target) != NumElements(shape(x))) {
    return Wrong(Name(shape(x)), " has ", NumElements(shape(x)), " elements, ", Name(target),
                 " has ", NumElements(target));
  }
  return b_.Reshape(x, std::move(target));
}

}  // namespace costate

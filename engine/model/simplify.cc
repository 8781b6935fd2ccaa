// The exact rewritings of FunctionBuilder. Each looks at an instruction and its operands only,
// so building stays linear.
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "engine/model/function_builder.h"

namespace costate {
namespace {

// Constants with more elements are not folded.
constexpr int64_t kMaxFolded = 1024;
// Concatenations of more parts are not searched for the source of a slice.
constexpr size_t kMaxSearchedParts = 16;

bool SameBits(double a, double b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

bool Folds(Op op) {
  return op == Op::kAdd || op == Op::kSub || op == Op::kMul || op == Op::kDiv || op == Op::kNeg ||
         op == Op::kSqrt;
}

double Fold(Op op, double a, double b) {
  if (op == Op::kAdd) return a + b;
  if (op == Op::kSub) return a - b;
  if (op == Op::kMul) return a * b;
  if (op == Op::kDiv) return a / b;
  return op == Op::kNeg ? -a : std::sqrt(a);
}

bool Holds(Op op, double a, double b) {
  if (op == Op::kLt) return a < b;
  if (op == Op::kLe) return a <= b;
  return op == Op::kEq ? a == b : a != b;
}

}  // namespace

// True for a constant all of whose elements have the bits of `value`, repeated or not.
bool FunctionBuilder::IsConstant(ValueId id, double value) const {
  const Instruction* instruction = &function_.instructions[id];
  if (instruction->op == Op::kBroadcastTo) {
    id = instruction->operands[0];
  }
  const std::vector<double>* elements = constant(id);
  if (elements == nullptr || static_cast<int64_t>(elements->size()) > kMaxFolded) return false;
  for (double element : *elements) {
    if (!SameBits(element, value)) return false;
  }
  return true;
}

// The scalar of which value `id` is the repetition, or kNoValue.
ValueId FunctionBuilder::Repeated(ValueId id) const {
  const Instruction& instruction = function_.instructions[id];
  if (instruction.op != Op::kBroadcastTo) return kNoValue;
  return shape(instruction.operands[0]).empty() ? instruction.operands[0] : kNoValue;
}

// Whether a condition has one value whatever the inputs are.
std::optional<bool> FunctionBuilder::KnownCondition(const Instruction& instruction) const {
  if (instruction.dtype != DType::kBool) return std::nullopt;
  const auto known = [&](int i) { return known_[instruction.operands[i]]; };
  if (instruction.op == Op::kNot) {
    return known(0) < 0 ? std::nullopt : std::optional<bool>(known(0) == 0);
  }
  if (instruction.op == Op::kAnd || instruction.op == Op::kOr) {
    const int8_t decisive = instruction.op == Op::kOr ? 1 : 0;
    if (known(0) == decisive || known(1) == decisive) return decisive == 1;
    return known(0) < 0 || known(1) < 0 ? std::nullopt : std::optional<bool>(decisive == 0);
  }
  const std::vector<double>* a = constant(instruction.operands[0]);
  const std::vector<double>* b = constant(instruction.operands[1]);
  if (a == nullptr || b == nullptr || a->size() != 1 || b->size() != 1) return std::nullopt;
  return Holds(instruction.op, (*a)[0], (*b)[0]);
}

ValueId FunctionBuilder::Simplify(Instruction& instruction) {
  if (IsElementwise(instruction.op) && instruction.dtype == DType::kF64) {
    if (const ValueId folded = FoldConstants(instruction); folded != kNoValue) return folded;
    if (const ValueId hoisted = HoistBroadcast(instruction); hoisted != kNoValue) return hoisted;
  }
  const auto identity = [&](const Shape& other) {
    return instruction.shape == other ? instruction.operands[0] : kNoValue;
  };
  switch (instruction.op) {
    case Op::kNeg:
    case Op::kPowi:
      return SimplifyUnary(instruction);
    case Op::kAdd:
    case Op::kSub:
    case Op::kMul:
    case Op::kDiv:
      return SimplifyBinary(instruction);
    case Op::kSelect:
      return SimplifySelect(instruction);
    case Op::kSum:
    case Op::kSumTo:
    case Op::kPad:
      return identity(shape(instruction.operands[0]));
    case Op::kConcat:
      return instruction.operands.size() == 1 ? instruction.operands[0] : kNoValue;
    case Op::kReshape:
      return SimplifyReshape(instruction);
    case Op::kBroadcastTo:
      return SimplifyBroadcast(instruction);
    case Op::kSlice:
      return SimplifySlice(instruction);
    case Op::kTranspose: {
      const Instruction& operand = function_.instructions[instruction.operands[0]];
      return operand.op == Op::kTranspose ? operand.operands[0] : kNoValue;
    }
    case Op::kNot: {
      const Instruction& operand = function_.instructions[instruction.operands[0]];
      return operand.op == Op::kNot ? operand.operands[0] : kNoValue;
    }
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_LEAF_OP_LIST(COSTATE_CASE)
      COSTATE_COMPARE_OP_LIST(COSTATE_CASE)
      COSTATE_CONTRACT_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
    case Op::kAnd:
    case Op::kOr:
    case Op::kAbs:
    case Op::kSign:
    case Op::kFloor:
    case Op::kSqrt:
    case Op::kExp:
    case Op::kExpm1:
    case Op::kLog:
    case Op::kLog1p:
    case Op::kSin:
    case Op::kCos:
    case Op::kTan:
    case Op::kAsin:
    case Op::kAcos:
    case Op::kAtan:
    case Op::kSinh:
    case Op::kCosh:
    case Op::kTanh:
    case Op::kAsinh:
    case Op::kAcosh:
    case Op::kAtanh:
    case Op::kSigmoid:
    case Op::kErf:
    case Op::kPow:
    case Op::kAtan2:
    case Op::kMin:
    case Op::kMax:
      break;
  }
  return kNoValue;
}

ValueId FunctionBuilder::FoldConstants(const Instruction& instruction) {
  if (!Folds(instruction.op)) return kNoValue;
  const std::vector<double>* a = constant(instruction.operands[0]);
  const std::vector<double>* b = constant(instruction.operands.back());
  const int64_t size = NumElements(instruction.shape);
  if (a == nullptr || b == nullptr || size > kMaxFolded) return kNoValue;
  // A scalar is repeated; two operands of one element have one shape or are scalars.
  std::vector<double> result(size);
  for (int64_t i = 0; i < size; ++i) {
    result[i] = Fold(instruction.op, (*a)[a->size() == 1 ? 0 : i], (*b)[b->size() == 1 ? 0 : i]);
  }
  return Constant(std::move(result), instruction.shape);
}

// Elementwise ops take scalars where an operand repeats one, and repeat the result where all do.
ValueId FunctionBuilder::HoistBroadcast(Instruction& instruction) {
  if (instruction.shape.empty()) return kNoValue;
  bool all = true;
  bool any = false;
  for (ValueId operand : instruction.operands) {
    const bool repeated = Repeated(operand) != kNoValue;
    any |= repeated;
    all &= repeated || shape(operand).empty();
  }
  if (!any) return kNoValue;
  const Shape full = instruction.shape;
  bool full_left = false;
  for (ValueId operand : instruction.operands) {
    full_left |= Repeated(operand) == kNoValue && shape(operand) == full;
  }
  if (!all && !full_left) return kNoValue;
  for (ValueId& operand : instruction.operands) {
    if (const ValueId scalar = Repeated(operand); scalar != kNoValue) operand = scalar;
  }
  if (!all) return kNoValue;
  instruction.shape.clear();
  return BroadcastTo(Append(std::move(instruction)), full);
}

ValueId FunctionBuilder::SimplifyUnary(const Instruction& instruction) {
  const ValueId x = instruction.operands[0];
  if (instruction.op == Op::kNeg) {
    const Instruction& operand = function_.instructions[x];
    return operand.op == Op::kNeg ? operand.operands[0] : kNoValue;
  }
  if (instruction.attributes[0] == 1) return x;
  if (instruction.attributes[0] == 0) return BroadcastTo(Constant(1), instruction.shape);
  return kNoValue;
}

ValueId FunctionBuilder::SimplifyBinary(Instruction& instruction) {
  ValueId& a = instruction.operands[0];
  ValueId& b = instruction.operands[1];
  const auto full = [&](ValueId id) { return shape(id) == instruction.shape; };
  const auto negated = [&](ValueId id) {
    const Instruction& operand = function_.instructions[id];
    return operand.op == Op::kNeg ? operand.operands[0] : kNoValue;
  };
  const ValueId not_a = negated(a);
  const ValueId not_b = negated(b);
  const Op op = instruction.op;
  if (op == Op::kAdd || op == Op::kSub) {
    // Adding -0 and subtracting +0 change nothing; the other zeros change the sign of a zero.
    if (full(a) && IsConstant(b, op == Op::kAdd ? -0.0 : 0.0)) return a;
    if (op == Op::kAdd && full(b) && IsConstant(a, -0.0)) return b;
    if (not_b != kNoValue) return Binary(op == Op::kAdd ? Op::kSub : Op::kAdd, a, not_b);
    if (op == Op::kAdd && not_a != kNoValue) return Binary(Op::kSub, b, not_a);
    return kNoValue;
  }
  if (full(a) && IsConstant(b, 1)) return a;
  if (op == Op::kMul && full(b) && IsConstant(a, 1)) return b;
  if (full(a) && IsConstant(b, -1)) return Unary(Op::kNeg, a);
  if (op == Op::kMul && full(b) && IsConstant(a, -1)) return Unary(Op::kNeg, b);
  // Signs move into constants, else outwards, where sums take them up and equal products meet.
  if (not_a != kNoValue && not_b != kNoValue) return Binary(op, not_a, not_b);
  if (not_a != kNoValue && constant(b) != nullptr) {
    return Binary(op, not_a, Unary(Op::kNeg, b));
  }
  if (not_b != kNoValue && constant(a) != nullptr) {
    return Binary(op, Unary(Op::kNeg, a), not_b);
  }
  if (not_a != kNoValue) return Unary(Op::kNeg, Binary(op, not_a, b));
  if (not_b != kNoValue) return Unary(Op::kNeg, Binary(op, a, not_b));
  return kNoValue;
}

ValueId FunctionBuilder::SimplifySelect(const Instruction& instruction) {
  const ValueId a = instruction.operands[1];
  const ValueId b = instruction.operands[2];
  const int8_t known = known_[instruction.operands[0]];
  if (known < 0 && a != b) return kNoValue;
  const ValueId taken = known == 0 ? b : a;
  const Shape full = instruction.shape;
  return shape(taken) == full ? taken : BroadcastTo(taken, full);
}

ValueId FunctionBuilder::SimplifyReshape(const Instruction& instruction) {
  const ValueId x = instruction.operands[0];
  const Instruction operand = function_.instructions[x];
  if (operand.shape == instruction.shape) return x;
  if (operand.op == Op::kReshape) return Reshape(operand.operands[0], instruction.shape);
  if (operand.op == Op::kInput) {
    return Input(static_cast<int>(operand.attributes[0]), operand.attributes[1], instruction.shape);
  }
  if (Repeated(x) != kNoValue) return BroadcastTo(Repeated(x), instruction.shape);
  return kNoValue;
}

ValueId FunctionBuilder::SimplifyBroadcast(const Instruction& instruction) {
  const ValueId x = instruction.operands[0];
  if (shape(x) == instruction.shape) return x;
  if (Repeated(x) != kNoValue) return BroadcastTo(Repeated(x), instruction.shape);
  return kNoValue;
}

ValueId FunctionBuilder::SimplifySlice(const Instruction& slice) {
  const ValueId x = slice.operands[0];
  const Instruction operand = function_.instructions[x];
  if (operand.shape == slice.shape) return x;
  if (Repeated(x) != kNoValue) return BroadcastTo(Repeated(x), slice.shape);
  if (operand.op == Op::kConcat) return SliceOfConcat(slice, operand);
  if (operand.op == Op::kSlice) {
    std::vector<int64_t> joined;
    for (size_t axis = 0; axis < slice.shape.size(); ++axis) {
      const int64_t* inner = &operand.attributes[3 * axis];
      const int64_t* outer = &slice.attributes[3 * axis];
      const int64_t start = inner[0] + outer[0] * inner[2];
      const int64_t step = slice.shape[axis] == 1 ? 1 : inner[2] * outer[2];
      joined.insert(joined.end(), {start, start + (slice.shape[axis] - 1) * step + 1, step});
    }
    return Slice(operand.operands[0], std::move(joined));
  }
  if (operand.op != Op::kInput) return kNoValue;
  // One range of the buffer: unit extents, then one cut axis, then whole axes.
  int64_t offset = 0;
  int64_t stride = 1;
  bool whole = true;  // all axes to the right are taken whole
  for (size_t axis = slice.shape.size(); axis-- > 0;) {
    const int64_t extent = slice.shape[axis];
    if (extent > 1 && (slice.attributes[3 * axis + 2] != 1 || !whole)) return kNoValue;
    whole = whole && extent == operand.shape[axis];
    offset += slice.attributes[3 * axis] * stride;
    stride *= operand.shape[axis];
  }
  return Input(static_cast<int>(operand.attributes[0]), operand.attributes[1] + offset,
               slice.shape);
}

// A slice that stays inside one part is a slice of that part.
ValueId FunctionBuilder::SliceOfConcat(const Instruction& slice, const Instruction& concat) {
  if (concat.operands.size() > kMaxSearchedParts) return kNoValue;
  const int64_t axis = concat.attributes[0];
  const int64_t start = slice.attributes[3 * axis];
  const int64_t last = start + (slice.shape[axis] - 1) * slice.attributes[3 * axis + 2];
  int64_t begin = 0;
  for (ValueId part : concat.operands) {
    const int64_t end = begin + shape(part)[axis];
    if (start >= begin && last < end) {
      std::vector<int64_t> range(slice.attributes.begin(), slice.attributes.end());
      range[3 * axis] = start - begin;
      range[3 * axis + 1] = last - begin + 1;
      return Slice(part, std::move(range));
    }
    begin = end;
  }
  return kNoValue;
}

}  // namespace costate

#include "engine/autodiff/jvp_rules.h"

#include <algorithm>
#include <vector>

#include "engine/autodiff/elementwise_rules.h"

namespace costate {
namespace {

ValueId OrZero(FunctionBuilder& b, ValueId x) { return x == kNoValue ? b.Constant(0) : x; }

// d(x / y) = (dx - (x/y) dy) / y: one division.
ValueId PushDiv(FunctionBuilder& b, const Rebuilt& at, absl::Span<const ValueId> tangents) {
  ValueId numerator = tangents[0];
  if (tangents[1] != kNoValue) {
    const ValueId change = b.Unary(Op::kNeg, b.Binary(Op::kMul, at.result, tangents[1]));
    numerator = AddTerms(b, numerator, change);
  }
  return b.Binary(Op::kDiv, numerator, at.operands[1]);
}

ValueId PushElementwise(FunctionBuilder& b, const Rebuilt& at, absl::Span<const ValueId> tangents) {
  const Op op = at.instruction.op;
  if (op == Op::kDiv) return PushDiv(b, at, tangents);
  if (op == Op::kSelect) {
    const ValueId taken = OrZero(b, tangents[1]);
    return b.Select(at.operands[0], taken, OrZero(b, tangents[2]));
  }
  if (op == Op::kMin || op == Op::kMax) {
    const int first = op == Op::kMin ? 0 : 1;
    const ValueId keeps_first = b.Binary(Op::kLe, at.operands[first], at.operands[1 - first]);
    const ValueId taken = OrZero(b, tangents[0]);
    return b.Select(keeps_first, taken, OrZero(b, tangents[1]));
  }
  ValueId sum = kNoValue;
  for (size_t k = 0; k < tangents.size(); ++k) {
    if (tangents[k] == kNoValue) continue;
    sum = AddTerms(b, sum, TimesPartial(b, at, static_cast<int>(k), tangents[k]));
  }
  return sum;
}

// Parts that do not move are zeros; a single part that does is padded.
ValueId PushConcat(FunctionBuilder& b, const Rebuilt& at, absl::Span<const ValueId> tangents) {
  const size_t axis = at.instruction.attributes[0];
  if (std::count(tangents.begin(), tangents.end(), kNoValue) + 1 ==
      static_cast<int64_t>(tangents.size())) {
    int64_t begin = 0;
    size_t k = 0;
    for (; tangents[k] == kNoValue; ++k) begin += b.shape(at.operands[k])[axis];
    std::vector<int64_t> start_step;
    for (size_t i = 0; i < at.instruction.shape.size(); ++i) {
      start_step.insert(start_step.end(), {i == axis ? begin : 0, 1});
    }
    return b.Pad(tangents[k], std::move(start_step), at.instruction.shape);
  }
  std::vector<ValueId> parts(tangents.begin(), tangents.end());
  for (size_t k = 0; k < parts.size(); ++k) {
    if (parts[k] != kNoValue) continue;
    const Shape shape = b.shape(at.operands[k]);
    parts[k] = Zeros(b, shape);
  }
  return b.Concat(std::move(parts), static_cast<int64_t>(axis));
}

ValueId PushContract(FunctionBuilder& b, const Rebuilt& at, absl::Span<const ValueId> tangents) {
  ValueId sum = kNoValue;
  for (int k = 0; k < 2; ++k) {
    if (tangents[k] == kNoValue) continue;
    ValueId operands[] = {at.operands[0], at.operands[1]};
    operands[k] = tangents[k];
    sum = AddTerms(b, sum, b.Copy(at.source, at.instruction, operands));
  }
  return sum;
}

}  // namespace

ValueId PushForward(FunctionBuilder& b, const Rebuilt& at, absl::Span<const ValueId> tangents) {
  const auto moves = [](ValueId tangent) { return tangent != kNoValue; };
  if (at.instruction.dtype == DType::kBool ||
      std::none_of(tangents.begin(), tangents.end(), moves)) {
    return kNoValue;
  }
  switch (ClassOf(at.instruction.op)) {
    case OpClass::Unary:
    case OpClass::Binary:
    case OpClass::Select: {
      const ValueId tangent = PushElementwise(b, at, tangents);
      return tangent == kNoValue ? tangent : FullShape(b, tangent, at.instruction.shape);
    }
    case OpClass::Structure:
      if (at.instruction.op == Op::kConcat) return PushConcat(b, at, tangents);
      return b.Copy(at.source, at.instruction, tangents);
    case OpClass::Contract:
      return PushContract(b, at, tangents);
    case OpClass::Leaf:
    case OpClass::Compare:
    case OpClass::Logic:
      break;
  }
  return kNoValue;
}

}  // namespace costate

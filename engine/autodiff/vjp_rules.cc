#include "engine/autodiff/vjp_rules.h"

#include <utility>
#include <vector>

namespace costate {
namespace {

ValueId PullSum(FunctionBuilder& b, const Rebuilt& at, const Shape& shape, ValueId v) {
  const int64_t axis = at.instruction.attributes[0];
  if (axis >= 0) {
    Shape kept = shape;
    kept[axis] = 1;
    v = b.Reshape(v, kept);
  }
  return b.BroadcastTo(v, shape);
}

// The transpose of picking elements is putting them back among zeros.
ValueId PullSlice(FunctionBuilder& b, const Rebuilt& at, const Shape& shape, ValueId v) {
  std::vector<int64_t> start_step;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    start_step.push_back(at.instruction.attributes[3 * axis]);
    const bool single = at.instruction.shape[axis] == 1;
    start_step.push_back(single ? 1 : at.instruction.attributes[3 * axis + 2]);
  }
  return b.Pad(v, std::move(start_step), shape);
}

ValueId PullPad(FunctionBuilder& b, const Rebuilt& at, const Shape& shape, ValueId v) {
  std::vector<int64_t> range;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const int64_t start = at.instruction.attributes[2 * axis];
    const int64_t step = shape[axis] == 1 ? 1 : at.instruction.attributes[2 * axis + 1];
    range.insert(range.end(), {start, start + (shape[axis] - 1) * step + 1, step});
  }
  return b.Slice(v, std::move(range));
}

// The rows of operand k within the concatenation.
ValueId PullConcat(FunctionBuilder& b, int64_t axis, int64_t begin, const Shape& shape, ValueId v) {
  std::vector<int64_t> range;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t start = static_cast<int64_t>(i) == axis ? begin : 0;
    range.insert(range.end(), {start, start + shape[i], 1});
  }
  return b.Slice(v, std::move(range));
}

// C = op(A) op(B): A gets C op(B)', B gets op(A)' C, transposed once more where the flag says
// that A or B itself was transposed. For vectors a product with a vector is an outer product.
ValueId PullMatmul(FunctionBuilder& b, const Rebuilt& at, int k, ValueId v) {
  const ValueId x = at.operands[0];
  const ValueId y = at.operands[1];
  const bool tx = at.instruction.attributes[0] == 1;
  const bool ty = at.instruction.attributes[1] == 1;
  const bool x_matrix = b.shape(x).size() == 2;
  const bool y_matrix = b.shape(y).size() == 2;
  if (!x_matrix && !y_matrix) return b.Binary(Op::kMul, v, k == 0 ? y : x);
  if (x_matrix && y_matrix) {
    if (k == 0) return tx ? b.Matmul(y, v, ty, true) : b.Matmul(v, y, false, !ty);
    return ty ? b.Matmul(v, x, true, tx) : b.Matmul(x, v, !tx, false);
  }
  if (x_matrix) {
    if (k == 1) return b.Matmul(x, v, !tx, false);
    return tx ? b.Outer(y, v) : b.Outer(v, y);
  }
  if (k == 0) return b.Matmul(y, v, ty, false);
  return ty ? b.Outer(v, x) : b.Outer(x, v);
}

ValueId PullOuter(FunctionBuilder& b, const Rebuilt& at, int k, ValueId v) {
  return k == 0 ? b.Matmul(v, at.operands[1]) : b.Matmul(v, at.operands[0], true, false);
}

}  // namespace

ValueId Reduce(FunctionBuilder& b, ValueId v, const Shape& shape) {
  if (b.shape(v) == shape) return v;
  const Instruction& repeated = b.instruction(v);
  if (shape.empty() && repeated.op == Op::kBroadcastTo && b.shape(repeated.operands[0]).empty()) {
    const ValueId scalar = repeated.operands[0];
    return b.Binary(Op::kMul, scalar, b.Constant(static_cast<double>(NumElements(b.shape(v)))));
  }
  return b.SumTo(v, shape);
}

ValueId PullBack(FunctionBuilder& b, const Rebuilt& at, int k, int64_t begin, ValueId v) {
  const Shape shape = b.shape(at.operands[k]);
  switch (at.instruction.op) {
    case Op::kSum:
      return PullSum(b, at, shape, v);
    case Op::kReshape:
      return b.Reshape(v, shape);
    case Op::kTranspose:
      return b.Transpose(v);
    case Op::kBroadcastTo:
      return Reduce(b, v, shape);
    case Op::kSumTo:
      return b.BroadcastTo(v, shape);
    case Op::kSlice:
      return PullSlice(b, at, shape, v);
    case Op::kPad:
      return PullPad(b, at, shape, v);
    case Op::kConcat:
      return PullConcat(b, at.instruction.attributes[0], begin, shape, v);
    case Op::kMatmul:
      return PullMatmul(b, at, k, v);
    case Op::kOuter:
      return PullOuter(b, at, k, v);
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_LEAF_OP_LIST(COSTATE_CASE)
      COSTATE_ELEMENTWISE_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
      break;
  }
  return kNoValue;
}

}  // namespace costate

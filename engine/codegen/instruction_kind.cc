#include "engine/codegen/instruction_kind.h"

namespace costate::codegen {

int64_t ContiguousSliceStart(const Function& function, const Instruction& slice) {
  const Shape& source = function.instructions[slice.operands[0]].shape;
  int64_t start = 0;
  int64_t stride = 1;
  bool one_from_here = false;  // an inner axis is taken in part, so outer extents must be 1
  for (int axis = static_cast<int>(source.size()) - 1; axis >= 0; --axis) {
    const int64_t extent = slice.shape[axis];
    if (one_from_here && extent != 1) return -1;
    if (extent > 1 && slice.attributes[3 * axis + 2] != 1) return -1;
    if (extent != source[axis]) one_from_here = true;
    start += slice.attributes[3 * axis] * stride;
    stride *= source[axis];
  }
  return start;
}

bool IsLoopInstruction(const Function& function, const Instruction& instruction,
                       int64_t register_elements) {
  if (NumElements(instruction.shape) <= register_elements) return false;
  if (IsElementwise(instruction.op)) return true;
  return instruction.op == Op::kBroadcastTo &&
         NumElements(function.instructions[instruction.operands[0]].shape) == 1;
}

bool UsesRuntime(const Function& function, const Instruction& instruction,
                 int64_t register_elements) {
  const OpClass op_class = ClassOf(instruction.op);
  if (op_class != OpClass::Structure && op_class != OpClass::Contract) return false;
  const bool large_result = NumElements(instruction.shape) > register_elements;
  if (!large_result && instruction.op == Op::kSlice) return false;
  if (IsLoopInstruction(function, instruction, register_elements)) return false;
  if (large_result) return true;
  for (ValueId operand : instruction.operands) {
    if (NumElements(function.instructions[operand].shape) > register_elements) return true;
  }
  return false;
}

bool IsMathCall(Op op) {
  switch (op) {
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
      return true;
    case Op::kNeg:
    case Op::kAbs:
    case Op::kSign:
    case Op::kFloor:
    case Op::kSqrt:
    case Op::kPowi:
    case Op::kAdd:
    case Op::kSub:
    case Op::kMul:
    case Op::kDiv:
    case Op::kMin:
    case Op::kMax:
    case Op::kLt:
    case Op::kLe:
    case Op::kEq:
    case Op::kNe:
    case Op::kAnd:
    case Op::kOr:
    case Op::kNot:
    case Op::kSelect:
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_LEAF_OP_LIST(COSTATE_CASE)
      COSTATE_STRUCTURE_OP_LIST(COSTATE_CASE)
      COSTATE_CONTRACT_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
      return false;
  }
  return false;
}

}  // namespace costate::codegen

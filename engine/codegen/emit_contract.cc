#include "engine/codegen/block_emitter.h"
#include "engine/codegen/strides.h"
#include "llvm/IR/Intrinsics.h"

namespace costate::codegen {

using llvm::Value;

void BlockEmitter::EmitContract(ValueId id) {
  const Instruction& instruction = At(id);
  if (!UsesRuntime(m_.function(), instruction, m_.plan().register_elements))
    return EmitSmallContract(id);
  const ValueId a = instruction.operands[0];
  const ValueId b = instruction.operands[1];
  const MatmulShape shape = MatmulShapeOf(m_.function(), instruction);
  if (instruction.op == Op::kMatmul) {
    CallRuntime("matmul", LayoutSuffix(a, b), {Address(id), Address(a), Address(b)},
                ShapeSpan(shape));
    return;
  }
  CallRuntime("outer", LayoutSuffix(a, b), {Address(id), Address(a), Address(b)},
              ShapeSpan(OuterShape{shape.m, shape.n}));
}

// At most kMaxRegisterElements terms an output, so each accumulator holds one product.
void BlockEmitter::EmitSmallContract(ValueId id) {
  static_assert(kMaxRegisterElements <= kAccumulators);
  const Instruction& instruction = At(id);
  const bool varying = PlanOf(id).varying;
  const MatmulShape s = MatmulShapeOf(m_.function(), instruction);
  Elements results;
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      Elements products;
      for (int64_t k = 0; k < s.k; ++k) {
        Value* x = ElementAs(instruction.operands[0], i * s.a_row + k * s.a_column, varying);
        Value* y = ElementAs(instruction.operands[1], k * s.b_row + j * s.b_column, varying);
        products.push_back(b_.CreateFMul(x, y));
      }
      results.push_back(ReduceInOrder(std::move(products)));
    }
  }
  Define(id, std::move(results));
}

}  // namespace costate::codegen

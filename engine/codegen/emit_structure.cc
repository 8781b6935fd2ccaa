#include "engine/codegen/block_emitter.h"
#include "engine/codegen/strides.h"

namespace costate::codegen {

using llvm::Value;

void BlockEmitter::EmitStructure(ValueId id) {
  const Instruction& instruction = At(id);
  const bool sums = instruction.op == Op::kSum || instruction.op == Op::kSumTo;
  if (UsesRuntime(m_.function(), instruction, m_.plan().register_elements))
    return sums ? EmitLargeSum(id) : EmitLargeCopies(id);
  return sums ? EmitSmallSum(id) : EmitSmallCopies(id);
}

void BlockEmitter::EmitSmallCopies(ValueId id) {
  const Instruction& instruction = At(id);
  const ValuePlan& value = PlanOf(id);
  Elements results(value.num_elements,
                   Splat(llvm::ConstantFP::get(b_.getDoubleTy(), 0), LaneType(value.varying)));
  for (size_t k = 0; k < instruction.operands.size(); ++k) {
    const ValueId operand = instruction.operands[k];
    const CopyMap map = CopyMapOf(m_.function(), instruction, static_cast<int>(k));
    const std::vector<int64_t> to = Offsets(map.shape.extent, map.shape.out_stride);
    const std::vector<int64_t> from = Offsets(map.shape.extent, map.shape.a_stride);
    for (size_t i = 0; i < to.size(); ++i) {
      const int64_t source = map.a_offset + from[i];
      Value* element =
          PlanOf(operand).small ? ElementsOf(operand)[source] : LoadElement(operand, source);
      results[map.out_offset + to[i]] = Splat(element, LaneType(value.varying));
    }
  }
  Define(id, std::move(results));
}

// In the order of runtime/tensor_kernels.h, for at most kAccumulators terms.
Value* BlockEmitter::ReduceInOrder(Elements terms) {
  const auto count = static_cast<int>(terms.size());
  for (int step = kAccumulators / 2; step > 0; step /= 2) {
    for (int j = 0; j < step && j + step < count; ++j) {
      terms[j] = b_.CreateFAdd(terms[j], terms[j + step]);
    }
  }
  return terms[0];
}

void BlockEmitter::EmitSmallSum(ValueId id) {
  const SumShape shape = SumShapeOf(m_.function(), At(id));
  const Elements& source = ElementsOf(At(id).operands[0]);
  Elements results;
  for (int64_t first : Offsets(shape.out_extent, shape.out_stride)) {
    Elements terms;
    for (int64_t offset : Offsets(shape.sum_extent, shape.sum_stride)) {
      terms.push_back(source[first + offset]);
    }
    results.push_back(ReduceInOrder(std::move(terms)));
  }
  Define(id, std::move(results));
}

void BlockEmitter::EmitLargeCopies(ValueId id) {
  const Instruction& instruction = At(id);
  const ValuePlan& value = PlanOf(id);
  if (instruction.op == Op::kPad) {
    const int64_t width = value.varying ? m_.plan().lanes : 1;
    b_.CreateMemSet(Address(id), b_.getInt8(0),
                    static_cast<uint64_t>(value.num_elements * width) * sizeof(double),
                    llvm::Align(8));
  }
  for (size_t k = 0; k < instruction.operands.size(); ++k) {
    const ValueId operand = instruction.operands[k];
    const CopyMap map = CopyMapOf(m_.function(), instruction, static_cast<int>(k));
    const char* suffix = PlanOf(operand).varying ? "v" : value.varying ? "uv" : "u";
    CallRuntime("copy", suffix, {Address(id, map.out_offset), Address(operand, map.a_offset)},
                ShapeSpan(map.shape));
  }
}

void BlockEmitter::EmitLargeSum(ValueId id) {
  const ValueId operand = At(id).operands[0];
  CallRuntime("sum", PlanOf(operand).varying ? "v" : "u", {Address(id), Address(operand)},
              ShapeSpan(SumShapeOf(m_.function(), At(id))));
}

}  // namespace costate::codegen

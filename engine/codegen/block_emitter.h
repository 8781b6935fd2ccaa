// Emits one block of a plan as one LLVM function, a small member function per kind of work:
//   block_emitter.cc     values, addresses, stores, runtime calls
//   emit_elementwise.cc  elementwise ops: one by one, in loops, in batches
//   emit_structure.cc    moves and sums
//   emit_contract.cc     matrix products
#ifndef COSTATE_ENGINE_CODEGEN_BLOCK_EMITTER_H_
#define COSTATE_ENGINE_CODEGEN_BLOCK_EMITTER_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "engine/codegen/plan.h"
#include "engine/codegen/target.h"
#include "engine/model/ir.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"

namespace costate::codegen {

// What all blocks of one LLVM module share. Thread-safety: none.
class ModuleEmitter {
 public:
  // Functions of a kernel with at most this many math calls get them inline.
  static constexpr int64_t kMaxInlineMathCalls = 48;

  ModuleEmitter(const Function& function, const Plan& plan, const HostTarget& host,
                llvm::Module& module);

  // A function with the signature of Kernel::Entry.
  llvm::Function* DeclareEntry(const std::string& name);

  // The elements of a constant as a global array.
  llvm::Constant* ConstantArray(int32_t index);
  // A global array of integers: the shape argument of a runtime kernel.
  llvm::Constant* IntegerArray(absl::Span<const int64_t> values);
  // The one value of all elements of a constant, if there is one.
  std::optional<double> SplatConstant(int32_t index);

  // A void runtime kernel taking `num_pointers` pointers.
  llvm::FunctionCallee RuntimeKernel(const std::string& name, int num_pointers);
  // op(x...) at the width of x, inline, by a function of this module or by the math library.
  llvm::Value* MathCall(llvm::IRBuilder<>& builder, Op op, absl::Span<llvm::Value* const> x);

  const Function& function() const { return function_; }
  const Plan& plan() const { return plan_; }
  const HostTarget& host() const { return host_; }
  llvm::Module& module() { return module_; }

 private:
  llvm::Value* LibraryCall(llvm::IRBuilder<>& builder, Op op, absl::Span<llvm::Value* const> x);
  llvm::Value* LibraryFunctionBody(llvm::IRBuilder<>& builder, Op op,
                                   absl::Span<llvm::Value* const> x);
  llvm::Function* SharedMathFunction(Op op, llvm::Type* type, size_t num_operands);
  void SetAttributes(llvm::Function* f);

  const Function& function_;
  const Plan& plan_;
  const HostTarget& host_;
  llvm::Module& module_;
  absl::flat_hash_map<int32_t, llvm::Constant*> constant_arrays_;
  absl::flat_hash_map<int32_t, std::optional<double>> splat_constants_;
};

class BlockEmitter {
 public:
  BlockEmitter(ModuleEmitter& module, llvm::Function* function);

  void Emit(const Block& block);

 private:
  using Elements = absl::InlinedVector<llvm::Value*, 1>;

  const Instruction& At(ValueId id) const { return m_.function().instructions[id]; }
  const ValuePlan& PlanOf(ValueId id) const { return m_.plan().values[id]; }
  const Instruction& OperandOf(const Instruction& instruction, int k) const {
    return At(instruction.operands[k]);
  }

  // block_emitter.cc
  llvm::Type* LaneType(bool varying);
  llvm::Value* BufferPointer(bool output, int32_t index);
  llvm::Value* OffsetBy(llvm::Value* pointer, int64_t doubles);
  // Memory of element `element` of a value that has memory.
  llvm::Value* Address(ValueId id, int64_t element = 0);
  llvm::Value* LoadElement(ValueId id, int64_t element);
  llvm::LoadInst* Load(llvm::Type* type, llvm::Value* pointer, bool invariant);
  void Store(llvm::Value* value, llvm::Value* pointer);
  llvm::Value* ToDouble(llvm::Value* value);                 // predicates become 0 or 1
  llvm::Value* FromDouble(llvm::Value* value, DType dtype);  // and back
  llvm::Value* Splat(llvm::Value* value, llvm::Type* like);  // a scalar at the width of `like`
  // The elements of a small value: scalars, or vectors of lanes if it varies.
  const Elements& ElementsOf(ValueId id);
  llvm::Value* ElementAs(ValueId id, int64_t element, bool varying);
  void Define(ValueId id, Elements elements);
  void EmitSingle(ValueId id);
  void EmitStores(const Step& step);
  void StoreResult(const OutputEntry& entry);
  void CallRuntime(const char* operation, const std::string& suffix,
                   std::initializer_list<llvm::Value*> pointers, absl::Span<const int64_t> shape);
  const char* LayoutSuffix(ValueId a, ValueId b) const;

  // emit_elementwise.cc
  void EmitElementwise(ValueId id);
  void EmitBatch(const Step& step);
  void EmitLoop(const Step& step);
  void EmitRestOfLoop(const Step& step, int64_t first, int64_t count);
  llvm::Value* Apply(const Instruction& instruction, absl::Span<llvm::Value* const> x);
  llvm::Value* ApplyUnary(const Instruction& instruction, llvm::Value* x);
  llvm::Value* Product(Op op, llvm::Value* a, llvm::Value* b);
  llvm::Value* Powi(llvm::Value* x, int64_t exponent);
  struct Loop;
  llvm::Value* LoopOperand(Loop& loop, ValueId id);
  void PrepareLoopOperands(Loop& loop, const Step& step);
  void EmitLoopBody(Loop& loop, const Step& step);

  // emit_structure.cc
  void EmitStructure(ValueId id);
  void EmitSmallCopies(ValueId id);
  void EmitSmallSum(ValueId id);
  void EmitLargeCopies(ValueId id);
  void EmitLargeSum(ValueId id);
  llvm::Value* ReduceInOrder(Elements terms);

  // emit_contract.cc
  void EmitContract(ValueId id);
  void EmitSmallContract(ValueId id);

  ModuleEmitter& m_;
  llvm::Function* fn_;
  llvm::IRBuilder<> entry_;  // loads of buffer pointers, ahead of everything else
  llvm::IRBuilder<> b_;
  absl::flat_hash_map<std::pair<bool, int32_t>, llvm::Value*> buffers_;
  absl::flat_hash_map<ValueId, Elements> values_;
  absl::flat_hash_map<ValueId, Elements> batched_;  // computed so far
};

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_BLOCK_EMITTER_H_

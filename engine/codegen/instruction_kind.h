// How an instruction is evaluated: in registers, in a loop over elements, or by a runtime kernel.
// Free of LLVM.
#ifndef COSTATE_ENGINE_CODEGEN_INSTRUCTION_KIND_H_
#define COSTATE_ENGINE_CODEGEN_INSTRUCTION_KIND_H_

#include <cstdint>

#include "engine/model/ir.h"

namespace costate::codegen {

// Values of at most this many elements may be held element by element in registers.
inline constexpr int64_t kMaxRegisterElements = 8;

// Whether the instruction is evaluated by a runtime kernel on memory, not by emitted code.
bool UsesRuntime(const Function& function, const Instruction& instruction,
                 int64_t register_elements);

// Whether the instruction may be evaluated in a loop over elements together with others.
bool IsLoopInstruction(const Function& function, const Instruction& instruction,
                       int64_t register_elements);

// Whether the op is a transcendental function, worth packing and sharing.
bool IsMathCall(Op op);

// The offset of the first element if the slice is one run of its operand, else -1.
int64_t ContiguousSliceStart(const Function& function, const Instruction& slice);

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_INSTRUCTION_KIND_H_

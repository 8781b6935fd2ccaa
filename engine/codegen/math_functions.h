// Elementary functions as branch-free IR, the same operations at every vector width, so a value
// has the same bits in a scalar and in any lane. Algorithms and error bounds: notes.md.
#ifndef COSTATE_ENGINE_CODEGEN_MATH_FUNCTIONS_H_
#define COSTATE_ENGINE_CODEGEN_MATH_FUNCTIONS_H_

#include "engine/codegen/target.h"
#include "engine/model/ir.h"
#include "llvm/IR/IRBuilder.h"

namespace costate::codegen {

// Whether EmitMathFunction knows `op`; the other functions come from the math library.
bool IsEmittedMath(Op op);

// op(x) for x of type double or <k x double>. Maximal error in units of the last place, over
// all doubles including subnormal results: exp 1.02, expm1 1.5, log 0.9, log1p 0.9, sigmoid 2.1,
// tanh 2. Special values are those of the C library.
llvm::Value* EmitMathFunction(llvm::IRBuilder<>& builder, const HostTarget& host, Op op,
                              llvm::Value* x);

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_MATH_FUNCTIONS_H_

// The elementary functions that are called, not emitted: SLEEF's deterministic variants, which
// give the same bits at every vector width, or the C library lane by lane where the host lacks
// AVX2 and FMA.
#ifndef COSTATE_ENGINE_CODEGEN_LIBRARY_MATH_H_
#define COSTATE_ENGINE_CODEGEN_LIBRARY_MATH_H_

#include <string>
#include <vector>

#include "engine/codegen/runtime/instruction_set.h"
#include "engine/model/ir.h"

namespace costate::codegen {

struct LibraryFunction {
  std::string symbol;
  Op op;
  int width;  // doubles per operand: 1, 2, 4 or 8
  void* address;
};

// Every function the instruction set can run. Each takes one (pow, atan2: two) vectors of
// `width` doubles in registers and returns one.
std::vector<LibraryFunction> LibraryFunctions(InstructionSet instruction_set);

// The symbol of `op` at `width`; empty if there is none, as at widths past the instruction set's.
std::string LibrarySymbol(InstructionSet instruction_set, Op op, int width);

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_LIBRARY_MATH_H_

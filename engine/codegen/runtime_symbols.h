// The allow-list: every symbol emitted code may refer to, with its address. Nothing else links.
#ifndef COSTATE_ENGINE_CODEGEN_RUNTIME_SYMBOLS_H_
#define COSTATE_ENGINE_CODEGEN_RUNTIME_SYMBOLS_H_

#include <string>
#include <vector>

#include "engine/codegen/runtime/instruction_set.h"

namespace costate::codegen {

struct RuntimeSymbol {
  std::string name;
  void* address;
};

std::vector<RuntimeSymbol> RuntimeSymbols(InstructionSet instruction_set);

// Names of the tensor kernels (runtime/tensor_kernels.h): costate_<operation>_<suffix>, with the
// lane count behind if some operand varies: costate_matmul_uu, costate_matmul_uv8.
std::string TensorKernelName(const char* operation, const char* suffix, int lanes);

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_RUNTIME_SYMBOLS_H_

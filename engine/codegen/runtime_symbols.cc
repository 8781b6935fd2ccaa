#include "engine/codegen/runtime_symbols.h"

#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/codegen/library_math.h"
#include "engine/codegen/runtime/tensor_kernels.h"

namespace costate::codegen {
namespace {

template <typename F>
void* Address(F* function) {
  return reinterpret_cast<void*>(function);
}

void AddLaneKernels(const LaneKernels& kernels, int lanes, std::vector<RuntimeSymbol>& symbols) {
  const auto add = [&](const char* operation, const char* suffix, auto* kernel) {
    symbols.push_back({TensorKernelName(operation, suffix, lanes), Address(kernel)});
  };
  add("matmul", "uv", kernels.matmul_uv);
  add("matmul", "vu", kernels.matmul_vu);
  add("matmul", "vv", kernels.matmul_vv);
  add("outer", "uv", kernels.outer_uv);
  add("outer", "vu", kernels.outer_vu);
  add("outer", "vv", kernels.outer_vv);
  add("sum", "v", kernels.sum_v);
  add("copy", "v", kernels.copy_v);
  add("copy", "uv", kernels.copy_uv);
}

}  // namespace

std::string TensorKernelName(const char* operation, const char* suffix, int lanes) {
  std::string name = absl::StrCat("costate_", operation, "_", suffix);
  if (lanes > 1) absl::StrAppend(&name, lanes);
  return name;
}

std::vector<RuntimeSymbol> RuntimeSymbols(InstructionSet instruction_set) {
  std::vector<RuntimeSymbol> symbols;
  const TensorKernels& kernels = TensorKernelsFor(instruction_set);
  symbols.push_back({TensorKernelName("matmul", "uu", 1), Address(kernels.matmul_uu)});
  symbols.push_back({TensorKernelName("outer", "uu", 1), Address(kernels.outer_uu)});
  symbols.push_back({TensorKernelName("sum", "u", 1), Address(kernels.sum_u)});
  symbols.push_back({TensorKernelName("copy", "u", 1), Address(kernels.copy_u)});
  AddLaneKernels(kernels.lanes2, 2, symbols);
  AddLaneKernels(kernels.lanes4, 4, symbols);
  AddLaneKernels(kernels.lanes8, 8, symbols);
  for (const LibraryFunction& function : LibraryFunctions(instruction_set)) {
    symbols.push_back({function.symbol, function.address});
  }
  // What LLVM itself may call for operations the target lacks.
  symbols.push_back({"fma", Address<double(double, double, double)>(&std::fma)});
  symbols.push_back({"floor", Address<double(double)>(&std::floor)});
  symbols.push_back({"memset", Address(&std::memset)});
  symbols.push_back({"memcpy", Address(&std::memcpy)});
  symbols.push_back({"memmove", Address(&std::memmove)});
  return symbols;
}

}  // namespace costate::codegen

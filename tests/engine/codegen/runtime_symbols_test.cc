#include "engine/codegen/runtime_symbols.h"

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace costate::codegen {
namespace {

// The whole of what emitted code can reach: our kernels, SLEEF, and five functions of the C
// library that LLVM may need.
TEST(RuntimeSymbols, NothingButArithmeticIsAllowed) {
  for (const RuntimeSymbol& symbol : RuntimeSymbols(InstructionSet::kAvx512)) {
    const bool own = absl::StartsWith(symbol.name, "costate_matmul_") ||
                     absl::StartsWith(symbol.name, "costate_outer_") ||
                     absl::StartsWith(symbol.name, "costate_sum_") ||
                     absl::StartsWith(symbol.name, "costate_copy_");
    const bool library = symbol.name == "fma" || symbol.name == "floor" ||
                         symbol.name == "memset" || symbol.name == "memcpy" ||
                         symbol.name == "memmove";
    EXPECT_TRUE(own || library || absl::StartsWith(symbol.name, "Sleef_finz_")) << symbol.name;
  }
}

TEST(RuntimeSymbols, NamesOfTensorKernels) {
  EXPECT_EQ(TensorKernelName("matmul", "uu", 1), "costate_matmul_uu");
  EXPECT_EQ(TensorKernelName("sum", "v", 8), "costate_sum_v8");
}

}  // namespace
}  // namespace costate::codegen

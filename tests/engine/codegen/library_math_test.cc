#include "engine/codegen/library_math.h"

#include <map>
#include <set>

#include "engine/codegen/math_functions.h"
#include "engine/codegen/plan.h"
#include "engine/codegen/runtime_symbols.h"
#include "gtest/gtest.h"

namespace costate::codegen {
namespace {

constexpr InstructionSet kSets[] = {InstructionSet::kPortable, InstructionSet::kAvx2,
                                    InstructionSet::kAvx512};

TEST(LibraryMath, EveryFunctionIsEmittedOrInTheLibraryAtEveryWidth) {
  for (int i = 0; i < kNumOps; ++i) {
    const Op op = static_cast<Op>(i);
    for (const InstructionSet set : kSets) {
      const bool wanted = IsMathCall(op) && !IsEmittedMath(op);
      for (const int width : {1, 2, 4, 8}) {
        const bool supported = set == InstructionSet::kPortable ? width == 1
                               : set == InstructionSet::kAvx2   ? width <= 4
                                                                : true;
        EXPECT_EQ(!LibrarySymbol(set, op, width).empty(), wanted && supported)
            << OpName(op) << " " << width;
      }
    }
  }
}

TEST(LibraryMath, SymbolsAreDistinctAndAllowed) {
  for (const InstructionSet set : kSets) {
    std::set<std::string> allowed;
    for (const RuntimeSymbol& symbol : RuntimeSymbols(set)) {
      EXPECT_NE(symbol.address, nullptr) << symbol.name;
      EXPECT_TRUE(allowed.insert(symbol.name).second) << symbol.name;
    }
    for (const LibraryFunction& function : LibraryFunctions(set)) {
      EXPECT_EQ(allowed.count(function.symbol), 1u) << function.symbol;
    }
  }
}

}  // namespace
}  // namespace costate::codegen

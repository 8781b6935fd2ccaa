// How structure operations move elements, as extents and strides. Free of LLVM.
#ifndef COSTATE_ENGINE_CODEGEN_STRIDES_H_
#define COSTATE_ENGINE_CODEGEN_STRIDES_H_

#include <cstdint>
#include <type_traits>
#include <vector>

#include "absl/types/span.h"
#include "engine/codegen/runtime/tensor_kernels.h"
#include "engine/model/ir.h"

namespace costate::codegen {

// Element a_offset + i . a_stride of the operand goes to element out_offset + i . out_stride of
// the result, for every index i below extent.
struct CopyMap {
  CopyShape shape;
  int64_t out_offset = 0;
  int64_t a_offset = 0;
};

// For kReshape, kTranspose, kBroadcastTo, kSlice, kPad and kConcat (any operand; 0 for others).
CopyMap CopyMapOf(const Function& function, const Instruction& instruction, int operand);

// For kSum and kSumTo.
SumShape SumShapeOf(const Function& function, const Instruction& instruction);

// For kMatmul and kOuter, which is a matrix product over one term.
MatmulShape MatmulShapeOf(const Function& function, const Instruction& instruction);

// The offsets i . stride over all i below extent, row-major (for small extents).
std::vector<int64_t> Offsets(const int64_t (&extent)[kKernelRank],
                             const int64_t (&stride)[kKernelRank]);

// A shape struct as the array of integers it is.
template <typename Shape>
absl::Span<const int64_t> ShapeSpan(const Shape& shape) {
  static_assert(std::is_trivially_copyable_v<Shape> && sizeof(Shape) % sizeof(int64_t) == 0);
  return {reinterpret_cast<const int64_t*>(&shape), sizeof(Shape) / sizeof(int64_t)};
}

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_STRIDES_H_

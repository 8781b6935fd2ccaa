// Tensor operations called from emitted code: matrix products, sums and strided copies over
// tensors in memory.
//
// Layout. A varying tensor is [element][lane], a uniform one [element]. The suffixes of a name
// speak of its operands in order: u uniform, v varying; the result varies if any operand does.
//
// Order of summation, the same for every lane count and instruction set: term k goes to
// accumulator k mod 8, each accumulator starts as its first term and takes the following ones
// by fma (products) or addition (sums) in ascending order; then accumulator j takes j + 4,
// j + 2 and j + 1 in turn, where these exist.
#ifndef COSTATE_ENGINE_CODEGEN_RUNTIME_TENSOR_KERNELS_H_
#define COSTATE_ENGINE_CODEGEN_RUNTIME_TENSOR_KERNELS_H_

#include <cstdint>

#include "engine/codegen/runtime/instruction_set.h"

namespace costate::codegen {

inline constexpr int kAccumulators = 8;
inline constexpr int kKernelRank = 4;

// out[i, j] = sum over k of a[i, k] * b[k, j]. Strides count elements; out is row-major.
struct MatmulShape {
  int64_t m, n, k;
  int64_t a_row, a_column;
  int64_t b_row, b_column;
};

// out[i, j] = a[i] * b[j], row-major.
struct OuterShape {
  int64_t m, n;
};

// out[o] = sum over r of a[o . out_stride + r . sum_stride]; o and r run row-major over their
// extents; out is dense.
struct SumShape {
  int64_t out_extent[kKernelRank], out_stride[kKernelRank];
  int64_t sum_extent[kKernelRank], sum_stride[kKernelRank];
};

// out[i . out_stride] = a[i . a_stride] over all i below extent.
struct CopyShape {
  int64_t extent[kKernelRank], out_stride[kKernelRank], a_stride[kKernelRank];
};

using MatmulKernel = void (*)(double* out, const double* a, const double* b,
                              const MatmulShape* shape);
using OuterKernel = void (*)(double* out, const double* a, const double* b,
                             const OuterShape* shape);
using SumKernel = void (*)(double* out, const double* a, const SumShape* shape);
using CopyKernel = void (*)(double* out, const double* a, const CopyShape* shape);

struct LaneKernels {
  MatmulKernel matmul_uv, matmul_vu, matmul_vv;
  OuterKernel outer_uv, outer_vu, outer_vv;
  SumKernel sum_v;
  CopyKernel copy_v;   // varying to varying
  CopyKernel copy_uv;  // uniform to varying: repeated over lanes
};

struct TensorKernels {
  MatmulKernel matmul_uu;
  OuterKernel outer_uu;
  SumKernel sum_u;
  CopyKernel copy_u;
  LaneKernels lanes2, lanes4, lanes8;
};

const TensorKernels& TensorKernelsFor(InstructionSet instruction_set);

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_RUNTIME_TENSOR_KERNELS_H_

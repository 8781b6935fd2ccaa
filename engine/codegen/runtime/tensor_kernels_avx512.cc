#include "engine/codegen/runtime/tensor_kernels.h"

#define COSTATE_ISA avx512
#include "engine/codegen/runtime/pack.h"
#include "engine/codegen/runtime/tensor_kernels.inc"

#include "engine/codegen/runtime/tensor_kernels.h"

namespace costate::codegen {

namespace portable {
const TensorKernels& Kernels();
}
#if defined(__x86_64__)
namespace avx2 {
const TensorKernels& Kernels();
}
namespace avx512 {
const TensorKernels& Kernels();
}
#endif

const TensorKernels& TensorKernelsFor(InstructionSet instruction_set) {
#if defined(__x86_64__)
  switch (instruction_set) {
    case InstructionSet::kPortable:
      return portable::Kernels();
    case InstructionSet::kAvx2:
      return avx2::Kernels();
    case InstructionSet::kAvx512:
      return avx512::Kernels();
  }
#endif
  return portable::Kernels();
}

}  // namespace costate::codegen

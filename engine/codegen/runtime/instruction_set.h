// Classes of processors that code is made for. Includes nothing, as it is shared by files
// compiled for different instruction sets.
#ifndef COSTATE_ENGINE_CODEGEN_RUNTIME_INSTRUCTION_SET_H_
#define COSTATE_ENGINE_CODEGEN_RUNTIME_INSTRUCTION_SET_H_

namespace costate::codegen {

// Which math library and tensor kernels a host can run. On kPortable, library functions are the
// C library's, lane by lane. kAvx2 includes FMA; kAvx512 the F, DQ, VL, BW and CD extensions.
enum class InstructionSet { kPortable, kAvx2, kAvx512 };

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_RUNTIME_INSTRUCTION_SET_H_

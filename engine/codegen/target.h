// The machine that kernels are compiled for: always the host, at most restricted.
#ifndef COSTATE_ENGINE_CODEGEN_TARGET_H_
#define COSTATE_ENGINE_CODEGEN_TARGET_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/codegen/runtime/instruction_set.h"

namespace llvm {
class TargetMachine;
}

namespace costate::codegen {

struct HostTarget {
  std::string triple;
  std::string cpu;
  std::string features;
  InstructionSet instruction_set = InstructionSet::kPortable;
  int simd_lanes = 2;  // widest register in doubles: 8, 4 or 2
};

// UNAVAILABLE when LLVM cannot emit code for the host. Tests restrict the instruction set to
// try the code of lesser hosts; kPortable ignores everything past the architecture's baseline.
absl::StatusOr<HostTarget> DetectHost(InstructionSet at_most = InstructionSet::kAvx512);

// A target machine is cheap (under 0.1 ms) and must not be shared between threads.
absl::StatusOr<std::unique_ptr<llvm::TargetMachine>> MakeTargetMachine(const HostTarget& host);

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_TARGET_H_

// A planned function as machine code.
#ifndef COSTATE_ENGINE_CODEGEN_EMITTER_H_
#define COSTATE_ENGINE_CODEGEN_EMITTER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/codegen/plan.h"
#include "engine/codegen/target.h"
#include "engine/model/ir.h"

namespace costate::codegen {

// Name of the function with the signature of Kernel::Entry.
inline constexpr char kEntrySymbol[] = "costate_kernel";

// Relocatable object files, to be linked together; they refer to each other and to
// RuntimeSymbols only. Large functions come in several objects, so that the compiler's memory
// stays bounded. Thread-safety: calls are independent.
absl::StatusOr<std::vector<std::string>> EmitObjects(const Function& function, const Plan& plan,
                                                     const HostTarget& host);

// The unoptimised LLVM IR of all blocks, to read.
std::string PrintLlvmIr(const Function& function, const Plan& plan, const HostTarget& host);

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_EMITTER_H_

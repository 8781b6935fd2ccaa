// MakeCompiler for a given target, so that tests can restrict the host.
#ifndef COSTATE_ENGINE_CODEGEN_HOST_COMPILER_H_
#define COSTATE_ENGINE_CODEGEN_HOST_COMPILER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/codegen/compiler.h"
#include "engine/codegen/target.h"

namespace costate::codegen {

absl::StatusOr<std::unique_ptr<Compiler>> MakeCompilerFor(const CompilerOptions& options,
                                                          HostTarget host);

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_HOST_COMPILER_H_

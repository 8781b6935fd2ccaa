// MakeCompiler for a given target and tuning, so that tests can restrict the host and force paths.
#ifndef COSTATE_ENGINE_CODEGEN_HOST_COMPILER_H_
#define COSTATE_ENGINE_CODEGEN_HOST_COMPILER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/codegen/compiler.h"
#include "engine/codegen/plan.h"
#include "engine/codegen/target.h"

namespace costate::codegen {

// Choices that change the code but never a bit of its results.
struct Tuning {
  int64_t register_elements = kMaxRegisterElements;
  bool batch_calls = true;
};

absl::StatusOr<std::unique_ptr<Compiler>> MakeCompilerFor(const CompilerOptions& options,
                                                          HostTarget host,
                                                          const Tuning& tuning = {});

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_HOST_COMPILER_H_

#include "engine/evaluator_factory.h"

#include <utility>

#include "engine/interpreter/interpreter.h"
#ifdef COSTATE_HAS_JIT
#include "engine/codegen/compiler.h"
#endif

namespace costate {
namespace {

absl::StatusOr<std::unique_ptr<Evaluator>> MakeCompilingEvaluator(const EvaluatorOptions& options) {
#ifdef COSTATE_HAS_JIT
  CompilerOptions compiler_options;
  compiler_options.cache_directory = options.cache_directory;
  absl::StatusOr<std::unique_ptr<Compiler>> compiler = MakeCompiler(compiler_options);
  if (!compiler.ok()) return std::move(compiler).status();
  return std::unique_ptr<Evaluator>(*std::move(compiler));
#else
  static_cast<void>(options);
  return absl::UnavailableError("this build has no compiler (COSTATE_JIT=OFF)");
#endif
}

}  // namespace

absl::StatusOr<std::unique_ptr<Evaluator>> MakeEvaluator(const EvaluatorOptions& options) {
  if (options.kind == EvaluatorKind::kInterpreter) return MakeInterpreter();
  absl::StatusOr<std::unique_ptr<Evaluator>> compiling = MakeCompilingEvaluator(options);
  const bool fall_back =
      options.kind == EvaluatorKind::kAuto && absl::IsUnavailable(compiling.status());
  if (fall_back) return MakeInterpreter();
  return compiling;
}

}  // namespace costate

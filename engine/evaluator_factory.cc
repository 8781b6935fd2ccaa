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

EvaluatorStats StatsOf(const Evaluator& evaluator) {
  EvaluatorStats stats;
#ifdef COSTATE_HAS_JIT
  if (const auto* compiler = dynamic_cast<const Compiler*>(&evaluator); compiler != nullptr) {
    const CompilerStats compiled = compiler->stats();
    stats.compiled = compiled.compiled;
    stats.memory_hits = compiled.memory_hits;
    stats.disk_hits = compiled.disk_hits;
    stats.code_bytes = compiled.code_bytes;
    stats.compile_time = compiled.compile_time;
  }
#else
  static_cast<void>(evaluator);
#endif
  return stats;
}

}  // namespace costate

// The evaluator of this build: the compiler where it was built in and the host has a target,
// else the interpreter.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<Evaluator> evaluator, MakeEvaluator({}));
//   Engine engine({.evaluator = std::move(evaluator)});
#ifndef COSTATE_ENGINE_EVALUATOR_FACTORY_H_
#define COSTATE_ENGINE_EVALUATOR_FACTORY_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/model/evaluator.h"

namespace costate {

enum class EvaluatorKind {
  kAuto,  // the compiler if it can be had
  kInterpreter,
  kCompiler,  // UNAVAILABLE without it
};

struct EvaluatorOptions {
  EvaluatorKind kind = EvaluatorKind::kAuto;
  std::string cache_directory = {};  // of compiled objects; empty: in memory only
};

absl::StatusOr<std::unique_ptr<Evaluator>> MakeEvaluator(const EvaluatorOptions& options);

// What building kernels took so far. A kernel that is not in memory is looked for on disk, where
// there is a cache, and else compiled.
struct EvaluatorStats {
  int64_t compiled = 0;
  int64_t memory_hits = 0;  // requests that waited for another one's kernel included
  int64_t disk_hits = 0;
  int64_t code_bytes = 0;  // in memory
  absl::Duration compile_time;
};

// Zeros for the interpreter, which builds nothing.
EvaluatorStats StatsOf(const Evaluator& evaluator);

}  // namespace costate

#endif  // COSTATE_ENGINE_EVALUATOR_FACTORY_H_

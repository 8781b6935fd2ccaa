// The evaluator of this build: the compiler where it was built in and the host has a target,
// else the interpreter.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<Evaluator> evaluator, MakeEvaluator({}));
//   Engine engine({.evaluator = std::move(evaluator)});
#ifndef COSTATE_ENGINE_EVALUATOR_FACTORY_H_
#define COSTATE_ENGINE_EVALUATOR_FACTORY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
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

}  // namespace costate

#endif  // COSTATE_ENGINE_EVALUATOR_FACTORY_H_

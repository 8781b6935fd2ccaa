#include "server/environment.h"

#include <utility>

#include "engine/base/status_macros.h"
#include "engine/evaluator_factory.h"

namespace costate {
namespace {

EngineOptions WithEvaluator(std::unique_ptr<Evaluator> evaluator) {
  EngineOptions options;
  options.evaluator = std::move(evaluator);
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Environment>> Environment::Create(const EnvironmentOptions& options,
                                                                 Log& log,
                                                                 std::function<absl::Time()> now) {
  EvaluatorOptions evaluator_options;
  evaluator_options.cache_directory = options.cache_directory;
  ASSIGN_OR_RETURN(std::unique_ptr<Evaluator> evaluator, MakeEvaluator(evaluator_options));
  return std::unique_ptr<Environment>(
      new Environment(options, log, std::move(now), std::move(evaluator)));
}

Environment::Environment(const EnvironmentOptions& options, Log& log,
                         std::function<absl::Time()> now, std::unique_ptr<Evaluator> evaluator)
    : options_(options),
      log_(log),
      now_(std::move(now)),
      engine_(std::make_unique<Engine>(WithEvaluator(std::move(evaluator)))),
      models_(options.models),
      memory_(options.memory_budget > 0 ? options.memory_budget : DefaultMemoryBudget()),
      pool_(std::make_unique<ComputePool>(options.pool)) {}

}  // namespace costate

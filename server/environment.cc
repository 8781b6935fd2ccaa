#include "server/environment.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/evaluator_factory.h"

namespace costate {
namespace {

EngineOptions WithEvaluator(std::unique_ptr<Evaluator> evaluator) {
  EngineOptions options;
  options.evaluator = std::move(evaluator);
  return options;
}

absl::Status CheckScratchDirectory(const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  struct stat found;
  if (stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode) &&
      access(path.c_str(), W_OK | X_OK) == 0) {
    return absl::OkStatus();
  }
  return FieldStatus(absl::StatusCode::kInvalidArgument, "--scratch-directory",
                     absl::StrCat(path, " is no directory that this server can write to"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Environment>> Environment::Create(const EnvironmentOptions& options,
                                                                 Log& log,
                                                                 std::function<absl::Time()> now) {
  RETURN_IF_ERROR(CheckScratchDirectory(options.scratch_directory));
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
      disk_(options.scratch_directory.empty() ? 0 : options.max_disk_bytes),
      kept_solves_(options.max_kept_bytes < 0 ? memory_.total() / 4 : options.max_kept_bytes,
                   memory_, timer_),
      pool_(std::make_unique<ComputePool>(options.pool)) {}

std::optional<JobGauges> Environment::job_gauges() const {
  std::function<JobGauges()> source;
  {
    const std::lock_guard<std::mutex> lock(job_gauges_mutex_);
    source = job_gauges_;
  }
  return source == nullptr ? std::nullopt : std::optional<JobGauges>(source());
}

void Environment::SetJobGauges(std::function<JobGauges()> source) {
  const std::lock_guard<std::mutex> lock(job_gauges_mutex_);
  job_gauges_ = std::move(source);
}

}  // namespace costate

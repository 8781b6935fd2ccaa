#include "server/jobs/prepared_fit.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/base/stop_source.h"
#include "server/convert/fit.h"
#include "server/environment.h"
#include "server/handlers/resolve_model.h"
#include "server/limits.h"

namespace costate::jobs {
namespace {

using optimise::Algorithm;

// Evaluations a start is taken to need, and how many plain ones an evaluation is worth.
struct Effort {
  double evaluations = 1;
  bool residuals = false;  // a tangent for each free element
  double each = 1;
};

Effort EffortOf(const fit::FitOptions& options) {
  const double most = static_cast<double>(options.optimiser.max_iterations);
  constexpr double kGradient = 5;  // of solves
  switch (options.optimiser.algorithm) {
    case Algorithm::kLevenbergMarquardt:
      return {std::min(most, 30.0), true, 1};
    case Algorithm::kLbfgsb:
      return {std::min(most, 100.0), false, kGradient};
    case Algorithm::kAdam:
    case Algorithm::kAdamW:
      return {most, false, kGradient};
    case Algorithm::kNlopt:
      return {std::min(most, 1000.0), false, 1};
  }
  return {};
}

int64_t NumPoints(const v1::FitRequest& request) {
  int64_t bytes = 0;
  for (const v1::DataSeries& series : request.data()) {
    bytes += static_cast<int64_t>(series.times().data().size()) + 8 * series.times().values_size();
  }
  return bytes / 8;
}

void Estimate(const v1::FitRequest& request, const Simulation& simulation, PreparedFit* fit) {
  const Effort effort = EffortOf(fit->options);
  const double q = static_cast<double>(fit->objective->elements().size());
  const double conditions = static_cast<double>(fit->objective->num_parts());
  const double points = static_cast<double>(NumPoints(request));
  const int64_t columns = effort.residuals ? static_cast<int64_t>(q) : 0;
  fit->cost_per_start =
      conditions * effort.evaluations * effort.each * Engine::EstimateCost(simulation, columns) +
      (effort.residuals ? effort.evaluations * points * q * q : 0);
  constexpr double kCopies = 4;  // question, answer, the optimiser's own, tangents of the solve
  const double traces = 2 * effort.evaluations;  // and in a checkpoint
  const double n = static_cast<double>(simulation.model->ir().num_states());
  fit->bytes_per_start =
      8 * traces +
      8 * kCopies * (effort.residuals ? points * q + q * q + conditions * n * q : 20 * q + points);
  constexpr double kRows = 200;  // of a fitted trajectory
  const double k = static_cast<double>(simulation.model->ir().num_outputs());
  const double matrices = q <= static_cast<double>(fit::kMaxUncertainElements) ? 3 * q * q : 0;
  fit->result_bytes = 8 * (matrices + 2 * points + conditions * kRows * (1 + n + k) +
                           2 * q * static_cast<double>(fit->options.starts));
}

}  // namespace

absl::StatusOr<PreparedFit> PrepareFit(CallContext& call, const std::string& field,
                                       const v1::FitRequest& request) {
  ASSIGN_OR_RETURN(const ResolvedModel model,
                   ResolveModel(call, field + ".simulation.model", request.simulation().model()));
  const fit::FitProblem problem = FitProblemFromProto(request, model.entry->model);
  const fit::FitOptions asked = FitOptionsFromProto(request.options());
  PreparedFit prepared;
  absl::StatusOr<std::unique_ptr<fit::Objective>> objective = fit::Objective::Create(
      call.environment.engine(), problem, asked.gradient, StopSource{&call.cancellation});
  if (!objective.ok()) return WithFieldPrefix(field, objective.status());
  prepared.objective = *std::move(objective);
  const int64_t elements = static_cast<int64_t>(prepared.objective->elements().size());
  if (elements > limits::kMaxFitFree) {
    return FieldError(field + ".free", absl::StrCat(elements, " elements"),
                      absl::StrCat("at most ", limits::kMaxFitFree));
  }
  absl::StatusOr<fit::FitOptions> options = fit::ResolveFitOptions(*prepared.objective, asked);
  if (!options.ok()) return WithFieldPrefix(field + ".options", options.status());
  prepared.options = *std::move(options);
  Estimate(request, problem.simulation, &prepared);
  return prepared;
}

void StepMeter::Record() {
  const SolveStats now = objective_.work();
  EngineWork work;
  work.forward = {.accepted_steps = now.accepted_steps - recorded_.accepted_steps,
                  .rejected_steps = now.rejected_steps - recorded_.rejected_steps,
                  .rhs_evaluations = now.rhs_evaluations - recorded_.rhs_evaluations};
  metrics_.RecordWork(work);
  recorded_ = now;
}

int64_t Chunks::size() const {
  const int64_t even = (starts + count - 1) / count;
  return (even + kChunkLanes - 1) / kChunkLanes * kChunkLanes;
}

int64_t Chunks::length(int64_t task) const { return std::min(size(), starts - first(task)); }

Chunks ChooseChunks(const PreparedFit& fit, int64_t memory) {
  constexpr double kTaskCost = 5e11;  // element operations: about a minute
  Chunks chunks;
  chunks.starts = fit.options.starts;
  const double by_cost = kTaskCost / std::max(fit.cost_per_start, 1.0);
  const double by_memory = 0.25 * static_cast<double>(memory) / std::max(fit.bytes_per_start, 1.0);
  const double wanted =
      std::clamp(std::min(by_cost, by_memory), static_cast<double>(kChunkLanes), 1e6);
  const int64_t size = static_cast<int64_t>(wanted) / kChunkLanes * kChunkLanes;
  chunks.count = (chunks.starts + size - 1) / size;
  return chunks;
}

}  // namespace costate::jobs

#include "server/handlers/solves.h"

#include <memory>
#include <optional>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/tensor_index.h"
#include "server/convert/simulation.h"
#include "server/convert/solve.h"
#include "server/environment.h"
#include "server/handlers/answer.h"
#include "server/handlers/memory_estimate.h"
#include "server/handlers/resolve_model.h"
#include "server/handlers/row_stream.h"
#include "server/validate/simulation.h"

namespace costate {
namespace {

// A solve that is ready to run.
struct Prepared {
  ModelEntryPtr entry;
  SolveRequest solve;
  double cost = 0;

  ModelInWords words() const { return {*entry->model, entry->text}; }
};

template <typename Request>
absl::StatusOr<std::shared_ptr<Prepared>> Prepare(CallContext& call, const Request& request) {
  ASSIGN_OR_RETURN(ResolvedModel model,
                   ResolveModel(call, "simulation.model", request.simulation().model()));
  auto prepared = std::make_shared<Prepared>();
  prepared->entry = std::move(model.entry);
  prepared->solve.simulation = SimulationFromProto(request.simulation(), prepared->entry->model);
  prepared->solve.want_outputs = !request.omit_outputs();
  prepared->cost = model.compile_cost + Engine::EstimateCost(prepared->solve.simulation, 0);
  return prepared;
}

// Known before the run unless rows follow the steps.
absl::Status CheckPredictedSize(const CallContext& call, const v1::SolveRequest& request,
                                const Simulation& simulation) {
  const SaveAt& save = simulation.options.save;
  const ModelIr& ir = simulation.model->ir();
  double values = 1;
  if (!request.omit_states()) values += static_cast<double>(ir.num_states());
  if (!request.omit_outputs()) values += static_cast<double>(ir.num_outputs());
  const double rows =
      save.kind == SaveAt::Kind::kTimes ? static_cast<double>(save.times.size()) : 1.0;
  const double bytes =
      8.0 * values * rows * static_cast<double>(ExpectBatch(simulation).trajectories);
  return CheckAnswerFits(call, bytes,
                         "save fewer times, leave out states or outputs, or stream the solve, "
                         "which has no such limit");
}

absl::StatusOr<SolveResult> RunSolve(CallContext& call, const SolveRequest& solve) {
  Engine& engine = call.environment.engine();
  if (solve.simulation.options.save.kind != SaveAt::Kind::kSteps) {
    return engine.Solve(solve, &call.cancellation);
  }
  RowCollector rows(call.environment.options().max_message_bytes);
  absl::StatusOr<SolveResult> result = engine.Solve(solve, &call.cancellation, &rows);
  if (result.ok()) rows.MoveInto(&*result);
  return result;
}

absl::Status FinishSolve(CallContext& call, const v1::SolveRequest& request,
                         const Prepared& prepared, v1::SolveResponse* response) {
  absl::StatusOr<SolveResult> result = RunSolve(call, prepared.solve);
  if (!result.ok()) return InRequestWords(result.status());
  RETURN_IF_ERROR(EndOfEngine(call, ReportOf(*result)));
  SolveParts parts;
  parts.states = !request.omit_states();
  parts.outputs = !request.omit_outputs();
  SolveResultToProto(*std::move(result), prepared.words(), parts, response);
  response->set_model(prepared.entry->model->resource_name());
  TimingToProto(call, response->mutable_timing());
  return CheckAnswerFits(call, static_cast<double>(response->ByteSizeLong()),
                         "save fewer rows, leave out the grid, or stream the solve");
}

absl::Status FinishStream(CallContext& call, const v1::StreamSolveRequest& request,
                          const Prepared& prepared,
                          ResponseStream<v1::StreamSolveResponse>* stream) {
  RowStream rows(*prepared.entry->model, {!request.omit_states(), !request.omit_outputs()},
                 request.rows_per_chunk(), stream);
  absl::StatusOr<SolveResult> result =
      call.environment.engine().Solve(prepared.solve, &call.cancellation, &rows);
  if (!result.ok()) return InRequestWords(result.status());
  RETURN_IF_ERROR(EndOfEngine(call, ReportOf(*result)));
  RETURN_IF_ERROR(rows.Flush());
  v1::StreamSolveResponse message;
  v1::StreamSummary* summary = message.mutable_summary();
  const ModelInWords words = prepared.words();
  for (const Trajectory& trajectory : result->trajectories) {
    TerminationToProto(trajectory.termination, words, summary->add_terminations());
    SolveStatsToProto(trajectory.stats, summary->add_stats());
    if (prepared.solve.simulation.options.return_grid) {
      GridToProto(trajectory.grid, summary->add_grids());
    }
  }
  TimingToProto(call, summary->mutable_timing());
  RETURN_IF_ERROR(
      CheckAnswerFits(call, static_cast<double>(message.ByteSizeLong()), "leave out the grid"));
  return stream->Write(message);
}

}  // namespace

absl::StatusOr<Work> Solve(CallContext& call, const v1::SolveRequest& request,
                           v1::SolveResponse* response) {
  RETURN_IF_ERROR(ValidateSolveRequest(request));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Prepared> prepared, Prepare(call, request));
  RETURN_IF_ERROR(CheckPredictedSize(call, request, prepared->solve.simulation));
  return Work{
      prepared->cost,
      [&call, &request, prepared, response] {
        return FinishSolve(call, request, *prepared, response);
      },
      EstimateSolveBytes(prepared->solve, false, call.environment.options().max_message_bytes)};
}

absl::StatusOr<Work> StreamSolve(CallContext& call, const v1::StreamSolveRequest& request,
                                 ResponseStream<v1::StreamSolveResponse>* stream) {
  RETURN_IF_ERROR(ValidateStreamSolveRequest(request));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Prepared> prepared, Prepare(call, request));
  return Work{
      prepared->cost,
      [&call, &request, prepared, stream] {
        return FinishStream(call, request, *prepared, stream);
      },
      EstimateSolveBytes(prepared->solve, true, call.environment.options().max_message_bytes)};
}

}  // namespace costate

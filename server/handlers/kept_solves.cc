#include "server/handlers/kept_solves.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/kept_solve.h"
#include "engine/tensor_index.h"
#include "server/convert/gradient.h"
#include "server/convert/loss.h"
#include "server/convert/options.h"
#include "server/convert/simulation.h"
#include "server/environment.h"
#include "server/handlers/answer.h"
#include "server/handlers/gradient_answer.h"
#include "server/handlers/gradient_cost.h"
#include "server/handlers/memory_estimate.h"
#include "server/handlers/resolve_model.h"
#include "server/validate/gradients.h"

namespace costate {
namespace {

constexpr char kSaveLess[] = "save fewer times or keep fewer trajectories at once";

ModelInWords WordsOf(const KeptEntry& entry) { return {*entry.model->model, entry.model->text}; }

absl::Duration LifetimeOf(const CallContext& call, const v1::KeepSolveRequest& request) {
  if (request.has_lifetime()) return DurationFromProto(request.lifetime());
  return std::min(limits::kDefaultKeepTime, call.environment.options().max_keep_time);
}

// Known before the run.
absl::Status CheckSavedSize(const CallContext& call, const Simulation& simulation) {
  const SaveAt& save = simulation.options.save;
  const ModelIr& ir = simulation.model->ir();
  const double rows =
      save.kind == SaveAt::Kind::kTimes ? static_cast<double>(save.times.size()) : 1.0;
  const double values = static_cast<double>(1 + ir.num_states() + ir.num_outputs());
  return CheckAnswerFits(
      call, 8.0 * rows * values * static_cast<double>(ExpectBatch(simulation).trajectories),
      kSaveLess);
}

// Where there is no room for it the solve itself is still worth an answer.
void KeepFor(CallContext& call, const v1::KeepSolveRequest& request, KeptEntryPtr entry,
             v1::KeepSolveResponse* response) {
  const absl::Duration lifetime = LifetimeOf(call, request);
  const int64_t bytes = entry->bytes();
  const absl::Time now = call.environment.now();
  const absl::StatusOr<std::string> name =
      call.environment.kept_solves().Keep(std::move(entry), lifetime);
  if (!name.ok()) {
    response->set_not_kept_reason(std::string(name.status().message()));
    return;
  }
  response->set_kept_solve(*name);
  response->set_stored_bytes(bytes);
  *response->mutable_expire_time() = TimestampToProto(now + lifetime);
}

absl::Status FinishKeep(CallContext& call, const v1::KeepSolveRequest& request,
                        const KeepRequest& keep, KeptEntryPtr entry,
                        v1::KeepSolveResponse* response) {
  absl::StatusOr<std::unique_ptr<KeptSolve>> kept =
      call.environment.engine().Keep(keep, &call.cancellation);
  if (!kept.ok()) return InRequestWords(kept.status());
  entry->solve = *std::move(kept);
  RETURN_IF_ERROR(EndOfEngine(call, ReportOf(entry->solve->facts())));
  *response->mutable_gradient_options() = request.gradient();
  KeptSolveToProto(*entry->solve, WordsOf(*entry), response);
  v1::SolveResponse* solution = response->mutable_solution();
  solution->set_model(entry->model->model->resource_name());
  TimingToProto(call, solution->mutable_timing());
  RETURN_IF_ERROR(CheckAnswerFits(call, static_cast<double>(response->ByteSizeLong()), kSaveLess));
  KeepFor(call, request, std::move(entry), response);
  return absl::OkStatus();
}

// What it costs to pull `rows` gradients back.
double PullBackCost(const KeptEntry& entry, int64_t rows) {
  const KeptSolve::Facts& facts = entry.solve->facts();
  if (facts.method != GradientMethod::kForward) return static_cast<double>(rows) * entry.cost;
  // Tangents are there, and are summed up with weights.
  const double times =
      static_cast<double>(std::max<size_t>(1, facts.resolution.options.save.times.size()));
  return 2 * static_cast<double>(rows) * static_cast<double>(facts.terminations.size()) * times *
         static_cast<double>(facts.num_values) * static_cast<double>(facts.num_columns);
}

v1::GradientOptions WithoutReport(v1::GradientOptions options) {
  options.mutable_report()->set_level(v1::ReportOptions::LEVEL_OFF);
  return options;
}

}  // namespace

absl::StatusOr<Work> KeepSolve(CallContext& call, const v1::KeepSolveRequest& request,
                               v1::KeepSolveResponse* response) {
  RETURN_IF_ERROR(ValidateKeepSolveRequest(request, call.environment.options().max_keep_time));
  ASSIGN_OR_RETURN(ResolvedModel model,
                   ResolveModel(call, "simulation.model", request.simulation().model()));
  auto keep = std::make_shared<KeepRequest>();
  keep->simulation = SimulationFromProto(request.simulation(), model.entry->model);
  keep->wrt = NamesFromProto(request.wrt());
  keep->gradient = GradientOptionsFromProto(request.gradient());
  RETURN_IF_ERROR(CheckSavedSize(call, keep->simulation));
  const int64_t columns = CountColumns(model.entry->model->ir(), keep->wrt);
  auto entry = std::make_shared<KeptEntry>();
  entry->model = std::move(model.entry);
  entry->asked = request.gradient();
  entry->cost = EstimateKeepCost(*keep, columns);
  return Work{model.compile_cost + entry->cost,
              [&call, &request, keep, entry, response] {
                return FinishKeep(call, request, *keep, entry, response);
              },
              EstimateKeepBytes(*keep, columns)};
}

absl::Status ReleaseSolve(CallContext& call, const v1::ReleaseSolveRequest& request,
                          v1::ReleaseSolveResponse* response) {
  static_cast<void>(response);
  RETURN_IF_ERROR(ValidateReleaseSolveRequest(request));
  return call.environment.kept_solves().Release(request.name());
}

absl::StatusOr<Work> ComputeKeptGradient(CallContext& call,
                                         const v1::ComputeGradientRequest& request,
                                         v1::ComputeGradientResponse* response) {
  ASSIGN_OR_RETURN(const KeptEntryPtr entry,
                   call.environment.kept_solves().Get(request.kept_solve()));
  call.record.model = entry->model->model->resource_name();
  ASSIGN_OR_RETURN(const Loss loss,
                   LossFromProto("loss", request.loss(), entry->model->model->ir()));
  return Work{
      EstimateLossCompileCost(loss) + PullBackCost(*entry, 1),
      [&call, &request, entry, loss, response] {
        ASSIGN_OR_RETURN(const KeptTurn turn, call.environment.kept_solves().TakeTurn(call, entry));
        const absl::StatusOr<GradientResult> result =
            entry->solve->Differentiate(loss, &call.cancellation);
        call.environment.kept_solves().Recount(request.kept_solve());
        if (!result.ok()) return result.status();
        RETURN_IF_ERROR(EndOfEngine(call, WithoutSolve(ReportOf(*result))));
        *response->mutable_gradient_options() = WithoutReport(entry->asked);
        return AnswerGradient(call, *result, WordsOf(*entry),
                              {request.want_saved(), entry->asked.want_time_gradient(), false},
                              response);
      },
      EstimateKeptBytes(*entry->solve, 1)};
}

absl::StatusOr<Work> ComputeKeptVjp(CallContext& call, const v1::ComputeVjpRequest& request,
                                    v1::ComputeVjpResponse* response) {
  ASSIGN_OR_RETURN(const KeptEntryPtr entry,
                   call.environment.kept_solves().Get(request.kept_solve()));
  call.record.model = entry->model->model->resource_name();
  auto cotangents = std::make_shared<std::vector<Loss>>();
  for (int v = 0; v < request.cotangents_size(); ++v) {
    ASSIGN_OR_RETURN(Loss cotangent,
                     LossFromProto(absl::StrCat("cotangents[", v, "]"), request.cotangents(v),
                                   entry->model->model->ir()));
    cotangents->push_back(std::move(cotangent));
  }
  const int64_t count = request.cotangents_size();
  RETURN_IF_ERROR(CheckAnswerFits(
      call,
      8.0 * static_cast<double>(count) * static_cast<double>(entry->solve->facts().num_columns),
      "ask for fewer cotangents or columns at once"));
  return Work{PullBackCost(*entry, count),
              [&call, &request, entry, cotangents, response] {
                ASSIGN_OR_RETURN(const KeptTurn turn,
                                 call.environment.kept_solves().TakeTurn(call, entry));
                absl::StatusOr<VjpResult> result =
                    entry->solve->ComputeVjp(*cotangents, &call.cancellation);
                call.environment.kept_solves().Recount(request.kept_solve());
                if (!result.ok()) return result.status();
                RETURN_IF_ERROR(EndOfEngine(call, WithoutSolve(ReportOf(*result))));
                *response->mutable_gradient_options() = entry->asked;
                return Answer(call, *result, WordsOf(*entry), VjpResultToProto, response);
              },
              EstimateKeptBytes(*entry->solve, count)};
}

}  // namespace costate

#include "server/handlers/gradients.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "server/convert/array.h"
#include "server/convert/gradient.h"
#include "server/convert/loss.h"
#include "server/convert/options.h"
#include "server/convert/simulation.h"
#include "server/environment.h"
#include "server/handlers/answer.h"
#include "server/handlers/gradient_answer.h"
#include "server/handlers/gradient_cost.h"
#include "server/handlers/kept_solves.h"
#include "server/handlers/memory_estimate.h"
#include "server/handlers/resolve_model.h"
#include "server/validate/gradient_options.h"
#include "server/validate/gradients.h"

namespace costate {
namespace {

// A request of the engine with the model it is about.
template <typename EngineRequest>
struct Prepared {
  ModelEntryPtr entry;
  EngineRequest request;
  double compile_cost = 0;  // part of `cost`
  double cost = 0;
  int64_t columns = 0;      // of wrt
  MemoryBudget::Hold disk;  // for checkpoints

  ModelInWords words() const { return {*entry->model, entry->text}; }
};

template <typename EngineRequest, typename Proto>
absl::StatusOr<std::shared_ptr<Prepared<EngineRequest>>> Prepare(CallContext& call,
                                                                 const Proto& proto) {
  ASSIGN_OR_RETURN(ResolvedModel model,
                   ResolveModel(call, "simulation.model", proto.simulation().model()));
  auto prepared = std::make_shared<Prepared<EngineRequest>>();
  prepared->entry = std::move(model.entry);
  prepared->request.simulation = SimulationFromProto(proto.simulation(), prepared->entry->model);
  prepared->request.wrt = NamesFromProto(proto.wrt());
  prepared->columns = CountColumns(prepared->entry->model->ir(), prepared->request.wrt);
  prepared->compile_cost = model.compile_cost;
  prepared->cost =
      model.compile_cost + Engine::EstimateCost(prepared->request.simulation, prepared->columns);
  return prepared;
}

// [K, n + k, columns] and [K, n + k], before anything runs.
template <typename EngineRequest>
absl::Status CheckTangentSize(const CallContext& call, const Prepared<EngineRequest>& prepared,
                              int64_t columns) {
  const SaveAt& save = prepared.request.simulation.options.save;
  const ModelIr& ir = prepared.entry->model->ir();
  const double rows =
      save.kind == SaveAt::Kind::kTimes ? static_cast<double>(save.times.size()) : 1.0;
  const double values = static_cast<double>(ir.num_states() + ir.num_outputs());
  return CheckAnswerFits(call, 8.0 * rows * values * static_cast<double>(1 + columns),
                         "save fewer times or ask for fewer columns at once");
}

// [V, columns], or one row without a shape. What does not fit otherwise is found by the engine.
absl::Status CheckRows(const char* field, const v1::Array& array, int64_t columns) {
  const auto& shape = array.shape();
  if (shape.size() < 2 || (shape.size() == 2 && shape[1] == columns)) return absl::OkStatus();
  return FieldError(field, absl::StrCat("shape [", absl::StrJoin(shape, ", "), "]"),
                    absl::StrCat("[V, ", columns, "]: one row each, of a value per column of wrt"));
}

// Lets checkpoints go to disk, as far as there is room that no other call holds. RESOURCE_EXHAUSTED
// when others hold what checkpoints that were asked for need.
absl::Status TakeDisk(const CallContext& call, const Simulation& simulation, GradientMethod method,
                      GradientOptions* options, MemoryBudget::Hold* hold) {
  MemoryBudget& disk = call.environment.disk();
  const ReportOptions& report = options->report;
  // A report repeats the gradient while the first one's checkpoints stand.
  const int64_t passes =
      report.wanted && (report.tolerance_refinement || report.second_method) ? 2 : 1;
  const int64_t each =
      std::min(EstimateDiskBytes(simulation, options->adjoint, method), disk.total() / passes);
  if (each == 0) return absl::OkStatus();
  *hold = disk.TakeUpTo(passes * each);
  if (options->adjoint.checkpoints > 0 && hold->bytes() < passes * each) {
    return ExhaustedStatus(
        "the server is at capacity: checkpoints of other calls hold the room on disk",
        call.environment.pool().ExpectedWait(TaskClass::kBatch));
  }
  options->adjoint.scratch_directory = call.environment.options().scratch_directory;
  options->adjoint.max_disk_bytes = hold->bytes() / passes;
  return absl::OkStatus();
}

// Answers repeat what was asked for.
void EchoOptions(const v1::GradientOptions& asked, v1::GradientOptions* echo) {
  *echo = asked;
  if (asked.report().level() == v1::ReportOptions::LEVEL_UNSPECIFIED) {
    echo->mutable_report()->set_level(v1::ReportOptions::LEVEL_BASIC);
  }
}

absl::Status FinishGradient(CallContext& call, const Prepared<GradientRequest>& prepared,
                            const v1::ComputeGradientRequest& request,
                            v1::ComputeGradientResponse* response) {
  absl::StatusOr<GradientResult> result =
      call.environment.engine().Differentiate(prepared.request, &call.cancellation);
  if (!result.ok()) return InRequestWords(result.status());
  RETURN_IF_ERROR(EndOfEngine(call, ReportOf(*result)));
  EchoOptions(request.gradient(), response->mutable_gradient_options());
  const GradientOptions& options = prepared.request.gradient;
  if (options.report.wanted && result->resolution.batched) {
    response->mutable_gradient_options()->mutable_report()->set_every(ReportEvery(options.report));
  }
  return AnswerGradient(call, *result, prepared.words(),
                        {request.want_saved(), options.want_times, options.report.wanted},
                        response);
}

}  // namespace

absl::StatusOr<Work> ComputeGradient(CallContext& call, const v1::ComputeGradientRequest& request,
                                     v1::ComputeGradientResponse* response) {
  RETURN_IF_ERROR(ValidateComputeGradientRequest(request));
  if (!request.kept_solve().empty()) return ComputeKeptGradient(call, request, response);
  ASSIGN_OR_RETURN(const auto prepared, Prepare<GradientRequest>(call, request));
  GradientOptions& options = prepared->request.gradient;
  options = GradientOptionsFromProto(request.gradient());
  options.report = ReportOptionsFromProto(request.gradient().report());
  RETURN_IF_ERROR(
      TakeDisk(call, prepared->request.simulation, options.method, &options, &prepared->disk));
  ASSIGN_OR_RETURN(prepared->request.loss,
                   LossFromProto("loss", request.loss(), prepared->entry->model->ir()));
  RETURN_IF_ERROR(CheckAnswerFits(
      call, LeastGradientAnswerBytes(prepared->request, prepared->columns, request.want_saved()),
      kFewerTrajectories));
  const double cost = prepared->compile_cost + EstimateLossCompileCost(prepared->request.loss) +
                      EstimateGradientCost(prepared->request, prepared->columns);
  return Work{cost,
              [&call, prepared, &request, response] {
                return FinishGradient(call, *prepared, request, response);
              },
              EstimateGradientBytes(prepared->request, prepared->columns)};
}

absl::StatusOr<Work> ComputeVjp(CallContext& call, const v1::ComputeVjpRequest& request,
                                v1::ComputeVjpResponse* response) {
  RETURN_IF_ERROR(ValidateComputeVjpRequest(request));
  if (!request.kept_solve().empty()) return ComputeKeptVjp(call, request, response);
  ASSIGN_OR_RETURN(const auto prepared, Prepare<VjpRequest>(call, request));
  RETURN_IF_ERROR(CheckAnswerFits(
      call, 8.0 * request.cotangents_size() * static_cast<double>(prepared->columns),
      "ask for fewer cotangents or columns at once"));
  GradientOptions& options = prepared->request.gradient;
  options = GradientOptionsFromProto(request.gradient());
  RETURN_IF_ERROR(
      TakeDisk(call, prepared->request.simulation, options.method, &options, &prepared->disk));
  for (int v = 0; v < request.cotangents_size(); ++v) {
    ASSIGN_OR_RETURN(Loss cotangent,
                     LossFromProto(absl::StrCat("cotangents[", v, "]"), request.cotangents(v),
                                   prepared->entry->model->ir()));
    prepared->request.cotangents.push_back(std::move(cotangent));
  }
  const double cost =
      prepared->compile_cost + EstimateVjpCost(prepared->request, prepared->columns);
  return Work{cost,
              [&call, prepared, &request, response] {
                absl::StatusOr<VjpResult> result =
                    call.environment.engine().ComputeVjp(prepared->request, &call.cancellation);
                if (!result.ok()) return InRequestWords(result.status());
                RETURN_IF_ERROR(EndOfEngine(call, ReportOf(*result)));
                *response->mutable_gradient_options() = request.gradient();
                return Answer(call, *result, prepared->words(), VjpResultToProto, response);
              },
              EstimateVjpBytes(prepared->request, prepared->columns)};
}

absl::StatusOr<Work> ComputeJvp(CallContext& call, const v1::ComputeJvpRequest& request,
                                v1::ComputeJvpResponse* response) {
  RETURN_IF_ERROR(ValidateComputeJvpRequest(request));
  ASSIGN_OR_RETURN(const auto prepared, Prepare<JvpRequest>(call, request));
  RETURN_IF_ERROR(CheckRows("directions", request.directions(), prepared->columns));
  prepared->request.directions = ValuesFromProto(request.directions());
  prepared->request.tangent_control = TangentControlFromProto(request.tangent_control());
  const int64_t count = static_cast<int64_t>(prepared->request.directions.size()) /
                        std::max<int64_t>(prepared->columns, 1);
  RETURN_IF_ERROR(CheckTangentSize(call, *prepared, count));
  const double cost =
      prepared->compile_cost + Engine::EstimateCost(prepared->request.simulation, count);
  return Work{cost,
              [&call, prepared, response] {
                absl::StatusOr<JvpResult> result =
                    call.environment.engine().ComputeJvp(prepared->request, &call.cancellation);
                if (!result.ok()) return InRequestWords(result.status());
                RETURN_IF_ERROR(EndOfEngine(call, ReportOf(*result)));
                return Answer(call, *result, prepared->words(), JvpResultToProto, response);
              },
              EstimateTangentBytes(prepared->request.simulation, prepared->columns, count)};
}

absl::StatusOr<Work> ComputeSensitivities(CallContext& call,
                                          const v1::ComputeSensitivitiesRequest& request,
                                          v1::ComputeSensitivitiesResponse* response) {
  RETURN_IF_ERROR(ValidateComputeSensitivitiesRequest(request));
  ASSIGN_OR_RETURN(const auto prepared, Prepare<SensitivityRequest>(call, request));
  prepared->request.tangent_control = TangentControlFromProto(request.tangent_control());
  RETURN_IF_ERROR(CheckTangentSize(call, *prepared, prepared->columns));
  return Work{
      prepared->cost,
      [&call, prepared, response] {
        absl::StatusOr<SensitivityResult> result =
            call.environment.engine().ComputeSensitivities(prepared->request, &call.cancellation);
        if (!result.ok()) return InRequestWords(result.status());
        RETURN_IF_ERROR(EndOfEngine(call, ReportOf(*result)));
        return Answer(call, *result, prepared->words(), SensitivityResultToProto, response);
      },
      EstimateTangentBytes(prepared->request.simulation, prepared->columns, prepared->columns)};
}

absl::StatusOr<Work> ComputeHvp(CallContext& call, const v1::ComputeHvpRequest& request,
                                v1::ComputeHvpResponse* response) {
  RETURN_IF_ERROR(ValidateComputeHvpRequest(request));
  ASSIGN_OR_RETURN(const auto prepared, Prepare<HvpRequest>(call, request));
  RETURN_IF_ERROR(CheckRows("vectors", request.vectors(), prepared->columns));
  prepared->request.vectors = ValuesFromProto(request.vectors());
  prepared->request.gauss_newton = request.gauss_newton();
  ASSIGN_OR_RETURN(prepared->request.loss,
                   LossFromProto("loss", request.loss(), prepared->entry->model->ir()));
  const int64_t count = static_cast<int64_t>(prepared->request.vectors.size()) /
                        std::max<int64_t>(prepared->columns, 1);
  RETURN_IF_ERROR(CheckAnswerFits(call, 8.0 * static_cast<double>(prepared->request.vectors.size()),
                                  "ask for fewer vectors at once"));
  const double cost = prepared->compile_cost + EstimateLossCompileCost(prepared->request.loss) +
                      EstimateHvpCost(prepared->request, count);
  return Work{cost,
              [&call, prepared, response] {
                absl::StatusOr<HvpResult> result =
                    call.environment.engine().ComputeHvp(prepared->request, &call.cancellation);
                if (!result.ok()) return InRequestWords(result.status());
                RETURN_IF_ERROR(EndOfEngine(call, ReportOf(*result)));
                return Answer(call, *result, prepared->words(), HvpResultToProto, response);
              },
              EstimateHvpBytes(prepared->request, prepared->columns, count)};
}

absl::StatusOr<Work> CheckGradient(CallContext& call, const v1::CheckGradientRequest& request,
                                   v1::CheckGradientResponse* response) {
  RETURN_IF_ERROR(ValidateCheckGradientRequest(request));
  ASSIGN_OR_RETURN(const auto prepared, Prepare<GradientRequest>(call, request));
  auto check = std::make_shared<CheckRequest>();
  check->gradient = std::move(prepared->request);
  GradientOptions& options = check->gradient.gradient;
  options = GradientOptionsFromProto(request.gradient());
  for (const v1::GradientMethod method : MethodsToCheck(request)) {
    check->methods.push_back(GradientMethodFromProto(method));
  }
  // Methods run one after another; the others have no use for it.
  if (std::count(check->methods.begin(), check->methods.end(), GradientMethod::kCheckpointed) > 0) {
    RETURN_IF_ERROR(TakeDisk(call, check->gradient.simulation, GradientMethod::kCheckpointed,
                             &options, &prepared->disk));
  }
  RETURN_IF_ERROR(CheckAnswerFits(
      call,
      8.0 * static_cast<double>(check->methods.size()) * static_cast<double>(prepared->columns),
      "compare fewer methods or columns at once"));
  ASSIGN_OR_RETURN(check->gradient.loss,
                   LossFromProto("loss", request.loss(), prepared->entry->model->ir()));
  const double cost = prepared->compile_cost + EstimateLossCompileCost(check->gradient.loss) +
                      EstimateCheckCost(*check, prepared->columns);
  return Work{cost,
              [&call, prepared, check, response] {
                absl::StatusOr<CheckResult> result =
                    call.environment.engine().CheckGradient(*check, &call.cancellation);
                if (!result.ok()) return InRequestWords(result.status());
                RETURN_IF_ERROR(EndOfEngine(call, ReportOf(*result)));
                return Answer(call, *result, prepared->words(), CheckResultToProto, response);
              },
              EstimateCheckBytes(*check, prepared->columns)};
}

}  // namespace costate

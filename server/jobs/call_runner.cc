#include <memory>
#include <string>
#include <utility>

#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "server/call.h"
#include "server/convert/job.h"
#include "server/environment.h"
#include "server/handlers/gradients.h"
#include "server/handlers/solves.h"
#include "server/handlers/stability.h"
#include "server/jobs/runners.h"

namespace costate::jobs {
namespace {

// A name of a solve that is kept in memory means nothing after a restart.
template <typename Request>
concept MayBeKept = requires(const Request& request) { request.kept_solve(); };

template <typename Request>
absl::Status RefuseKept(const Request& request) {
  if constexpr (MayBeKept<Request>) {
    if (!request.kept_solve().empty()) {
      return FieldStatus(absl::StatusCode::kInvalidArgument, "kept_solve",
                         "must be unset: a job outlives the solves a server keeps; give the "
                         "simulation instead");
    }
  }
  return absl::OkStatus();
}

// Where the time went differs from run to run.
template <typename Response>
void ClearTiming(Response* response) {
  if constexpr (requires { response->clear_timing(); }) response->clear_timing();
}

// One kind of unary call: its handler, and where request and response stand in spec and result.
template <typename Request, typename Response>
class CallRunner final : public JobRunner {
 public:
  using Handler = absl::StatusOr<Work> (*)(CallContext&, const Request&, Response*);
  using Get = const Request& (v1::JobSpec::*)() const;
  using Mutable = Response* (v1::JobResult::*)();

  CallRunner(const char* field, Handler handler, Get request, Mutable response)
      : field_(field), handler_(handler), request_(request), response_(response) {}

  absl::StatusOr<JobPlan> Plan(Environment& environment, const v1::JobSpec& spec,
                               const Cancellation& cancellation) override {
    const Request& request = (spec.*request_)();
    RETURN_IF_ERROR(WithFieldPrefix(field_, RefuseKept(request)));
    CallRecord record;
    CallContext call{environment, cancellation, record};
    Response response;
    absl::StatusOr<Work> work = handler_(call, request, &response);
    if (!work.ok()) return WithFieldPrefix(field_, work.status());
    JobPlan plan;
    plan.cost = work->cost;
    return plan;
  }

  absl::StatusOr<std::string> Run(TaskContext& task, const v1::JobSpec& spec) override {
    CallContext call{task.environment(), task.cancellation(), task.record()};
    Response response;
    absl::StatusOr<Work> work = handler_(call, (spec.*request_)(), &response);
    if (!work.ok()) return WithFieldPrefix(field_, work.status());
    RETURN_IF_ERROR(task.TakeMemory(work->bytes));
    if (work->run != nullptr) {
      if (absl::Status ran = work->run(); !ran.ok()) return WithFieldPrefix(field_, ran);
    }
    ClearTiming(&response);
    RETURN_IF_ERROR(
        CheckResultFits(task.environment(), static_cast<int64_t>(response.ByteSizeLong())));
    return StableBytes(response);
  }

  absl::Status FillResult(const v1::JobSpec& spec, std::vector<TaskResult> results,
                          v1::JobResult* result) override {
    static_cast<void>(spec);
    if (results.size() == 1 && (result->*response_)()->ParseFromString(results[0].bytes)) {
      return absl::OkStatus();
    }
    return absl::DataLossError("the result of a job is damaged");
  }

 private:
  const char* const field_;
  const Handler handler_;
  const Get request_;
  const Mutable response_;
};

// `Kind` and `field` as in JobSpec, the method of the RPC, and its handler.
#define COSTATE_CALL_RUNNER(Kind, field, Method, handler)                       \
  case v1::JobSpec::k##Kind: {                                                  \
    static CallRunner<v1::Method##Request, v1::Method##Response> runner(        \
        #field, handler, &v1::JobSpec::field, &v1::JobResult::mutable_##field); \
    return &runner;                                                             \
  }

}  // namespace

JobRunner* CallRunnerOf(const v1::JobSpec& spec) {
  switch (spec.request_case()) {
    COSTATE_CALL_RUNNER(Solve, solve, Solve, costate::Solve)
    COSTATE_CALL_RUNNER(Gradient, gradient, ComputeGradient, costate::ComputeGradient)
    COSTATE_CALL_RUNNER(Vjp, vjp, ComputeVjp, costate::ComputeVjp)
    COSTATE_CALL_RUNNER(Jvp, jvp, ComputeJvp, costate::ComputeJvp)
    COSTATE_CALL_RUNNER(Sensitivities, sensitivities, ComputeSensitivities,
                        costate::ComputeSensitivities)
    COSTATE_CALL_RUNNER(Hvp, hvp, ComputeHvp, costate::ComputeHvp)
    COSTATE_CALL_RUNNER(CheckGradient, check_gradient, CheckGradient, costate::CheckGradient)
    COSTATE_CALL_RUNNER(StabilityRegion, stability_region, ComputeStabilityRegion,
                        costate::ComputeStabilityRegion)
    COSTATE_CALL_RUNNER(Stability, stability, AnalyzeStability, costate::AnalyzeStability)
    case v1::JobSpec::kFit:
    case v1::JobSpec::kProfile:
    case v1::JobSpec::REQUEST_NOT_SET:
      break;
  }
  return nullptr;
}

#undef COSTATE_CALL_RUNNER

}  // namespace costate::jobs

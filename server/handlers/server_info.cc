#include "server/handlers/server_info.h"

#include <google/protobuf/descriptor.h>

#include <string>

#include "costate/v1/job.pb.h"
#include "engine/base/limits.h"
#include "engine/gradients/method.h"
#include "engine/model/ir.h"
#include "engine/solvers/stepper.h"
#include "server/convert/options.h"
#include "server/environment.h"
#include "server/jobs/job_backend.h"
#include "server/limits.h"
#include "server/version.h"

namespace costate {
namespace {

const char* ReversalName(Reversal reversal) {
  switch (reversal) {
    case Reversal::kNone:
      return "none";
    case Reversal::kNear:
      return "near";
    case Reversal::kExact:
      return "exact";
  }
  return "";
}

void MethodsToProto(v1::ServerInfo* info) {
  for (const Method method : AllMethods()) {
    const MethodInfo& description = GetMethodInfo(method);
    v1::MethodDescription* entry = info->add_methods();
    entry->set_name(std::string(description.name));
    entry->set_order(description.order);
    entry->set_error_order(description.error_order);
    entry->set_dense_order(description.dense_order);
    entry->set_stages(description.stages);
    entry->set_citation(std::string(description.citation));
    entry->set_evaluations(description.evaluations);
    entry->set_reversal(ReversalName(description.reversal));
    entry->set_takes_coupling(ValidateScheme(Scheme(method, 1.0, 1.0)).ok());
  }
}

const char* FamilyName(GradientFamily family) {
  switch (family) {
    case GradientFamily::kTangent:
      return "tangent";
    case GradientFamily::kDiscreteAdjoint:
      return "discrete_adjoint";
    case GradientFamily::kContinuousAdjoint:
      return "continuous_adjoint";
    case GradientFamily::kDifference:
      return "difference";
  }
  return "";
}

void GradientMethodToProto(GradientMethod method, v1::GradientMethodDescription* entry) {
  const GradientMethodInfo& description = GetGradientMethodInfo(method);
  entry->set_name(std::string(description.name));
  entry->set_family(FamilyName(description.family));
  entry->set_citation(std::string(description.citation));
}

void GradientMethodsToProto(v1::ServerInfo* info) {
  for (const GradientMethod method : AllGradientMethods()) {
    GradientMethodToProto(method, info->add_gradient_methods());
  }
  GradientMethodToProto(GradientMethod::kReversible, info->add_gradient_methods());
}

void OpsToProto(v1::ServerInfo* info) {
  for (int i = 0; i < kNumOps; ++i) {
    const Op op = static_cast<Op>(i);
    v1::OpDescription* entry = info->add_ops();
    entry->set_name(std::string(OpName(op)));
    entry->set_num_operands(NumOperands(op));
    entry->set_num_attributes(NumAttributes(op));
  }
}

void LimitsToProto(const EnvironmentOptions& options, v1::ServerLimits* proto) {
  proto->set_max_message_bytes(options.max_message_bytes);
  proto->set_max_model_text_bytes(limits::kMaxModelTextBytes);
  proto->set_max_instructions(limits::kMaxInstructions);
  proto->set_max_states(limits::kMaxStates);
  proto->set_max_params(limits::kMaxParams);
  proto->set_max_steps(limits::kMaxSteps);
  proto->set_max_trajectories(limits::kMaxTrajectories);
  proto->set_max_saved_bytes(limits::kMaxSavedBytes);
  proto->set_max_recording_bytes(limits::kMaxRecordingBytes);
  *proto->mutable_max_deadline() = DurationToProto(options.max_deadline);
  proto->set_max_models(options.models.max_models);
  proto->set_max_checked_methods(limits::kMaxCheckedMethods);
  *proto->mutable_max_keep_time() = DurationToProto(options.max_keep_time);
  if (!options.scratch_directory.empty()) proto->set_max_disk_bytes(options.max_disk_bytes);
}

// Without a store, every method of the service says so.
void JobsToProto(const jobs::JobBackend* backend, v1::ServerInfo* info) {
  if (backend == nullptr) {
    const google::protobuf::ServiceDescriptor* service =
        v1::JobSpec::descriptor()->file()->FindServiceByName("JobService");
    for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
      info->add_unimplemented(service->full_name() + "/" + service->method(i)->name());
    }
    return;
  }
  const google::protobuf::OneofDescriptor* kinds =
      v1::JobSpec::descriptor()->FindOneofByName("request");
  for (int i = 0; i < kinds->field_count(); ++i) info->add_job_kinds(kinds->field(i)->name());
  v1::ServerLimits* limits = info->mutable_limits();
  limits->set_max_fit_starts(limits::kMaxFitStarts);
  limits->set_max_fit_conditions(limits::kMaxFitConditions);
  limits->set_max_fit_series(limits::kMaxFitSeries);
  limits->set_max_fit_points(limits::kMaxFitPoints);
  limits->set_max_fit_free(limits::kMaxFitFree);
  limits->set_max_queued_jobs(backend->max_queued_jobs());
  *limits->mutable_job_retention() = DurationToProto(backend->retention());
  *limits->mutable_max_job_retention() = DurationToProto(limits::kMaxJobRetention);
}

}  // namespace

absl::Status GetServerInfo(CallContext& call, const v1::GetServerInfoRequest& request,
                           v1::GetServerInfoResponse* response) {
  static_cast<void>(request);
  Environment& environment = call.environment;
  v1::ServerInfo* info = response->mutable_info();
  info->set_version(kVersion);
  info->add_api_packages("costate.v1");
  info->set_evaluator(std::string(environment.engine().evaluator().name()));
  info->set_simd_lanes(environment.engine().evaluator().simd_lanes());
  info->set_compute_threads(environment.pool().options().threads);
  info->set_interactive_threads(environment.pool().options().interactive_threads);
  MethodsToProto(info);
  GradientMethodsToProto(info);
  OpsToProto(info);
  LimitsToProto(environment.options(), info->mutable_limits());
  info->mutable_limits()->set_max_kept_bytes(environment.kept_solves().max_bytes());
  JobsToProto(environment.jobs(), info);
  return absl::OkStatus();
}

}  // namespace costate

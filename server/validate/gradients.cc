#include "server/validate/gradients.h"

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "server/limits.h"
#include "server/validate/array.h"
#include "server/validate/gradient_options.h"
#include "server/validate/loss.h"
#include "server/validate/simulation.h"

namespace costate {
namespace {

absl::Status Missing(const std::string& field) {
  return FieldStatus(absl::StatusCode::kInvalidArgument, field, "missing");
}

absl::Status ValidateWrt(const google::protobuf::RepeatedPtrField<std::string>& wrt) {
  RETURN_IF_ERROR(ValidateCount("wrt", wrt.size(), limits::kMaxWrtNames));
  for (int i = 0; i < wrt.size(); ++i) {
    RETURN_IF_ERROR(ValidateName(absl::StrCat("wrt[", i, "]"), wrt[i]));
  }
  return absl::OkStatus();
}

// The loss says at which times values are needed.
absl::Status RefuseSave(const v1::Simulation& simulation) {
  if (simulation.options().save().what_case() == v1::SaveAt::WHAT_NOT_SET) return absl::OkStatus();
  return FieldStatus(absl::StatusCode::kInvalidArgument, "simulation.options.save",
                     "must be unset; save times are those of the loss");
}

absl::Status ValidateCotangent(const std::string& field, const v1::Loss& loss) {
  for (int i = 0; i < loss.terms_size(); ++i) {
    const v1::LossTerm& term = loss.terms(i);
    if (term.has_linear() || term.has_terminal()) continue;
    const char* kind = term.has_least_squares() ? "least_squares"
                       : term.has_integral()    ? "integral"
                                                : "expression";
    return FieldStatus(absl::StatusCode::kInvalidArgument,
                       absl::StrCat(field, ".terms[", i, "].", kind),
                       "a cotangent is linear; use linear or terminal terms");
  }
  return absl::OkStatus();
}

// Answers of calls other than ComputeGradient have no room for them.
absl::Status RefuseGradientExtras(const v1::GradientOptions& options) {
  if (options.has_report()) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, "gradient.report",
                       "must be unset; reports come with ComputeGradient");
  }
  if (!options.want_time_gradient()) return absl::OkStatus();
  return FieldStatus(absl::StatusCode::kInvalidArgument, "gradient.want_time_gradient",
                     "must be unset; derivatives by save times come with ComputeGradient");
}

absl::Status RefuseSaveEverySteps(const v1::Simulation& simulation) {
  if (!simulation.options().save().has_every_steps()) return absl::OkStatus();
  return FieldStatus(absl::StatusCode::kInvalidArgument, "simulation.options.save.every_steps",
                     "tangents are returned at times or at the end");
}

}  // namespace

absl::Status ValidateComputeGradientRequest(const v1::ComputeGradientRequest& request) {
  if (!request.has_simulation()) return Missing("simulation");
  if (!request.has_loss()) return Missing("loss");
  RETURN_IF_ERROR(ValidateSimulation("simulation", request.simulation()));
  RETURN_IF_ERROR(RefuseSave(request.simulation()));
  RETURN_IF_ERROR(ValidateLoss("loss", request.loss()));
  RETURN_IF_ERROR(ValidateWrt(request.wrt()));
  return ValidateGradientOptions(request.gradient());
}

absl::Status ValidateComputeVjpRequest(const v1::ComputeVjpRequest& request) {
  if (!request.has_simulation()) return Missing("simulation");
  if (request.cotangents().empty()) return Missing("cotangents");
  RETURN_IF_ERROR(ValidateCount("cotangents", request.cotangents_size(), limits::kMaxCotangents));
  RETURN_IF_ERROR(ValidateSimulation("simulation", request.simulation()));
  RETURN_IF_ERROR(RefuseSave(request.simulation()));
  for (int i = 0; i < request.cotangents_size(); ++i) {
    const std::string field = absl::StrCat("cotangents[", i, "]");
    RETURN_IF_ERROR(ValidateLoss(field, request.cotangents(i)));
    RETURN_IF_ERROR(ValidateCotangent(field, request.cotangents(i)));
  }
  RETURN_IF_ERROR(ValidateWrt(request.wrt()));
  RETURN_IF_ERROR(RefuseGradientExtras(request.gradient()));
  return ValidateGradientOptions(request.gradient());
}

absl::Status ValidateComputeJvpRequest(const v1::ComputeJvpRequest& request) {
  if (!request.has_simulation()) return Missing("simulation");
  RETURN_IF_ERROR(ValidateSimulation("simulation", request.simulation()));
  RETURN_IF_ERROR(RefuseSaveEverySteps(request.simulation()));
  RETURN_IF_ERROR(ValidateWrt(request.wrt()));
  if (NumElements(request.directions()) == 0) return Missing("directions");
  RETURN_IF_ERROR(ValidateArray("directions", request.directions(), Elements::kFinite));
  return ValidateTangentControl("tangent_control", request.tangent_control());
}

absl::Status ValidateComputeSensitivitiesRequest(const v1::ComputeSensitivitiesRequest& request) {
  if (!request.has_simulation()) return Missing("simulation");
  RETURN_IF_ERROR(ValidateSimulation("simulation", request.simulation()));
  RETURN_IF_ERROR(RefuseSaveEverySteps(request.simulation()));
  RETURN_IF_ERROR(ValidateWrt(request.wrt()));
  return ValidateTangentControl("tangent_control", request.tangent_control());
}

absl::Status ValidateComputeHvpRequest(const v1::ComputeHvpRequest& request) {
  if (!request.has_simulation()) return Missing("simulation");
  if (!request.has_loss()) return Missing("loss");
  RETURN_IF_ERROR(ValidateSimulation("simulation", request.simulation()));
  RETURN_IF_ERROR(RefuseSave(request.simulation()));
  RETURN_IF_ERROR(ValidateLoss("loss", request.loss()));
  RETURN_IF_ERROR(ValidateWrt(request.wrt()));
  if (NumElements(request.vectors()) == 0) return Missing("vectors");
  return ValidateArray("vectors", request.vectors(), Elements::kFinite);
}

absl::Status ValidateCheckGradientRequest(const v1::CheckGradientRequest& request) {
  if (!request.has_simulation()) return Missing("simulation");
  if (!request.has_loss()) return Missing("loss");
  RETURN_IF_ERROR(ValidateSimulation("simulation", request.simulation()));
  RETURN_IF_ERROR(RefuseSave(request.simulation()));
  RETURN_IF_ERROR(ValidateLoss("loss", request.loss()));
  RETURN_IF_ERROR(ValidateWrt(request.wrt()));
  RETURN_IF_ERROR(ValidateCount("methods", request.methods_size(), limits::kMaxCheckedMethods));
  RETURN_IF_ERROR(RefuseGradientExtras(request.gradient()));
  return ValidateCheckedMethods(MethodsToCheck(request), request.gradient());
}

}  // namespace costate

#include "server/validate/gradients.h"

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "server/limits.h"
#include "server/validate/array.h"
#include "server/validate/simulation.h"

namespace costate {
namespace {

absl::Status Missing(const std::string& field) {
  return FieldStatus(absl::StatusCode::kInvalidArgument, field, "missing");
}

absl::Status ValidateWrt(const google::protobuf::RepeatedPtrField<std::string>& wrt) {
  RETURN_IF_ERROR(ValidateCount("wrt", wrt.size(), limits::kMaxWrtNames));
  for (int i = 0; i < wrt.size(); ++i) {
    const int64_t length = static_cast<int64_t>(wrt[i].size());
    if (length >= 1 && length <= limits::kMaxIdentifierBytes) continue;
    return FieldError(absl::StrCat("wrt[", i, "]"), absl::StrCat(length, " bytes"),
                      absl::StrCat("a name of 1 to ", limits::kMaxIdentifierBytes, " bytes"));
  }
  return absl::OkStatus();
}

absl::Status ValidateTangentControl(const std::string& field, v1::TangentControl control) {
  if (v1::TangentControl_IsValid(control)) return absl::OkStatus();
  return FieldError(field, absl::StrCat(static_cast<int>(control)), "a value this server knows");
}

absl::Status ValidateGradientMethod(const std::string& field, v1::GradientMethod method) {
  switch (method) {
    case v1::GRADIENT_METHOD_UNSPECIFIED:
    case v1::GRADIENT_METHOD_FORWARD:
    case v1::GRADIENT_METHOD_BACKPROP:
      return absl::OkStatus();
    case v1::GRADIENT_METHOD_CHECKPOINTED:
    case v1::GRADIENT_METHOD_SEGMENTED:
    case v1::GRADIENT_METHOD_BACKSOLVE:
    case v1::GRADIENT_METHOD_INTERPOLATING:
    case v1::GRADIENT_METHOD_QUADRATURE:
    case v1::GRADIENT_METHOD_GAUSS:
    case v1::GRADIENT_METHOD_FINITE_DIFFERENCE:
    case v1::GRADIENT_METHOD_COMPLEX_STEP:
    case v1::GRADIENT_METHOD_REVERSIBLE:
      return FieldStatus(absl::StatusCode::kUnimplemented, field,
                         absl::StrCat(v1::GradientMethod_Name(method),
                                      " is not in this version; GRADIENT_METHOD_FORWARD and "
                                      "GRADIENT_METHOD_BACKPROP are, or leave it unset"));
    case v1::GradientMethod_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::GradientMethod_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return FieldError(field, absl::StrCat(static_cast<int>(method)), "a value this server knows");
}

absl::Status ValidateGradientOptions(const v1::GradientOptions& options) {
  RETURN_IF_ERROR(ValidateGradientMethod("gradient.method", options.method()));
  return ValidateTangentControl("gradient.tangent_control", options.tangent_control());
}

absl::Status ValidateLeastSquares(const std::string& field, const v1::LeastSquares& term) {
  switch (term.channel_case()) {
    case v1::LeastSquares::CHANNEL_NOT_SET:
      return FieldStatus(absl::StatusCode::kInvalidArgument, field + ".channel",
                         "missing; set output or state");
    case v1::LeastSquares::kOutput:
      if (term.output().empty()) return Missing(field + ".output");
      break;
    case v1::LeastSquares::kState:
      if (term.state().empty()) return Missing(field + ".state");
      break;
  }
  if (NumElements(term.times()) == 0) return Missing(field + ".times");
  RETURN_IF_ERROR(ValidateVector(field + ".times", term.times(), Elements::kFinite));
  RETURN_IF_ERROR(ValidateVector(field + ".values", term.values(), Elements::kFiniteOrNan));
  if (NumElements(term.values()) != NumElements(term.times())) {
    return FieldError(field + ".values", absl::StrCat(NumElements(term.values()), " elements"),
                      absl::StrCat(NumElements(term.times()), ", one per time"));
  }
  return ValidateVector(field + ".sigma", term.sigma(), Elements::kFinite);
}

absl::Status ValidateLinear(const std::string& field, const v1::Linear& term) {
  if (NumElements(term.times()) == 0) return Missing(field + ".times");
  RETURN_IF_ERROR(ValidateVector(field + ".times", term.times(), Elements::kFinite));
  RETURN_IF_ERROR(ValidateArray(field + ".state_weights", term.state_weights(), Elements::kFinite));
  return ValidateArray(field + ".output_weights", term.output_weights(), Elements::kFinite);
}

absl::Status ValidateTerminal(const std::string& field, const v1::Terminal& term) {
  RETURN_IF_ERROR(
      ValidateVector(field + ".state_weights", term.state_weights(), Elements::kFinite));
  return ValidateVector(field + ".output_weights", term.output_weights(), Elements::kFinite);
}

absl::Status ValidateTerm(const std::string& field, const v1::LossTerm& term) {
  switch (term.term_case()) {
    case v1::LossTerm::TERM_NOT_SET:
      return FieldStatus(absl::StatusCode::kInvalidArgument, field,
                         "missing; set least_squares, linear or terminal");
    case v1::LossTerm::kLeastSquares:
      return ValidateLeastSquares(field + ".least_squares", term.least_squares());
    case v1::LossTerm::kLinear:
      return ValidateLinear(field + ".linear", term.linear());
    case v1::LossTerm::kTerminal:
      return ValidateTerminal(field + ".terminal", term.terminal());
    case v1::LossTerm::kIntegral:
    case v1::LossTerm::kExpression:
      return FieldStatus(absl::StatusCode::kUnimplemented, field,
                         "not in this version; least_squares, linear and terminal terms are");
  }
  return absl::InternalError("unknown loss term");
}

// The loss says at which times values are needed.
absl::Status RefuseSave(const v1::Simulation& simulation) {
  if (simulation.options().save().what_case() == v1::SaveAt::WHAT_NOT_SET) return absl::OkStatus();
  return FieldStatus(absl::StatusCode::kInvalidArgument, "simulation.options.save",
                     "must be unset; save times are those of the loss");
}

absl::Status RefuseSaveEverySteps(const v1::Simulation& simulation) {
  if (!simulation.options().save().has_every_steps()) return absl::OkStatus();
  return FieldStatus(absl::StatusCode::kInvalidArgument, "simulation.options.save.every_steps",
                     "tangents are returned at times or at the end");
}

}  // namespace

absl::Status ValidateLoss(const std::string& field, const v1::Loss& loss) {
  if (loss.terms().empty()) return Missing(field + ".terms");
  RETURN_IF_ERROR(ValidateCount(field + ".terms", loss.terms_size(), limits::kMaxLossTerms));
  for (int i = 0; i < loss.terms_size(); ++i) {
    RETURN_IF_ERROR(ValidateTerm(absl::StrCat(field, ".terms[", i, "]"), loss.terms(i)));
  }
  return absl::OkStatus();
}

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
    for (int j = 0; j < request.cotangents(i).terms_size(); ++j) {
      if (!request.cotangents(i).terms(j).has_least_squares()) continue;
      return FieldStatus(absl::StatusCode::kInvalidArgument,
                         absl::StrCat(field, ".terms[", j, "].least_squares"),
                         "a cotangent is linear; use linear or terminal terms");
    }
  }
  RETURN_IF_ERROR(ValidateWrt(request.wrt()));
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

}  // namespace costate

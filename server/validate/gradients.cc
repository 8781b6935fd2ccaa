#include "server/validate/gradients.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
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

// "solves/" and 32 hex digits.
absl::Status ValidateKeptSolveName(const std::string& field, const std::string& name) {
  constexpr absl::string_view kPrefix = "solves/";
  constexpr size_t kDigits = 32;
  constexpr size_t kQuoted = 64;
  const bool right = name.size() == kPrefix.size() + kDigits && absl::StartsWith(name, kPrefix) &&
                     std::all_of(name.begin() + kPrefix.size(), name.end(), [](char c) {
                       return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
                     });
  if (right) return absl::OkStatus();
  return FieldError(field, absl::StrCat("\"", absl::CHexEscape(name.substr(0, kQuoted)), "\""),
                    "\"solves/\" and 32 lower-case hex digits, as KeepSolve returned it");
}

// What a kept solve has of its own.
template <typename Request>
absl::Status RefuseWithKeptSolve(const Request& request) {
  const char* field = request.has_simulation() ? "simulation"
                      : !request.wrt().empty() ? "wrt"
                      : request.has_gradient() ? "gradient"
                                               : nullptr;
  if (field == nullptr) return ValidateKeptSolveName("kept_solve", request.kept_solve());
  return FieldStatus(absl::StatusCode::kInvalidArgument, field,
                     "must be unset with kept_solve, which has its own");
}

absl::Status ValidateCotangents(const google::protobuf::RepeatedPtrField<v1::Loss>& cotangents) {
  for (int i = 0; i < cotangents.size(); ++i) {
    const std::string field = absl::StrCat("cotangents[", i, "]");
    RETURN_IF_ERROR(ValidateLoss(field, cotangents[i]));
    RETURN_IF_ERROR(ValidateCotangent(field, cotangents[i]));
  }
  return absl::OkStatus();
}

absl::Status RefuseReport(const v1::GradientOptions& options) {
  if (!options.has_report()) return absl::OkStatus();
  return FieldStatus(absl::StatusCode::kInvalidArgument, "gradient.report",
                     "must be unset; reports come with ComputeGradient");
}

absl::Status RefuseTimeGradient(const v1::GradientOptions& options) {
  if (!options.want_time_gradient()) return absl::OkStatus();
  return FieldStatus(
      absl::StatusCode::kInvalidArgument, "gradient.want_time_gradient",
      "must be unset; derivatives by save times come with ComputeGradient and CheckGradient");
}

absl::Status RefuseSaveEverySteps(const v1::Simulation& simulation) {
  if (!simulation.options().save().has_every_steps()) return absl::OkStatus();
  return FieldStatus(absl::StatusCode::kInvalidArgument, "simulation.options.save.every_steps",
                     "tangents are returned at times or at the end");
}

}  // namespace

absl::Status ValidateComputeGradientRequest(const v1::ComputeGradientRequest& request) {
  if (!request.kept_solve().empty()) {
    RETURN_IF_ERROR(RefuseWithKeptSolve(request));
    return request.has_loss() ? ValidateLoss("loss", request.loss()) : Missing("loss");
  }
  if (!request.has_simulation()) return Missing("simulation");
  if (!request.has_loss()) return Missing("loss");
  RETURN_IF_ERROR(ValidateSimulation("simulation", request.simulation()));
  RETURN_IF_ERROR(RefuseSave(request.simulation()));
  RETURN_IF_ERROR(ValidateLoss("loss", request.loss()));
  RETURN_IF_ERROR(ValidateWrt(request.wrt()));
  return ValidateGradientOptions(request.gradient());
}

absl::Status ValidateComputeVjpRequest(const v1::ComputeVjpRequest& request) {
  const bool kept = !request.kept_solve().empty();
  if (kept) RETURN_IF_ERROR(RefuseWithKeptSolve(request));
  if (!kept && !request.has_simulation()) return Missing("simulation");
  if (request.cotangents().empty()) return Missing("cotangents");
  RETURN_IF_ERROR(ValidateCount("cotangents", request.cotangents_size(), limits::kMaxCotangents));
  if (kept) return ValidateCotangents(request.cotangents());
  RETURN_IF_ERROR(ValidateSimulation("simulation", request.simulation()));
  RETURN_IF_ERROR(RefuseSave(request.simulation()));
  RETURN_IF_ERROR(ValidateCotangents(request.cotangents()));
  RETURN_IF_ERROR(ValidateWrt(request.wrt()));
  RETURN_IF_ERROR(RefuseReport(request.gradient()));
  RETURN_IF_ERROR(RefuseTimeGradient(request.gradient()));
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
  RETURN_IF_ERROR(RefuseReport(request.gradient()));
  return ValidateCheckedMethods(MethodsToCheck(request), request.gradient());
}

absl::Status ValidateKeepSolveRequest(const v1::KeepSolveRequest& request,
                                      absl::Duration max_keep_time) {
  if (!request.has_simulation()) return Missing("simulation");
  RETURN_IF_ERROR(ValidateSimulation("simulation", request.simulation()));
  if (request.simulation().options().save().has_every_steps()) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, "simulation.options.save.every_steps",
                       "a solve is kept with values at times or at the end");
  }
  RETURN_IF_ERROR(ValidateWrt(request.wrt()));
  if (request.gradient().has_report()) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, "gradient.report",
                       "must be unset; no report comes with a kept solve");
  }
  RETURN_IF_ERROR(ValidateGradientOptions(request.gradient()));
  if (!request.has_lifetime()) return absl::OkStatus();
  RETURN_IF_ERROR(ValidatePositiveDuration("lifetime", request.lifetime()));
  const absl::Duration lifetime =
      absl::Seconds(request.lifetime().seconds()) + absl::Nanoseconds(request.lifetime().nanos());
  if (lifetime <= max_keep_time) return absl::OkStatus();
  return FieldError(
      "lifetime", absl::FormatDuration(lifetime),
      absl::StrCat("at most ", absl::FormatDuration(max_keep_time), ", the limit of this server"));
}

absl::Status ValidateReleaseSolveRequest(const v1::ReleaseSolveRequest& request) {
  return ValidateKeptSolveName("name", request.name());
}

}  // namespace costate

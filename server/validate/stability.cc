#include "server/validate/stability.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "server/validate/simulation.h"

namespace costate {
namespace {

absl::Status Missing(const std::string& field) {
  return FieldStatus(absl::StatusCode::kInvalidArgument, field, "missing");
}

// The method that a wrapper without a base stands for.
v1::Method MethodOf(v1::StabilityMethod::Wrapper wrapper) {
  switch (wrapper) {
    case v1::StabilityMethod::WRAPPER_ALF:
      return v1::METHOD_ALF;
    case v1::StabilityMethod::WRAPPER_REVERSIBLE_HEUN:
      return v1::METHOD_REVERSIBLE_HEUN;
    case v1::StabilityMethod::WRAPPER_LEAPFROG_MIDPOINT:
      return v1::METHOD_LEAPFROG_MIDPOINT;
    case v1::StabilityMethod::WRAPPER_UNSPECIFIED:
    case v1::StabilityMethod::WRAPPER_REVERSIBLE:
    case v1::StabilityMethod_Wrapper_StabilityMethod_Wrapper_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::StabilityMethod_Wrapper_StabilityMethod_Wrapper_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return v1::METHOD_UNSPECIFIED;
}

absl::Status ValidateMethod(const std::string& field, const v1::StabilityMethod& method) {
  if (!v1::Method_IsValid(method.base())) {
    return FieldError(field + ".base", absl::StrCat(static_cast<int>(method.base())),
                      "a value this server knows (see ServerInfo)");
  }
  if (!v1::StabilityMethod::Wrapper_IsValid(method.wrapper())) {
    return FieldError(field + ".wrapper", absl::StrCat(static_cast<int>(method.wrapper())),
                      "a value this server knows");
  }
  const v1::Method own = MethodOf(method.wrapper());
  if (own == v1::METHOD_UNSPECIFIED && method.base() == v1::METHOD_UNSPECIFIED) {
    return Missing(field + ".base");
  }
  if (own != v1::METHOD_UNSPECIFIED && method.base() != v1::METHOD_UNSPECIFIED &&
      method.base() != own) {
    return FieldError(field + ".base", v1::Method_Name(method.base()),
                      absl::StrCat("nothing: ", v1::StabilityMethod::Wrapper_Name(method.wrapper()),
                                   " is a method by itself"));
  }
  if (method.has_coupling() && method.wrapper() != v1::StabilityMethod::WRAPPER_REVERSIBLE) {
    return FieldError(field + ".coupling", absl::StrCat(method.coupling()),
                      "nothing without wrapper WRAPPER_REVERSIBLE, which has one in (0, 1]");
  }
  return absl::OkStatus();
}

// 0: unset.
absl::Status ValidateCount(const std::string& field, int64_t count, int64_t most) {
  if (count >= 0 && count <= most) return absl::OkStatus();
  return FieldError(field, absl::StrCat(count), absl::StrCat("1 to ", most));
}

absl::Status ValidateRegion(const std::string& prefix,
                            const v1::ComputeStabilityRegionRequest& request) {
  if (!request.has_method()) return Missing(prefix + "method");
  return ValidateMethod(prefix + "method", request.method());
}

}  // namespace

absl::Status ValidateComputeStabilityRegionRequest(
    const v1::ComputeStabilityRegionRequest& request) {
  return ValidateRegion("", request);
}

absl::Status ValidateStreamStabilityRegionRequest(const v1::StreamStabilityRegionRequest& request) {
  if (!request.has_region()) return Missing("region");
  return ValidateRegion("region.", request.region());
}

absl::Status ValidateAnalyzeStabilityRequest(const v1::AnalyzeStabilityRequest& request) {
  if (!request.has_simulation()) return Missing("simulation");
  RETURN_IF_ERROR(ValidateSimulation("simulation", request.simulation()));
  if (request.has_method()) RETURN_IF_ERROR(ValidateMethod("method", request.method()));
  RETURN_IF_ERROR(
      ValidateCount("num_eigenvalues", request.num_eigenvalues(), limits::kMaxEigenvalues));
  return ValidateCount("num_points", request.num_points(), limits::kMaxAnalysedPoints);
}

}  // namespace costate

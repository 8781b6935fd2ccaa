#include "server/validate/gradient_options.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"

namespace costate {
namespace {

// As ServerInfo has it: "backprop". Clients of all languages take these names.
std::string NameOf(v1::GradientMethod method) {
  constexpr absl::string_view kPrefix = "GRADIENT_METHOD_";
  return absl::AsciiStrToLower(absl::StripPrefix(v1::GradientMethod_Name(method), kPrefix));
}

bool IsReverse(v1::GradientMethod method) {
  return (method >= v1::GRADIENT_METHOD_BACKPROP && method <= v1::GRADIENT_METHOD_GAUSS) ||
         method == v1::GRADIENT_METHOD_REVERSIBLE;
}

// Whether a step carries more than the state, which continuous adjoints have no place for.
bool CarriesMore(const v1::SolveOptions& options) {
  return options.has_coupling() || options.method() == v1::METHOD_ALF ||
         options.method() == v1::METHOD_REVERSIBLE_HEUN ||
         options.method() == v1::METHOD_LEAPFROG_MIDPOINT;
}

// Of these two the engine cannot tell whether they were asked for; it judges the others.
absl::Status CheckUse(const v1::GradientOptions& options) {
  const v1::GradientMethod method = options.method();
  if (method == v1::GRADIENT_METHOD_UNSPECIFIED) return absl::OkStatus();
  const bool control = options.tangent_control() != v1::TANGENT_CONTROL_UNSPECIFIED;
  if (control && method != v1::GRADIENT_METHOD_FORWARD) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, "gradient.tangent_control",
                       absl::StrCat("the method ", NameOf(method),
                                    " has no use for it; leave it out, or use forward"));
  }
  if (options.memory_budget_bytes() == 0 || IsReverse(method)) return absl::OkStatus();
  return FieldStatus(absl::StatusCode::kInvalidArgument, "gradient.memory_budget_bytes",
                     absl::StrCat("the method ", NameOf(method),
                                  " stores no trajectory; leave it out, or use checkpointed"));
}

absl::Status CheckMethod(const std::string& field, v1::GradientMethod method) {
  if (!v1::GradientMethod_IsValid(method)) {
    return FieldError(field, absl::StrCat(static_cast<int>(method)), "a value this server knows");
  }
  return absl::OkStatus();
}

absl::Status CheckCount(const char* name, int64_t value, int64_t most) {
  // 0 is unset.
  if (value >= 0 && value <= most) return absl::OkStatus();
  return FieldError(absl::StrCat("gradient.", name), absl::StrCat(value),
                    absl::StrCat("1 to ", most, ", or unset"));
}

absl::Status CheckPositive(const char* name, bool given, double value) {
  if (!given || (value > 0 && std::isfinite(value))) return absl::OkStatus();
  return FieldError(absl::StrCat("gradient.", name), absl::StrCat(value),
                    "a finite number above 0");
}

// A smaller step moves nothing, and the derivative would be an exact zero.
absl::Status CheckStep(v1::GradientMethod method, const v1::DifferenceOptions& difference) {
  constexpr double kLeast = std::numeric_limits<double>::epsilon();
  if (method != v1::GRADIENT_METHOD_FINITE_DIFFERENCE || !difference.has_step() ||
      difference.step() >= kLeast) {
    return absl::OkStatus();
  }
  return FieldError("gradient.difference.step", absl::StrCat(difference.step()),
                    absl::StrCat("a number from ", kLeast,
                                 " on, the relative spacing of numbers; complex_step takes "
                                 "smaller ones"));
}

absl::Status CheckBackward(const v1::BackwardSolve& backward) {
  if (!v1::Method_IsValid(backward.method())) {
    return FieldError("gradient.backward.method", absl::StrCat(static_cast<int>(backward.method())),
                      "a value this server knows");
  }
  RETURN_IF_ERROR(CheckPositive("backward.rtol", backward.has_rtol(), backward.rtol()));
  return CheckPositive("backward.atol", backward.has_atol(), backward.atol());
}

absl::Status CheckReport(const v1::ReportOptions& report) {
  if (!v1::ReportOptions::Level_IsValid(report.level())) {
    return FieldError("gradient.report.level", absl::StrCat(static_cast<int>(report.level())),
                      "a value this server knows");
  }
  RETURN_IF_ERROR(CheckCount("report.every", report.every(), limits::kMaxTrajectories));
  if (report.level() != v1::ReportOptions::LEVEL_OFF) return absl::OkStatus();
  for (const auto& [name, wanted] :
       {std::pair<const char*, bool>{"tolerance_refinement", report.tolerance_refinement()},
        std::pair<const char*, bool>{"second_method", report.second_method()},
        std::pair<const char*, bool>{"directional_difference", report.directional_difference()},
        std::pair<const char*, bool>{"growth", report.growth()},
        std::pair<const char*, bool>{"linear_range", report.linear_range()},
        std::pair<const char*, bool>{"every", report.every() != 0}}) {
    if (!wanted) continue;
    return FieldStatus(absl::StatusCode::kInvalidArgument, absl::StrCat("gradient.report.", name),
                       "is part of a report, and that is off; ask for a report, or for no checks");
  }
  return absl::OkStatus();
}

absl::Status CheckRanges(const v1::GradientOptions& options) {
  RETURN_IF_ERROR(ValidateTangentControl("gradient.tangent_control", options.tangent_control()));
  RETURN_IF_ERROR(
      CheckCount("memory_budget_bytes", options.memory_budget_bytes(), limits::kMaxRecordingBytes));
  RETURN_IF_ERROR(CheckCount("checkpoints", options.checkpoints(), limits::kMaxSteps));
  RETURN_IF_ERROR(CheckCount("segments", options.segments(), limits::kMaxSteps));
  RETURN_IF_ERROR(CheckCount("checkpoint_every", options.checkpoint_every(), limits::kMaxSteps));
  RETURN_IF_ERROR(CheckBackward(options.backward()));
  RETURN_IF_ERROR(CheckPositive("difference.step", options.difference().has_step(),
                                options.difference().step()));
  return CheckReport(options.report());
}

}  // namespace

absl::Status ValidateTangentControl(const std::string& field, v1::TangentControl control) {
  if (v1::TangentControl_IsValid(control)) return absl::OkStatus();
  return FieldError(field, absl::StrCat(static_cast<int>(control)), "a value this server knows");
}

absl::Status ValidateGradientOptions(const v1::GradientOptions& options) {
  RETURN_IF_ERROR(CheckMethod("gradient.method", options.method()));
  RETURN_IF_ERROR(CheckRanges(options));
  RETURN_IF_ERROR(CheckStep(options.method(), options.difference()));
  return CheckUse(options);
}

std::vector<v1::GradientMethod> MethodsToCheck(const v1::CheckGradientRequest& request) {
  if (request.methods().empty()) {
    return {v1::GRADIENT_METHOD_FORWARD, v1::GRADIENT_METHOD_BACKPROP,
            CarriesMore(request.simulation().options()) ? v1::GRADIENT_METHOD_REVERSIBLE
                                                        : v1::GRADIENT_METHOD_GAUSS,
            v1::GRADIENT_METHOD_FINITE_DIFFERENCE};
  }
  std::vector<v1::GradientMethod> methods;
  for (const int method : request.methods()) {
    methods.push_back(static_cast<v1::GradientMethod>(method));
  }
  return methods;
}

absl::Status ValidateCheckedMethods(const std::vector<v1::GradientMethod>& methods,
                                    const v1::GradientOptions& options) {
  for (size_t i = 0; i < methods.size(); ++i) {
    const std::string field = absl::StrCat("methods[", i, "]");
    RETURN_IF_ERROR(CheckMethod(field, methods[i]));
    RETURN_IF_ERROR(CheckStep(methods[i], options.difference()));
    if (methods[i] != v1::GRADIENT_METHOD_UNSPECIFIED) continue;
    return FieldStatus(absl::StatusCode::kInvalidArgument, field, "missing; name a method");
  }
  if (options.method() != v1::GRADIENT_METHOD_UNSPECIFIED) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, "gradient.method",
                       "must be unset; name the methods to compare in `methods`");
  }
  return CheckRanges(options);
}

}  // namespace costate

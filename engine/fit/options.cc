#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/fit/fit.h"
#include "engine/gradient_options.h"
#include "engine/gradients/method.h"

namespace costate::fit {
namespace {

using optimise::Algorithm;

bool IsAdam(Algorithm algorithm) {
  return algorithm == Algorithm::kAdam || algorithm == Algorithm::kAdamW;
}

// As a request names it.
std::string AlgorithmName(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kLevenbergMarquardt:
      return "levenberg_marquardt";
    case Algorithm::kLbfgsb:
      return "lbfgsb";
    case Algorithm::kAdam:
      return "adam";
    case Algorithm::kAdamW:
      return "adamw";
    case Algorithm::kNlopt:
      return "nlopt";
  }
  return "";
}

int64_t DefaultIterations(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kLevenbergMarquardt:
    case Algorithm::kLbfgsb:
      return 200;
    case Algorithm::kAdam:
    case Algorithm::kAdamW:
      return 1000;
    case Algorithm::kNlopt:
      return 10'000;
  }
  return 0;
}

absl::Status Refuse(std::string_view field, std::string_view message) {
  return FieldStatus(absl::StatusCode::kInvalidArgument, field, message);
}

absl::Status CheckStarts(int64_t starts, int64_t elements) {
  if (starts < 1 || starts > kMaxStarts) {
    return FieldError("starts", absl::StrCat(starts), absl::StrCat("1 to ", kMaxStarts));
  }
  if (starts > kMaxStartValues / elements) {
    return FieldError(
        "starts", absl::StrCat(starts),
        absl::StrCat("at most ", kMaxStartValues / elements, " with ", elements, " free elements"));
  }
  return absl::OkStatus();
}

// What only some methods read.
absl::Status CheckUseful(const optimise::OptimiserOptions& options) {
  struct Choice {
    const char* field;
    bool useless;
    const char* instead;
  };
  const bool adam = IsAdam(options.algorithm);
  const Choice choices[] = {
      {"batch_size", !adam && options.batch_size != 0, "adam or adamw"},
      {"clip_norm", !adam && options.clip_norm.has_value(), "adam or adamw"},
      {"schedule",
       !adam && (options.schedule.kind != optimise::Schedule::Kind::kConstant ||
                 options.schedule.warmup != 0),
       "adam or adamw"},
      {"nlopt_algorithm",
       options.algorithm != Algorithm::kNlopt && !options.nlopt_algorithm.empty(), "nlopt"},
  };
  for (const Choice& choice : choices) {
    if (!choice.useless) continue;
    return Refuse(choice.field,
                  absl::StrCat("the method ", AlgorithmName(options.algorithm),
                               " has no use for it; leave it out, or use ", choice.instead));
  }
  return absl::OkStatus();
}

absl::Status CheckBatch(const optimise::OptimiserOptions& options, int64_t conditions) {
  if (options.batch_size >= 0 && options.batch_size <= conditions) return absl::OkStatus();
  return FieldError(
      "batch_size", absl::StrCat(options.batch_size),
      absl::StrCat("0 (all) to ", conditions, ", the number of conditions drawn from"));
}

// Levenberg-Marquardt asks for residuals with their derivatives, which come by tangents; the
// methods of NLopt ask for none.
absl::Status CheckGradient(const Objective& objective, const FitOptions& options) {
  const GradientOptions& gradient = options.gradient;
  const Algorithm algorithm = options.optimiser.algorithm;
  const bool residuals = algorithm == Algorithm::kLevenbergMarquardt;
  if (!residuals && algorithm != Algorithm::kNlopt) return absl::OkStatus();
  const bool fits = gradient.method == GradientMethod::kAuto ||
                    (residuals && gradient.method == GradientMethod::kForward);
  if (!fits) {
    const std::string name(GetGradientMethodInfo(gradient.method).name);
    return Refuse("gradient.method",
                  residuals ? absl::StrCat("levenberg_marquardt needs the derivative of every "
                                           "residual, which ",
                                           name, " does not give; leave it out (forward), or use ",
                                           "the method lbfgsb with ", name)
                            : absl::StrCat("the methods of NLopt offered take no gradients; leave "
                                           "it out, or use the method lbfgsb with ",
                                           name));
  }
  return CheckGradientOptions(gradient, GradientMethod::kForward,
                              objective.resolution().options.scheme());
}

absl::Status CheckNloptSize(int64_t elements, int64_t starts) {
  if (elements > optimise::kMaxNloptElements) {
    return Refuse(
        "nlopt_algorithm",
        absl::StrCat("the methods of NLopt are for at most ", optimise::kMaxNloptElements,
                     " free elements, and there are ", elements, "; use the method lbfgsb"));
  }
  if (starts > optimise::kMaxNloptSearches) {
    return FieldError("starts", absl::StrCat(starts),
                      absl::StrCat("at most ", optimise::kMaxNloptSearches, " with nlopt"));
  }
  return absl::OkStatus();
}

// Global methods of NLopt search a whole box.
absl::Status CheckBox(const Objective& objective, const optimise::OptimiserOptions& options) {
  if (!absl::StartsWith(options.nlopt_algorithm, "G")) return absl::OkStatus();
  const optimise::Box& box = objective.box();
  for (size_t i = 0; i < box.lower.size(); ++i) {
    if (std::isfinite(box.lower[i]) && std::isfinite(box.upper[i])) continue;
    const FreeElement& element = objective.elements()[i];
    const bool logit = element.scale == Scale::kLogit;
    return Refuse("nlopt_algorithm",
                  absl::StrCat(options.nlopt_algorithm,
                               " searches the whole box between finite bounds, and '", element.name,
                               logit ? "' on the logit scale has none: search it on another scale"
                                     : "' has none on one side: give it bounds",
                               ", or use LN_SBPLX"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FitOptions> ResolveFitOptions(const Objective& objective, FitOptions options) {
  optimise::OptimiserOptions& optimiser = options.optimiser;
  const int64_t elements = static_cast<int64_t>(objective.elements().size());
  if (options.method_auto) {
    optimiser.algorithm =
        elements <= kMaxAutoResidualElements ? Algorithm::kLevenbergMarquardt : Algorithm::kLbfgsb;
    options.method_auto = false;
  }
  if (options.max_iterations_auto) {
    optimiser.max_iterations = DefaultIterations(optimiser.algorithm);
    options.max_iterations_auto = false;
  }
  optimiser.num_parts = objective.num_parts();
  RETURN_IF_ERROR(CheckStarts(options.starts, elements));
  RETURN_IF_ERROR(CheckUseful(optimiser));
  RETURN_IF_ERROR(CheckBatch(optimiser, optimiser.num_parts));
  RETURN_IF_ERROR(optimise::ValidateOptions(optimiser));
  RETURN_IF_ERROR(CheckGradient(objective, options));
  if (optimiser.algorithm == Algorithm::kNlopt) {
    RETURN_IF_ERROR(CheckNloptSize(elements, options.starts));
    RETURN_IF_ERROR(CheckBox(objective, optimiser));
  }
  return options;
}

}  // namespace costate::fit

#include "engine/gradient_options.h"

#include <cmath>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/gradients/recording_budget.h"
#include "engine/solvers/stepper.h"
#include "engine/step_probe.h"

namespace costate {
namespace {

// Bytes of all steps of a solve with their stages.
double RecordingBytes(const BoundSimulation& bound, const SolveOptions& options, double steps) {
  const double n = static_cast<double>(bound.model->rhs().num_states());
  const MethodInfo& info = GetMethodInfo(options.scheme());
  return 8 * steps * (1 + n * (info.carried + info.stages));
}

// "about 8.6e+04 steps", or "275 steps" where they are known.
std::string StepsText(const StepForecast& forecast, const SolveOptions& options) {
  if (options.control.kind != StepControl::Kind::kAdaptive) {
    return absl::StrCat(forecast.steps, " steps");
  }
  if (!forecast.measured) return absl::StrCat(forecast.steps, " steps (a guess)");
  return absl::StrFormat("about %.2g steps", forecast.steps);
}

std::string StiffText(const StepForecast& forecast, const SolveOptions& options) {
  if (!forecast.stiff) return "";
  return absl::StrCat("; stiff: ", StepsText(forecast, options), " at the limit of stability");
}

GradientMethod ChooseReverse(const GradientOptions& gradient, const BoundSimulation& bound,
                             const SolveOptions& options, const StepForecast& forecast,
                             const std::string& why, std::string* reason) {
  const double bytes = RecordingBytes(bound, options, forecast.steps);
  const double budget = static_cast<double>(RecordingBudget(gradient.adjoint));
  const std::string stiff = StiffText(forecast, options);
  if (bytes <= budget) {
    *reason = absl::StrCat("backprop: ", why, stiff);
    return GradientMethod::kBackprop;
  }
  const bool goes_back = GetMethodInfo(options.scheme()).reversal == Reversal::kExact;
  *reason = absl::StrCat(goes_back ? "reversible: " : "checkpointed: ", why, ", and ",
                         StepsText(forecast, options), " of ", bound.model->rhs().num_states(),
                         " states would need ", absl::StrFormat("%.2g", bytes),
                         " bytes, over the budget of ", absl::StrFormat("%.2g", budget), stiff);
  return goes_back ? GradientMethod::kReversible : GradientMethod::kCheckpointed;
}

// Whether derivatives by `method` can be taken of the scheme at all.
absl::Status CheckScheme(GradientMethod method, const Scheme& scheme) {
  const MethodInfo& info = GetMethodInfo(scheme);
  const std::string solver(info.name);
  const std::string name(GetGradientMethodInfo(method).name);
  if (method == GradientMethod::kReversible && info.reversal == Reversal::kNone) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, "gradient.method",
                       absl::StrCat("reversible takes steps back, which ", solver,
                                    " alone cannot: give it a coupling (0.999 is customary), solve "
                                    "with alf, reversible_heun or ees25, or use checkpointed"));
  }
  const bool continuous =
      GetGradientMethodInfo(method).family == GradientFamily::kContinuousAdjoint;
  if (info.carried > 1 && (continuous || method == GradientMethod::kComplexStep)) {
    return FieldStatus(
        absl::StatusCode::kInvalidArgument, "gradient.method",
        absl::StrCat(name, " needs a Runge-Kutta method as it is, and ",
                     scheme.coupling.has_value() ? "a coupled " : "", solver,
                     " carries more than the state: leave the coupling out or solve with another "
                     "method, or use reversible, backprop or forward"));
  }
  return absl::OkStatus();
}

bool IsOverDenseOutput(GradientMethod method) {
  return method == GradientMethod::kInterpolating || method == GradientMethod::kQuadrature ||
         method == GradientMethod::kGauss;
}

}  // namespace

GradientMethod ChooseGradientMethod(const GradientOptions& gradient, const BoundSimulation& bound,
                                    const SolveOptions& options, int64_t columns,
                                    std::string* reason) {
  if (gradient.method != GradientMethod::kAuto) return gradient.method;
  const size_t save_times = options.save.times.size();
  const StepForecast forecast = ForecastSteps(bound, options);
  if (columns > kMaxForwardColumns) {
    return ChooseReverse(gradient, bound, options, forecast,
                         absl::StrCat("one reverse pass costs less than tangents of ", columns,
                                      " columns (over ", kMaxForwardColumns, ")"),
                         reason);
  }
  const double tangents = 8.0 * static_cast<double>(bound.model->rhs().num_states()) *
                          static_cast<double>(columns) * static_cast<double>(save_times);
  if (tangents > static_cast<double>(limits::kMaxSavedBytes)) {
    return ChooseReverse(gradient, bound, options, forecast,
                         absl::StrCat("tangents at ", save_times, " times do not fit in memory"),
                         reason);
  }
  *reason = absl::StrCat("forward: ", columns, " column", columns == 1 ? "" : "s", " (at most ",
                         kMaxForwardColumns, ") ride along with the solve, under error control",
                         StiffText(forecast, options));
  return GradientMethod::kForward;
}

absl::Status CheckGradientOptions(const GradientOptions& gradient, GradientMethod method,
                                  const Scheme& scheme) {
  RETURN_IF_ERROR(CheckScheme(method, scheme));
  const AdjointOptions& adjoint = gradient.adjoint;
  const GradientFamily family = GetGradientMethodInfo(method).family;
  const bool continuous = family == GradientFamily::kContinuousAdjoint;
  const bool backward = adjoint.backward_method.has_value() || adjoint.backward_rtol.has_value() ||
                        adjoint.backward_atol.has_value() || adjoint.seminorm;
  const bool differences = gradient.difference.frozen_grid || gradient.difference.step.has_value();
  struct Choice {
    const char* field;
    bool useless;
    const char* instead;
  };
  const Choice choices[] = {
      {"checkpoints", adjoint.checkpoints != 0 && method != GradientMethod::kCheckpointed,
       "checkpointed"},
      {"segments", adjoint.segments != 0 && method != GradientMethod::kSegmented, "segmented"},
      {"checkpoint_every",
       adjoint.checkpoint_every != 0 && !IsOverDenseOutput(method) &&
           method != GradientMethod::kReversible,
       "reversible, gauss, interpolating or quadrature"},
      {"backward", backward && !continuous, "gauss, interpolating, quadrature or backsolve"},
      {"backward.seminorm",
       adjoint.seminorm &&
           (method == GradientMethod::kGauss || method == GradientMethod::kQuadrature),
       "interpolating or backsolve, whose step control sees the parameter integral"},
      {"difference", differences && family != GradientFamily::kDifference,
       "finite_difference or complex_step"},
  };
  const std::string name(GetGradientMethodInfo(method).name);
  for (const Choice& choice : choices) {
    if (!choice.useless) continue;
    return FieldStatus(absl::StatusCode::kInvalidArgument, absl::StrCat("gradient.", choice.field),
                       absl::StrCat("the method ", name,
                                    " has no use for it; leave it out, or use ", choice.instead));
  }
  if (method == GradientMethod::kBacksolve &&
      !(adjoint.backward_rtol.has_value() && adjoint.backward_atol.has_value())) {
    return FieldStatus(
        absl::StatusCode::kInvalidArgument,
        adjoint.backward_rtol.has_value() ? "gradient.backward.atol" : "gradient.backward.rtol",
        "missing: backsolve solves the state backwards too, which needs tolerances of its own; "
        "gauss and interpolating keep the state and need none");
  }
  if (gradient.difference.step.has_value() && !(*gradient.difference.step > 0)) {
    return FieldError("gradient.difference.step", absl::StrCat(*gradient.difference.step),
                      "a number above 0, relative to the size of a column");
  }
  return absl::OkStatus();
}

}  // namespace costate

#include "engine/resolve_options.h"

#include <cmath>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/integrate.h"
#include "engine/solvers/step_controller.h"

namespace costate {
namespace {

// The solver's field path in the words of the wire.
std::string WireField(const std::string& field, StepControl::Kind kind) {
  constexpr std::string_view kControl = "control.";
  if (field == "y0") return "initial_state";
  for (const char* own : {"t0", "t1", "params", "num_trajectories"}) {
    if (absl::StartsWith(field, own)) return field;
  }
  if (field == "control.fixed_step") return "options.fixed.step";
  if (absl::StartsWith(field, "control.grid")) {
    return absl::StrCat("options.grid.times", field.substr(12));
  }
  if (absl::StartsWith(field, "save.times")) {
    return absl::StrCat("options.save.times.times", field.substr(10));
  }
  if (field == "save.every") return "options.save.every_steps";
  if (absl::StartsWith(field, "control.") && kind == StepControl::Kind::kAdaptive) {
    return absl::StrCat("options.adaptive.", field.substr(kControl.size()));
  }
  return absl::StrCat("options.", field);
}

absl::Status InWireWords(const absl::Status& status, StepControl::Kind kind) {
  const std::optional<std::string> field = FieldOf(status);
  if (!field.has_value()) return status;
  std::string message(status.message());
  const std::string prefix = absl::StrCat(*field, ": ");
  if (absl::StartsWith(message, prefix)) message.erase(0, prefix.size());
  return FieldStatus(status.code(), WireField(*field, kind), message);
}

Method ChooseMethod(const StepControl& control, std::string* reason) {
  if (control.kind != StepControl::Kind::kAdaptive) {
    *reason = "tsit5: order 5 for six evaluations a step, on the steps that were given";
    return Method::kTsit5;
  }
  if (control.rtol < kHighOrderRtol) {
    *reason = absl::StrCat("dopri8: below rtol ", kHighOrderRtol,
                           " order 8 needs the fewest evaluations");
    return Method::kDopri8;
  }
  *reason = absl::StrCat("tsit5: for rtol of ", kHighOrderRtol,
                         " and more, order 5 needs the fewest evaluations on problems that are "
                         "not stiff");
  return Method::kTsit5;
}

// Defaults as numbers.
SolveOptions Echo(SolveOptions options, const BoundSimulation& bound) {
  if (options.lanes == 0) {
    const int wide = bound.model->rhs().simd_lanes();
    options.lanes = bound.num_trajectories >= wide ? wide : 1;
  }
  if (options.control.kind != StepControl::Kind::kAdaptive) return options;
  const ControllerGains gains = ResolveGains(options.control, options.scheme());
  options.control.beta1 = gains.beta1;
  options.control.beta2 = gains.beta2;
  options.control.beta3 = gains.beta3;
  const bool one_span = bound.t0.size() == 1 && bound.t1.size() == 1;
  if (!options.control.max_step.has_value() && one_span && bound.t0[0] != bound.t1[0]) {
    options.control.max_step = std::fabs(bound.t1[0] - bound.t0[0]);
  }
  return options;
}

}  // namespace

absl::StatusOr<ResolvedOptions> ResolveOptions(const Simulation& simulation,
                                               const BoundSimulation& bound,
                                               std::optional<SaveAt> save) {
  ResolvedOptions resolved;
  resolved.options = simulation.options;
  if (save.has_value()) resolved.options.save = *std::move(save);
  resolved.resolution.batched = bound.batched;
  if (simulation.method_auto) {
    resolved.options.method =
        ChooseMethod(resolved.options.control, &resolved.resolution.method_reason);
  }
  const absl::Status status = ValidateSolve(bound.all(), resolved.options);
  if (!status.ok()) return InWireWords(status, resolved.options.control.kind);
  resolved.resolution.options = Echo(resolved.options, bound);
  return resolved;
}

}  // namespace costate

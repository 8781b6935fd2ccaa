#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/integrate.h"

namespace costate {
namespace {

std::string Element(const std::string& field, size_t index) {
  return absl::StrCat(field, "[", index, "]");
}

absl::Status CheckFinite(const std::string& field, absl::Span<const double> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return FieldError(Element(field, i), absl::StrCat(values[i]), "a finite number");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSize(const std::string& field, size_t size, int64_t expected,
                       const std::string& meaning) {
  if (static_cast<int64_t>(size) == expected) return absl::OkStatus();
  return FieldError(field, absl::StrCat(size, " values"),
                    absl::StrCat(expected, " values (", meaning, ")"));
}

absl::Status CheckShared(const std::string& field, size_t size, int64_t batch, int64_t each,
                         const std::string& meaning) {
  if (static_cast<int64_t>(size) == each) return absl::OkStatus();
  return CheckSize(field, size, batch * each, meaning);
}

// Parameters and initial states may hold NaN or infinity: the solve then ends with kNonFinite.
absl::Status ValidateProblem(const Problem& problem) {
  const int64_t batch = problem.num_trajectories;
  if (batch < 1 || batch > limits::kMaxTrajectories) {
    return FieldError("num_trajectories", absl::StrCat(batch),
                      absl::StrCat("1 to ", limits::kMaxTrajectories));
  }
  RETURN_IF_ERROR(CheckShared("t0", problem.t0.size(), batch, 1, "one per trajectory, or one"));
  RETURN_IF_ERROR(CheckShared("t1", problem.t1.size(), batch, 1, "one per trajectory, or one"));
  RETURN_IF_ERROR(CheckFinite("t0", problem.t0));
  RETURN_IF_ERROR(CheckFinite("t1", problem.t1));
  for (int64_t b = 0; b < batch; ++b) {
    const double span =
        problem.t1[problem.t1.size() == 1 ? 0 : b] - problem.t0[problem.t0.size() == 1 ? 0 : b];
    if (!std::isfinite(span)) {
      return FieldError("t1", absl::StrCat(problem.t1[problem.t1.size() == 1 ? 0 : b]),
                        "a finite distance from t0");
    }
  }
  RETURN_IF_ERROR(CheckSize("y0", problem.y0.size(), batch * problem.field->num_states(),
                            "trajectories x states"));
  return CheckShared("params", problem.params.size(), batch, problem.field->num_params(),
                     "trajectories x parameters, or parameters");
}

std::string MethodsWithEstimate() {
  std::vector<std::string> names;
  for (const Method method : AllMethods()) {
    if (GetMethodInfo(method).error_order > 0) names.emplace_back(GetMethodInfo(method).name);
  }
  return absl::StrJoin(names, ", ");
}

absl::Status CheckRange(const std::string& field, double value, bool ok,
                        const std::string& expected) {
  return ok ? absl::OkStatus() : FieldError(field, absl::StrCat(value), expected);
}

absl::Status CheckPositive(const std::string& field, std::optional<double> value) {
  if (!value.has_value()) return absl::OkStatus();
  return CheckRange(field, *value, std::isfinite(*value) && *value > 0, "a finite number > 0");
}

absl::Status ValidateTolerances(const StepControl& control, int64_t num_states) {
  RETURN_IF_ERROR(CheckRange("control.rtol", control.rtol,
                             std::isfinite(control.rtol) && control.rtol >= 0,
                             "a finite number >= 0"));
  const int64_t num_atol = static_cast<int64_t>(control.atol.size());
  if (num_atol != 1 && num_atol != num_states) {
    return FieldError("control.atol", absl::StrCat(num_atol, " values"),
                      absl::StrCat("1 or ", num_states, " values (one per state)"));
  }
  for (size_t i = 0; i < control.atol.size(); ++i) {
    const double atol = control.atol[i];
    RETURN_IF_ERROR(CheckRange(Element("control.atol", i), atol, std::isfinite(atol) && atol >= 0,
                               "a finite number >= 0"));
    if (atol == 0 && control.rtol == 0) {
      return FieldError(Element("control.atol", i), "0", "> 0 where rtol is 0");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateAdaptive(const SolveOptions& options, int64_t num_states) {
  const StepControl& control = options.control;
  const MethodInfo& info = GetMethodInfo(options.scheme());
  if (info.error_order == 0) {
    return FieldError("method", info.name,
                      absl::StrCat("a method with an error estimate for adaptive steps (",
                                   MethodsWithEstimate(), "), or a fixed step"));
  }
  RETURN_IF_ERROR(ValidateTolerances(control, num_states));
  const std::optional<double> betas[] = {control.beta1, control.beta2, control.beta3};
  for (int i = 0; i < 3; ++i) {
    if (betas[i].has_value()) {
      RETURN_IF_ERROR(CheckRange(absl::StrCat("control.beta", i + 1), *betas[i],
                                 std::abs(*betas[i]) <= 10, "a finite number in [-10, 10]"));
    }
  }
  RETURN_IF_ERROR(CheckRange("control.safety", control.safety,
                             control.safety > 0 && control.safety <= 1, "in (0, 1]"));
  RETURN_IF_ERROR(CheckRange("control.min_factor", control.min_factor,
                             control.min_factor > 0 && control.min_factor < 1, "in (0, 1)"));
  RETURN_IF_ERROR(CheckRange("control.max_factor", control.max_factor,
                             std::isfinite(control.max_factor) && control.max_factor > 1,
                             "a finite number > 1"));
  RETURN_IF_ERROR(CheckPositive("control.initial_step", control.initial_step));
  RETURN_IF_ERROR(CheckPositive("control.max_step", control.max_step));
  RETURN_IF_ERROR(CheckRange("control.min_step", control.min_step,
                             std::isfinite(control.min_step) && control.min_step >= 0,
                             "a finite number >= 0"));
  if (control.max_step.has_value() && *control.max_step < control.min_step) {
    return FieldError("control.max_step", absl::StrCat(*control.max_step),
                      absl::StrCat(">= min_step = ", control.min_step));
  }
  return absl::OkStatus();
}

// The largest number of fixed steps a span may need, so that step numbers stay exact.
absl::Status ValidateFixed(const Problem& problem, const StepControl& control) {
  if (!control.fixed_step.has_value()) {
    return FieldError("control.fixed_step", "nothing", "a finite number > 0");
  }
  RETURN_IF_ERROR(CheckPositive("control.fixed_step", control.fixed_step));
  for (int64_t b = 0; b < problem.num_trajectories; ++b) {
    const double t0 = problem.t0[problem.t0.size() == 1 ? 0 : b];
    const double t1 = problem.t1[problem.t1.size() == 1 ? 0 : b];
    const double largest = std::max(std::abs(t0), std::abs(t1));
    if (t0 != t1 && *control.fixed_step < largest * 0x1p-50) {
      return FieldError(
          "control.fixed_step", absl::StrCat(*control.fixed_step),
          absl::StrCat("a step of at least 4 units in the last place of t = ", largest));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateGrid(const Problem& problem, const StepControl& control) {
  const std::vector<double>& grid = control.grid;
  if (grid.empty()) return FieldError("control.grid", "no times", "t0, the step times, t1");
  RETURN_IF_ERROR(CheckFinite("control.grid", grid));
  const bool forward = grid.back() >= grid.front();
  for (size_t i = 1; i < grid.size(); ++i) {
    if (forward ? grid[i] <= grid[i - 1] : grid[i] >= grid[i - 1]) {
      return FieldError(Element("control.grid", i), absl::StrCat(grid[i]),
                        absl::StrCat("strictly monotone times; the one before is ", grid[i - 1]));
    }
  }
  for (const double t0 : problem.t0) {
    if (t0 != grid.front()) {
      return FieldError("control.grid[0]", absl::StrCat(grid.front()), absl::StrCat("t0 = ", t0));
    }
  }
  for (const double t1 : problem.t1) {
    if (t1 != grid.back()) {
      return FieldError(Element("control.grid", grid.size() - 1), absl::StrCat(grid.back()),
                        absl::StrCat("t1 = ", t1));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateSaveTimes(const Problem& problem, const SaveAt& save) {
  if (save.times.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(CheckFinite("save.times", save.times));
  for (int64_t b = 0; b < problem.num_trajectories; ++b) {
    const double t0 = problem.t0[problem.t0.size() == 1 ? 0 : b];
    const double t1 = problem.t1[problem.t1.size() == 1 ? 0 : b];
    const double low = std::min(t0, t1), high = std::max(t0, t1);
    // Monotone times have their extremes at the ends.
    for (const size_t i : {size_t{0}, save.times.size() - 1}) {
      if (save.times[i] < low || save.times[i] > high) {
        return FieldError(Element("save.times", i), absl::StrCat(save.times[i]),
                          absl::StrCat("within [", low, ", ", high, "]"));
      }
    }
    if (t0 == t1) continue;
    const double first = save.times.front(), last = save.times.back();
    if (first != last && (last > first) != (t1 > t0)) {
      return FieldError("save.times", absl::StrCat(first, " to ", last),
                        "the direction of integration");
    }
  }
  const bool forward = save.times.back() >= save.times.front();
  for (size_t i = 1; i < save.times.size(); ++i) {
    if (forward ? save.times[i] < save.times[i - 1] : save.times[i] > save.times[i - 1]) {
      return FieldError(Element("save.times", i), absl::StrCat(save.times[i]),
                        "monotone times in the direction of integration");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateSave(const Problem& problem, const SaveAt& save) {
  switch (save.kind) {
    case SaveAt::Kind::kEnd:
      return absl::OkStatus();
    case SaveAt::Kind::kTimes:
      return ValidateSaveTimes(problem, save);
    case SaveAt::Kind::kSteps:
      break;
  }
  if (save.every >= 1) return absl::OkStatus();
  return FieldError("save.every", absl::StrCat(save.every), "an integer >= 1");
}

}  // namespace

absl::Status ValidateSolve(const Problem& problem, const SolveOptions& options) {
  RETURN_IF_ERROR(ValidateProblem(problem));
  RETURN_IF_ERROR(ValidateScheme(options.scheme()));
  switch (options.control.kind) {
    case StepControl::Kind::kAdaptive:
      RETURN_IF_ERROR(ValidateAdaptive(options, problem.field->num_states()));
      break;
    case StepControl::Kind::kFixed:
      RETURN_IF_ERROR(ValidateFixed(problem, options.control));
      break;
    case StepControl::Kind::kGrid:
      RETURN_IF_ERROR(ValidateGrid(problem, options.control));
      break;
  }
  RETURN_IF_ERROR(ValidateSave(problem, options.save));
  if (options.max_steps < 1 || options.max_steps > limits::kMaxSteps) {
    return FieldError("max_steps", absl::StrCat(options.max_steps),
                      absl::StrCat("1 to ", limits::kMaxSteps));
  }
  if (options.wall_budget <= absl::ZeroDuration()) {
    return FieldError("wall_budget", absl::FormatDuration(options.wall_budget), "> 0");
  }
  const int lanes = options.lanes, simd = problem.field->simd_lanes();
  if (lanes != 0 && lanes != 1 && lanes != simd) {
    return FieldError("lanes", absl::StrCat(lanes), absl::StrCat("0, 1 or ", simd));
  }
  return absl::OkStatus();
}

}  // namespace costate

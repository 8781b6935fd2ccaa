#include "server/validate/simulation.h"

#include <cmath>
#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "server/limits.h"
#include "server/validate/array.h"
#include "server/validate/model_source.h"

namespace costate {
namespace {

absl::Status Missing(const std::string& field) {
  return FieldStatus(absl::StatusCode::kInvalidArgument, field, "missing");
}

// Open enums keep unknown numbers; a client newer than the server may send one.
absl::Status ValidateEnum(const std::string& field, int value, bool known) {
  if (known) return absl::OkStatus();
  return FieldError(field, absl::StrCat(value), "a value this server knows (see ServerInfo)");
}

absl::Status ValidateTimes(const std::string& field,
                           const google::protobuf::RepeatedField<double>& times) {
  RETURN_IF_ERROR(ValidateCount(field, times.size(), limits::kMaxTrajectories));
  for (int i = 0; i < times.size(); ++i) {
    if (!std::isfinite(times[i])) {
      return FieldError(absl::StrCat(field, "[", i, "]"), absl::StrCat(times[i]),
                        "a finite number");
    }
  }
  return absl::OkStatus();
}

// A number the client may leave out, with the range it must keep to.
struct Range {
  const char* name;
  bool set;
  double value;
  bool inside;  // whether a finite value is in range
  const char* expected;
};

absl::Status ValidateRanges(const std::string& field, std::initializer_list<Range> ranges) {
  for (const Range& range : ranges) {
    if (!range.set || (std::isfinite(range.value) && range.inside)) continue;
    return FieldError(field + "." + range.name, absl::StrCat(range.value), range.expected);
  }
  return absl::OkStatus();
}

absl::Status ValidateAdaptive(const std::string& field, const v1::AdaptiveSteps& steps) {
  RETURN_IF_ERROR(ValidateEnum(field + ".controller", steps.controller(),
                               v1::Controller_IsValid(steps.controller())));
  RETURN_IF_ERROR(ValidateCount(field + ".atol", steps.atol_size(), limits::kMaxStates));
  for (int i = 0; i < steps.atol_size(); ++i) {
    const double atol = steps.atol(i);
    if (!std::isfinite(atol) || atol < 0) {
      return FieldError(absl::StrCat(field, ".atol[", i, "]"), absl::StrCat(atol),
                        "a finite number >= 0");
    }
  }
  const v1::AdaptiveSteps& s = steps;
  return ValidateRanges(
      field,
      {{"rtol", s.has_rtol(), s.rtol(), s.rtol() >= 0, "a finite number >= 0"},
       {"beta1", s.has_beta1(), s.beta1(), true, "a finite number"},
       {"beta2", s.has_beta2(), s.beta2(), true, "a finite number"},
       {"beta3", s.has_beta3(), s.beta3(), true, "a finite number"},
       {"safety", s.has_safety(), s.safety(), s.safety() > 0 && s.safety() <= 1,
        "a number in (0, 1]"},
       {"min_factor", s.has_min_factor(), s.min_factor(), s.min_factor() > 0 && s.min_factor() < 1,
        "a number in (0, 1)"},
       {"max_factor", s.has_max_factor(), s.max_factor(), s.max_factor() > 1,
        "a finite number > 1"},
       {"initial_step", s.has_initial_step(), s.initial_step(), s.initial_step() > 0,
        "a finite number > 0"},
       {"min_step", s.has_min_step(), s.min_step(), s.min_step() >= 0, "a finite number >= 0"},
       {"max_step", s.has_max_step(), s.max_step(), s.max_step() > 0, "a finite number > 0"}});
}

absl::Status ValidateScheme(const std::string& field, const v1::SolveOptions& options) {
  RETURN_IF_ERROR(
      ValidateEnum(field + ".method", options.method(), v1::Method_IsValid(options.method())));
  const double coupling = options.coupling(), eta = options.eta();
  RETURN_IF_ERROR(
      ValidateRanges(field, {{"coupling", options.has_coupling(), coupling,
                              coupling > 0 && coupling <= 1, "a number in (0, 1]"},
                             {"eta", options.has_eta(), eta, eta > 0 && eta <= 1 && eta != 0.5,
                              "a number in (0, 1] other than 0.5, which cannot be undone"}}));
  if (!options.has_eta() || options.method() == v1::METHOD_ALF) return absl::OkStatus();
  // The engine cannot tell the default from a value that was given.
  return FieldError(field + ".eta", absl::StrCat(eta), "nothing: of all methods alf has damping");
}

absl::Status ValidateControl(const std::string& field, const v1::SolveOptions& options) {
  switch (options.control_case()) {
    case v1::SolveOptions::CONTROL_NOT_SET:
      return absl::OkStatus();
    case v1::SolveOptions::kAdaptive:
      return ValidateAdaptive(field + ".adaptive", options.adaptive());
    case v1::SolveOptions::kFixed: {
      const double step = options.fixed().step();
      if (std::isfinite(step) && step > 0) return absl::OkStatus();
      return FieldError(field + ".fixed.step", absl::StrCat(step), "a finite number > 0");
    }
    case v1::SolveOptions::kGrid:
      if (NumElements(options.grid().times()) < 2) {
        return FieldError(field + ".grid.times",
                          absl::StrCat(NumElements(options.grid().times()), " times"),
                          "at least 2: t0 first, t1 last");
      }
      return ValidateVector(field + ".grid.times", options.grid().times(), Elements::kFinite);
  }
  return absl::InternalError("unknown step control");
}

absl::Status ValidateSave(const std::string& field, const v1::SaveAt& save) {
  switch (save.what_case()) {
    case v1::SaveAt::WHAT_NOT_SET:
    case v1::SaveAt::kEnd:
      return absl::OkStatus();
    case v1::SaveAt::kEverySteps:
      if (save.every_steps() >= 1) return absl::OkStatus();
      return FieldError(field + ".every_steps", absl::StrCat(save.every_steps()),
                        "an integer >= 1");
    case v1::SaveAt::kTimes:
      if (NumElements(save.times().times()) == 0) return Missing(field + ".times.times");
      return ValidateVector(field + ".times.times", save.times().times(), Elements::kFinite);
  }
  return absl::InternalError("unknown save");
}

absl::Status ValidateWallBudget(const std::string& field, const v1::SolveOptions& options) {
  if (!options.has_wall_budget()) return absl::OkStatus();
  return ValidatePositiveDuration(field + ".wall_budget", options.wall_budget());
}

}  // namespace

absl::Status ValidatePositiveDuration(const std::string& field,
                                      const google::protobuf::Duration& duration) {
  const bool positive = duration.seconds() > 0 || (duration.seconds() == 0 && duration.nanos() > 0);
  constexpr int64_t kMaxSeconds = 315'576'000'000;  // of google.protobuf.Duration
  constexpr int32_t kMaxNanos = 999'999'999;
  if (positive && duration.nanos() >= 0 && duration.nanos() <= kMaxNanos &&
      duration.seconds() <= kMaxSeconds) {
    return absl::OkStatus();
  }
  return FieldError(field, absl::StrCat(duration.seconds(), " s, ", duration.nanos(), " ns"),
                    "a duration > 0");
}

absl::Status ValidateNamedArrays(const std::string& field,
                                 const google::protobuf::RepeatedPtrField<v1::NamedArray>& arrays) {
  RETURN_IF_ERROR(ValidateCount(field, arrays.size(), limits::kMaxNamedArrays));
  for (int i = 0; i < arrays.size(); ++i) {
    const std::string path = absl::StrCat(field, "[", i, "]");
    const int64_t length = static_cast<int64_t>(arrays[i].name().size());
    if (length == 0) return Missing(path + ".name");
    if (length > limits::kMaxIdentifierBytes) {
      return FieldError(path + ".name", absl::StrCat(length, " bytes"),
                        absl::StrCat("at most ", limits::kMaxIdentifierBytes));
    }
    if (!arrays[i].has_array()) return Missing(path + ".array");
    RETURN_IF_ERROR(ValidateArray(path + ".array", arrays[i].array(), Elements::kFinite));
  }
  return absl::OkStatus();
}

absl::Status ValidateSolveOptions(const std::string& field, const v1::SolveOptions& options) {
  RETURN_IF_ERROR(ValidateScheme(field, options));
  RETURN_IF_ERROR(ValidateControl(field, options));
  RETURN_IF_ERROR(ValidateSave(field + ".save", options.save()));
  if (options.max_steps() < 0 || options.max_steps() > limits::kMaxSteps) {
    return FieldError(field + ".max_steps", absl::StrCat(options.max_steps()),
                      absl::StrCat("1 to ", limits::kMaxSteps));
  }
  if (options.lanes() < 0) {
    return FieldError(field + ".lanes", absl::StrCat(options.lanes()), "1 or the server's width");
  }
  return ValidateWallBudget(field, options);
}

absl::Status ValidateSimulation(const std::string& field, const v1::Simulation& simulation) {
  if (!simulation.has_model()) return Missing(field + ".model");
  RETURN_IF_ERROR(ValidateModelSource(field + ".model", simulation.model()));
  if (simulation.t1_size() == 0) return Missing(field + ".t1");
  RETURN_IF_ERROR(ValidateTimes(field + ".t0", simulation.t0()));
  RETURN_IF_ERROR(ValidateTimes(field + ".t1", simulation.t1()));
  RETURN_IF_ERROR(ValidateNamedArrays(field + ".params", simulation.params()));
  RETURN_IF_ERROR(ValidateNamedArrays(field + ".initial_state", simulation.initial_state()));
  return ValidateSolveOptions(field + ".options", simulation.options());
}

absl::Status ValidateSolveRequest(const v1::SolveRequest& request) {
  if (!request.has_simulation()) return Missing("simulation");
  return ValidateSimulation("simulation", request.simulation());
}

absl::Status ValidateStreamSolveRequest(const v1::StreamSolveRequest& request) {
  if (!request.has_simulation()) return Missing("simulation");
  if (request.rows_per_chunk() < 0) {
    return FieldError("rows_per_chunk", absl::StrCat(request.rows_per_chunk()), "an integer >= 1");
  }
  return ValidateSimulation("simulation", request.simulation());
}

}  // namespace costate

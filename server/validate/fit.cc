#include "server/validate/fit.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <tuple>
#include <utility>
#include <vector>

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

absl::Status Unknown(const std::string& field, int value) {
  return FieldError(field, absl::StrCat(value), "a value this server knows");
}

std::string At(const std::string& field, const char* part, int i) {
  return absl::StrCat(field, ".", part, "[", i, "]");
}

absl::Status CheckCount(const std::string& field, int64_t value, int64_t most) {
  // 0 is unset.
  if (value >= 0 && value <= most) return absl::OkStatus();
  return FieldError(field, absl::StrCat(value), absl::StrCat("1 to ", most, ", or unset"));
}

// A number the client may leave out, with the range it must keep to.
struct Range {
  const char* name;
  bool set;
  double value;
  bool inside;
  const char* expected;
};

absl::Status CheckRanges(const std::string& field, std::initializer_list<Range> ranges) {
  for (const Range& range : ranges) {
    if (!range.set || (std::isfinite(range.value) && range.inside)) continue;
    return FieldError(absl::StrCat(field, ".", range.name), absl::StrCat(range.value),
                      range.expected);
  }
  return absl::OkStatus();
}

// One start and one end, and nothing saved: the data say what is needed.
absl::Status ValidateFitSimulation(const std::string& field, const v1::Simulation& simulation) {
  RETURN_IF_ERROR(ValidateSimulation(field, simulation));
  for (const auto& [name, size] : {std::pair<const char*, int>{"t0", simulation.t0_size()},
                                   std::pair<const char*, int>{"t1", simulation.t1_size()}}) {
    if (size <= 1) continue;
    return FieldError(absl::StrCat(field, ".", name), absl::StrCat(size, " values"),
                      "one; other spans belong into conditions");
  }
  if (simulation.options().save().what_case() != v1::SaveAt::WHAT_NOT_SET) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, field + ".options.save",
                       "must be unset; save times are those of the data");
  }
  if (simulation.options().has_wall_budget()) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, field + ".options.wall_budget",
                       "must be unset: a fit that is resumed gives the same result, which must not "
                       "depend on the clock; give the job a deadline");
  }
  if (!simulation.options().return_grid()) return absl::OkStatus();
  return FieldStatus(absl::StatusCode::kInvalidArgument, field + ".options.return_grid",
                     "must be unset; a fit returns no grids");
}

absl::Status ValidateConditions(
    const std::string& field, const google::protobuf::RepeatedPtrField<v1::Condition>& conditions) {
  RETURN_IF_ERROR(
      ValidateCount(field + ".conditions", conditions.size(), limits::kMaxFitConditions));
  std::vector<absl::string_view> names;
  for (int i = 0; i < conditions.size(); ++i) {
    const v1::Condition& condition = conditions[i];
    const std::string path = At(field, "conditions", i);
    RETURN_IF_ERROR(ValidateName(path + ".name", condition.name()));
    RETURN_IF_ERROR(ValidateNamedArrays(path + ".params", condition.params()));
    RETURN_IF_ERROR(ValidateNamedArrays(path + ".initial_state", condition.initial_state()));
    RETURN_IF_ERROR(
        CheckRanges(path, {{"t0", condition.has_t0(), condition.t0(), true, "a finite number"},
                           {"t1", condition.has_t1(), condition.t1(), true, "a finite number"}}));
    names.push_back(condition.name());
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return absl::OkStatus();
  return FieldStatus(absl::StatusCode::kInvalidArgument, field + ".conditions",
                     absl::StrCat("two conditions are called '", *twice, "'"));
}

absl::Status ValidateChannel(const std::string& field, const v1::DataSeries& series) {
  switch (series.channel_case()) {
    case v1::DataSeries::CHANNEL_NOT_SET:
      return FieldStatus(absl::StatusCode::kInvalidArgument, field + ".channel",
                         "missing; set output or state");
    case v1::DataSeries::kOutput:
      return ValidateName(field + ".output", series.output());
    case v1::DataSeries::kState:
      return ValidateName(field + ".state", series.state());
  }
  return absl::InternalError("unknown channel");
}

absl::Status ValidateSigma(const std::string& field, const v1::Array& sigma, int64_t points) {
  RETURN_IF_ERROR(ValidateVector(field, sigma, Elements::kFinite));
  const int64_t size = NumElements(sigma);
  if (size != 0 && size != 1 && size != points) {
    return FieldError(field, absl::StrCat(size, " elements"),
                      absl::StrCat("1, or ", points, ", one per time"));
  }
  for (int64_t i = 0; i < size; ++i) {
    if (ElementAt(sigma, i) > 0) continue;
    return FieldError(absl::StrCat(field, "[", i, "]"), absl::StrCat(ElementAt(sigma, i)),
                      "a finite number > 0");
  }
  return absl::OkStatus();
}

absl::Status ValidateValues(const std::string& field, const v1::DataSeries& series) {
  const int64_t points = NumElements(series.times());
  if (NumElements(series.values()) != points) {
    return FieldError(field + ".values", absl::StrCat(NumElements(series.values()), " elements"),
                      absl::StrCat(points, ", one per time"));
  }
  RETURN_IF_ERROR(ValidateVector(field + ".values", series.values(), Elements::kFiniteOrNan));
  if (series.allow_missing()) return absl::OkStatus();
  for (int64_t i = 0; i < points; ++i) {
    if (!std::isnan(ElementAt(series.values(), i))) continue;
    return FieldError(absl::StrCat(field, ".values[", i, "]"), "nan",
                      "a finite number; set allow_missing where values are missing");
  }
  return absl::OkStatus();
}

absl::Status ValidateSeries(const std::string& field, const v1::DataSeries& series) {
  RETURN_IF_ERROR(ValidateChannel(field, series));
  if (!series.condition().empty()) {
    RETURN_IF_ERROR(ValidateName(field + ".condition", series.condition()));
  }
  if (!series.group().empty()) RETURN_IF_ERROR(ValidateName(field + ".group", series.group()));
  if (NumElements(series.times()) == 0) return Missing(field + ".times");
  RETURN_IF_ERROR(ValidateVector(field + ".times", series.times(), Elements::kFinite));
  RETURN_IF_ERROR(ValidateValues(field, series));
  if (!v1::NoiseModel_IsValid(series.noise())) return Unknown(field + ".noise", series.noise());
  RETURN_IF_ERROR(ValidateSigma(field + ".sigma", series.sigma(), NumElements(series.times())));
  return CheckRanges(field, {{"weight", series.has_weight(), series.weight(), series.weight() >= 0,
                              "a finite number >= 0"}});
}

absl::Status ValidateData(const std::string& field, const v1::FitRequest& request) {
  if (request.data().empty()) return Missing(field + ".data");
  RETURN_IF_ERROR(ValidateCount(field + ".data", request.data_size(), limits::kMaxFitSeries));
  int64_t points = 0;
  for (int i = 0; i < request.data_size(); ++i) {
    RETURN_IF_ERROR(ValidateSeries(At(field, "data", i), request.data(i)));
    points += NumElements(request.data(i).times());
  }
  if (points <= limits::kMaxFitPoints) return absl::OkStatus();
  return FieldError(field + ".data", absl::StrCat(points, " points"),
                    absl::StrCat("at most ", limits::kMaxFitPoints));
}

absl::Status ValidatePrior(const std::string& field, const v1::Prior& prior) {
  if (!v1::PriorDistribution_IsValid(prior.distribution())) {
    return Unknown(field + ".distribution", prior.distribution());
  }
  return CheckRanges(field, {{"a", true, prior.a(), true, "a finite number"},
                             {"b", true, prior.b(), true, "a finite number"}});
}

// Infinite bounds are as good as none.
absl::Status ValidateBounds(const std::string& field, const v1::FreeParameter& free) {
  for (const auto& [name, set, value] :
       {std::tuple<const char*, bool, double>{"lower", free.has_lower(), free.lower()},
        std::tuple<const char*, bool, double>{"upper", free.has_upper(), free.upper()}}) {
    if (!set || !std::isnan(value)) continue;
    return FieldError(absl::StrCat(field, ".", name), "nan", "a number");
  }
  if (!free.has_lower() || !free.has_upper() || free.lower() <= free.upper()) {
    return absl::OkStatus();
  }
  return FieldError(field + ".lower", absl::StrCat(free.lower()),
                    absl::StrCat("at most the upper bound, ", free.upper()));
}

absl::Status ValidateFree(const std::string& field, const v1::FreeParameter& free) {
  RETURN_IF_ERROR(ValidateName(field + ".name", free.name()));
  RETURN_IF_ERROR(ValidateArray(field + ".start", free.start(), Elements::kFinite));
  RETURN_IF_ERROR(ValidateBounds(field, free));
  if (!v1::ParameterScale_IsValid(free.scale())) return Unknown(field + ".scale", free.scale());
  if (free.has_prior()) RETURN_IF_ERROR(ValidatePrior(field + ".prior", free.prior()));
  RETURN_IF_ERROR(ValidateCount(field + ".per_condition", free.per_condition_size(),
                                limits::kMaxFitConditions));
  for (int i = 0; i < free.per_condition_size(); ++i) {
    RETURN_IF_ERROR(ValidateName(At(field, "per_condition", i), free.per_condition(i)));
  }
  return absl::OkStatus();
}

absl::Status ValidateSchedule(const std::string& field, const v1::LearningRateSchedule& schedule) {
  if (!v1::LearningRateSchedule::Kind_IsValid(schedule.kind())) {
    return Unknown(field + ".kind", schedule.kind());
  }
  if (schedule.warmup() < 0) {
    return FieldError(field + ".warmup", absl::StrCat(schedule.warmup()), "an integer >= 0");
  }
  return CheckRanges(field,
                     {{"decay", schedule.has_decay(), schedule.decay(),
                       schedule.decay() > 0 && schedule.decay() <= 1, "a number in (0, 1]"}});
}

absl::Status ValidateFitNumbers(const std::string& field, const v1::FitOptions& o) {
  constexpr char kNotNegative[] = "a finite number >= 0";
  constexpr char kPositive[] = "a finite number > 0";
  constexpr char kDecay[] = "a number in [0, 1)";
  return CheckRanges(
      field, {{"function_tolerance", o.has_function_tolerance(), o.function_tolerance(),
               o.function_tolerance() >= 0, kNotNegative},
              {"gradient_tolerance", o.has_gradient_tolerance(), o.gradient_tolerance(),
               o.gradient_tolerance() >= 0, kNotNegative},
              {"step_tolerance", o.has_step_tolerance(), o.step_tolerance(),
               o.step_tolerance() >= 0, kNotNegative},
              {"learning_rate", o.has_learning_rate(), o.learning_rate(), o.learning_rate() > 0,
               kPositive},
              {"weight_decay", o.has_weight_decay(), o.weight_decay(), o.weight_decay() >= 0,
               kNotNegative},
              {"clip_norm", o.has_clip_norm(), o.clip_norm(), o.clip_norm() > 0, kPositive},
              {"beta1", o.has_beta1(), o.beta1(), o.beta1() >= 0 && o.beta1() < 1, kDecay},
              {"beta2", o.has_beta2(), o.beta2(), o.beta2() >= 0 && o.beta2() < 1, kDecay},
              {"epsilon", o.has_epsilon(), o.epsilon(), o.epsilon() > 0, kPositive}});
}

// Fits ask for thousands of gradients, and read nothing but them.
absl::Status ValidateFitGradient(const std::string& field, const v1::GradientOptions& options) {
  RETURN_IF_ERROR(WithFieldPrefix(field, ValidateGradientOptions(options)));
  if (options.want_time_gradient()) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, field + ".gradient.want_time_gradient",
                       "must be unset; a fit has no use for it");
  }
  const v1::ReportOptions& report = options.report();
  if (report.level() != v1::ReportOptions::LEVEL_BASIC && !report.tolerance_refinement() &&
      !report.second_method() && !report.directional_difference() && !report.growth() &&
      !report.linear_range() && report.every() == 0) {
    return absl::OkStatus();
  }
  return FieldStatus(absl::StatusCode::kInvalidArgument, field + ".gradient.report",
                     "must be unset; a fit makes no reports on its gradients");
}

absl::Status ValidateFitOptions(const std::string& field, const v1::FitOptions& options) {
  if (!v1::FitMethod_IsValid(options.method())) {
    return Unknown(field + ".method", options.method());
  }
  if (!v1::StartSampler_IsValid(options.sampler())) {
    return Unknown(field + ".sampler", options.sampler());
  }
  RETURN_IF_ERROR(ValidateFitGradient(field, options.gradient()));
  RETURN_IF_ERROR(CheckCount(field + ".starts", options.starts(), limits::kMaxFitStarts));
  RETURN_IF_ERROR(
      CheckCount(field + ".max_iterations", options.max_iterations(), limits::kMaxFitIterations));
  RETURN_IF_ERROR(
      CheckCount(field + ".batch_size", options.batch_size(), limits::kMaxFitConditions));
  RETURN_IF_ERROR(ValidateFitNumbers(field, options));
  if (options.has_schedule()) {
    RETURN_IF_ERROR(ValidateSchedule(field + ".schedule", options.schedule()));
  }
  if (options.nlopt_algorithm().empty()) return absl::OkStatus();
  return ValidateName(field + ".nlopt_algorithm", options.nlopt_algorithm());
}

}  // namespace

absl::Status ValidateFitRequest(const std::string& field, const v1::FitRequest& request) {
  if (!request.has_simulation()) return Missing(field + ".simulation");
  RETURN_IF_ERROR(ValidateFitSimulation(field + ".simulation", request.simulation()));
  RETURN_IF_ERROR(ValidateConditions(field, request.conditions()));
  RETURN_IF_ERROR(ValidateData(field, request));
  if (request.free().empty()) return Missing(field + ".free");
  RETURN_IF_ERROR(ValidateCount(field + ".free", request.free_size(), limits::kMaxFitFree));
  for (int i = 0; i < request.free_size(); ++i) {
    RETURN_IF_ERROR(ValidateFree(At(field, "free", i), request.free(i)));
  }
  return ValidateFitOptions(field + ".options", request.options());
}

absl::Status ValidateProfileRequest(const std::string& field, const v1::ProfileRequest& request) {
  if (!request.has_fit()) return Missing(field + ".fit");
  RETURN_IF_ERROR(ValidateFitRequest(field + ".fit", request.fit()));
  if (NumElements(request.best()) == 0) return Missing(field + ".best");
  RETURN_IF_ERROR(ValidateVector(field + ".best", request.best(), Elements::kFinite));
  RETURN_IF_ERROR(ValidateCount(field + ".names", request.names_size(), limits::kMaxProfiles));
  for (int i = 0; i < request.names_size(); ++i) {
    RETURN_IF_ERROR(ValidateName(At(field, "names", i), request.names(i)));
  }
  RETURN_IF_ERROR(
      CheckCount(field + ".max_points", request.max_points(), limits::kMaxProfilePoints));
  return CheckRanges(
      field, {{"confidence", request.has_confidence(), request.confidence(),
               request.confidence() > 0 && request.confidence() < 1, "a number in (0, 1)"}});
}

}  // namespace costate

#include "engine/fit/bind_data.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/fit/bind_conditions.h"
#include "engine/fit/element_name.h"
#include "engine/fit/noise.h"
#include "engine/near_names.h"
#include "engine/tensor_index.h"

namespace costate::fit {
namespace {

absl::StatusOr<Channel> FindChannel(const Series& series, const TensorIndex& outputs,
                                    const TensorIndex& states, const std::string& field) {
  const bool output = series.channel_kind == Channel::Kind::kOutput;
  const TensorIndex& tensors = output ? outputs : states;
  const std::string path = absl::StrCat(field, output ? ".output" : ".state");
  ASSIGN_OR_RETURN(const NamedElements found, FindElements(tensors, series.channel, path));
  if (found.tensor == nullptr) {
    return FieldStatus(
        absl::StatusCode::kInvalidArgument, path,
        absl::StrCat("the model has no ", output ? "output " : "state ", QuoteName(series.channel),
                     "; ", SuggestName(series.channel, TensorNames(tensors.tensors()))));
  }
  if (found.size != 1) {
    return FieldError(
        path,
        absl::StrCat(QuoteName(series.channel), " of shape ", ShapeToString(found.tensor->shape)),
        absl::StrCat("one of its elements, as '", ElementName(tensors.tensors(), found.offset),
                     "'"));
  }
  return Channel{series.channel_kind, found.offset};
}

absl::Status CheckTimes(const Series& series, const BoundCondition& condition,
                        const std::string& field) {
  if (series.times.empty()) return FieldError(field + ".times", "none", "at least one time");
  const double first = std::min(condition.t0, condition.t1);
  const double last = std::max(condition.t0, condition.t1);
  for (size_t j = 0; j < series.times.size(); ++j) {
    if (series.times[j] >= first && series.times[j] <= last) continue;
    return FieldError(absl::StrCat(field, ".times[", j, "]"), absl::StrCat(series.times[j]),
                      absl::StrCat("a time within the span [", first, ", ", last, "]",
                                   condition.name.empty() ? "" : " of condition ",
                                   condition.name.empty() ? "" : QuoteName(condition.name)));
  }
  return absl::OkStatus();
}

absl::Status CheckValues(const Series& series, const std::string& field) {
  if (series.values.size() != series.times.size()) {
    return FieldError(field + ".values", absl::StrCat(series.values.size(), " values"),
                      absl::StrCat(series.times.size(), ", one for each time"));
  }
  bool any = false;
  for (size_t j = 0; j < series.values.size(); ++j) {
    const double y = series.values[j];
    const std::string path = absl::StrCat(field, ".values[", j, "]");
    if (std::isnan(y)) {
      if (series.allow_missing) continue;
      return FieldError(path, "NaN", "a finite number, or allow_missing");
    }
    if (!std::isfinite(y)) return FieldError(path, absl::StrCat(y), "a finite number");
    if (IsLogNoise(series.noise) && !(y > 0)) {
      return FieldError(path, absl::StrCat(y),
                        "a number above 0, since the noise is that of its logarithm");
    }
    any = true;
  }
  if (any) return absl::OkStatus();
  return FieldError(field + ".values", "missing values only", "at least one value");
}

absl::Status CheckSigma(const Series& series, const std::string& field) {
  const size_t size = series.sigma.size();
  if (size > 1 && size != series.times.size()) {
    return FieldError(field + ".sigma", absl::StrCat(size, " values"),
                      absl::StrCat("1 or ", series.times.size(), " values, or none"));
  }
  for (size_t j = 0; j < size; ++j) {
    const double sigma = series.sigma[j];
    if (sigma > 0 && std::isfinite(sigma)) continue;
    if (size > 1 && std::isnan(series.values[j])) continue;  // of a missing value
    return FieldError(size > 1 ? absl::StrCat(field, ".sigma[", j, "]") : field + ".sigma",
                      absl::StrCat(sigma), "a finite number above 0");
  }
  return absl::OkStatus();
}

absl::Status CheckWeight(const Series& series, const std::string& field) {
  if (series.weight >= 0 && std::isfinite(series.weight)) return absl::OkStatus();
  return FieldError(field + ".weight", absl::StrCat(series.weight), "a finite number >= 0");
}

// Series that share what they estimate.
struct Group {
  int64_t first = 0;  // series that opened it
  bool named = false;
  Noise noise = Noise::kGaussian;
  bool sigma = false, scale = false, offset = false;
  int64_t sigma_element = -1, scale_element = -1, offset_element = -1;

  bool estimates() const { return sigma || scale || offset; }
};

class DataBinder {
 public:
  DataBinder(const FitProblem& problem, BoundFit* fit)
      : problem_(problem),
        fit_(*fit),
        outputs_(fit->model->ir().outputs, problem.data.size()),
        states_(fit->model->ir().states, problem.data.size()),
        conditions_(fit->conditions) {}

  absl::Status Run() {
    RETURN_IF_ERROR(CheckCounts());
    for (size_t i = 0; i < problem_.data.size(); ++i) {
      RETURN_IF_ERROR(Bind(static_cast<int64_t>(i), absl::StrCat("data[", i, "]")));
    }
    AddElements();
    for (BoundCondition& condition : fit_.conditions) Finish(&condition);
    return absl::OkStatus();
  }

 private:
  absl::Status CheckCounts() const {
    const std::vector<Series>& data = problem_.data;
    if (data.empty()) return FieldError("data", "none", "at least one series");
    if (static_cast<int64_t>(data.size()) > kMaxSeries) {
      return FieldError("data", absl::StrCat(data.size(), " series"),
                        absl::StrCat("at most ", kMaxSeries));
    }
    int64_t total = 0;
    for (const Series& series : data) total += static_cast<int64_t>(series.times.size());
    if (total <= kMaxMeasurements) return absl::OkStatus();
    return FieldError("data", absl::StrCat(total, " measurements"),
                      absl::StrCat("at most ", kMaxMeasurements));
  }

  absl::Status Bind(int64_t index, const std::string& field) {
    const Series& series = problem_.data[index];
    ASSIGN_OR_RETURN(const int64_t c, conditions_.Find(series.condition, field + ".condition"));
    BoundSeries bound;
    bound.index = index;
    ASSIGN_OR_RETURN(bound.channel, FindChannel(series, outputs_, states_, field));
    RETURN_IF_ERROR(CheckTimes(series, fit_.conditions[c], field));
    RETURN_IF_ERROR(CheckValues(series, field));
    RETURN_IF_ERROR(CheckSigma(series, field));
    RETURN_IF_ERROR(CheckWeight(series, field));
    RETURN_IF_ERROR(JoinGroup(index, c, field));
    bound.noise = series.noise;
    bound.weight = series.weight;
    bound.values = series.values;
    bound.sigma = series.sigma;
    bound.num_present = std::count_if(series.values.begin(), series.values.end(),
                                      [](double y) { return !std::isnan(y); });
    fit_.series_sizes.push_back(static_cast<int64_t>(series.times.size()));
    fit_.conditions[c].series.push_back(std::move(bound));
    return absl::OkStatus();
  }

  absl::Status JoinGroup(int64_t index, int64_t condition, const std::string& field) {
    const Series& series = problem_.data[index];
    if (static_cast<int64_t>(series.group.size()) > kMaxNameBytes) {
      return FieldError(field + ".group", absl::StrCat(series.group.size(), " bytes"),
                        absl::StrCat("at most ", kMaxNameBytes));
    }
    Group group;
    group.first = index;
    group.named = !series.group.empty();
    group.noise = series.noise;
    group.sigma = series.sigma.empty();
    group.scale = series.estimate_scale;
    group.offset = series.estimate_offset;
    if (!group.named && !group.estimates()) {
      group_of_.push_back(-1);
      return absl::OkStatus();
    }
    std::string name = series.group;
    if (!group.named) {
      name = fit_.conditions.size() > 1
                 ? absl::StrCat(series.channel, "@", fit_.conditions[condition].name)
                 : series.channel;
    }
    const auto [at, inserted] = by_name_.emplace(name, static_cast<int64_t>(groups_.size()));
    group_of_.push_back(at->second);
    if (inserted) {
      groups_.push_back(group);
      names_.push_back(std::move(name));
      return absl::OkStatus();
    }
    return CheckSameGroup(group, groups_[at->second], name, field);
  }

  static absl::Status CheckSameGroup(const Group& group, const Group& other,
                                     const std::string& name, const std::string& field) {
    const std::string path = field + ".group";
    if (!group.named || !other.named) {
      return FieldStatus(
          absl::StatusCode::kInvalidArgument, path,
          absl::StrCat(QuoteName(name), " is the group of data[", other.first,
                       "] too; name the groups of both: alike to share what is estimated, "
                       "apart to estimate it for each"));
    }
    if (group.sigma != other.sigma || group.scale != other.scale || group.offset != other.offset) {
      return FieldStatus(absl::StatusCode::kInvalidArgument, path,
                         absl::StrCat("data[", other.first, "] of the same group ", QuoteName(name),
                                      " does not estimate the same of sigma, scale and offset"));
    }
    if (group.sigma && group.noise != other.noise) {
      return FieldStatus(
          absl::StatusCode::kInvalidArgument, path,
          absl::StrCat("data[", other.first, "] of the same group ", QuoteName(name),
                       " has another noise model, so they cannot share an estimated sigma"));
    }
    return absl::OkStatus();
  }

  int64_t AddElement(const char* what, const std::string& group) {
    BoundElement element;
    element.info.name = absl::StrCat(what, "(", group, ")");
    element.info.nuisance = true;
    fit_.elements.push_back(std::move(element));
    return static_cast<int64_t>(fit_.elements.size()) - 1;
  }

  void AddElements() {
    for (size_t g = 0; g < groups_.size(); ++g) {
      if (groups_[g].sigma) groups_[g].sigma_element = AddElement("sigma", names_[g]);
    }
    for (size_t g = 0; g < groups_.size(); ++g) {
      if (groups_[g].scale) groups_[g].scale_element = AddElement("scale", names_[g]);
    }
    for (size_t g = 0; g < groups_.size(); ++g) {
      if (groups_[g].offset) groups_[g].offset_element = AddElement("offset", names_[g]);
    }
  }

  // Times, rows and what is touched.
  void Finish(BoundCondition* condition) {
    const bool backwards = condition->t1 < condition->t0;
    std::vector<double>& times = condition->times;
    for (const BoundSeries& series : condition->series) {
      const std::vector<double>& own = problem_.data[series.index].times;
      times.insert(times.end(), own.begin(), own.end());
    }
    std::sort(times.begin(), times.end());
    times.erase(std::unique(times.begin(), times.end()), times.end());
    for (BoundSeries& series : condition->series) {
      for (const double t : problem_.data[series.index].times) {
        const int64_t row = std::lower_bound(times.begin(), times.end(), t) - times.begin();
        series.rows.push_back(backwards ? static_cast<int64_t>(times.size()) - 1 - row : row);
      }
      if (const int64_t g = group_of_[series.index]; g >= 0) {
        series.sigma_estimate = Touch(groups_[g].sigma_element, condition);
        series.scale_estimate = Touch(groups_[g].scale_element, condition);
        series.offset_estimate = Touch(groups_[g].offset_element, condition);
      }
      condition->num_rows += series.num_rows();
    }
    if (backwards) std::reverse(times.begin(), times.end());
    last_touched_.clear();
  }

  BoundNuisance Touch(int64_t element, BoundCondition* condition) {
    if (element < 0) return {};
    const int64_t next = static_cast<int64_t>(condition->touched.size());
    const auto [at, inserted] = last_touched_.emplace(element, next);
    if (inserted) condition->touched.push_back(element);
    return {element, at->second};
  }

  const FitProblem& problem_;
  BoundFit& fit_;
  const TensorIndex outputs_, states_;
  const ConditionNames conditions_;
  std::vector<Group> groups_;
  std::vector<std::string> names_;  // of groups_
  std::vector<int64_t> group_of_;   // of each series; -1: estimates nothing
  absl::flat_hash_map<std::string, int64_t> by_name_;
  absl::flat_hash_map<int64_t, int64_t> last_touched_;  // of the condition at hand
};

}  // namespace

absl::Status BindData(const FitProblem& problem, BoundFit* fit) {
  return DataBinder(problem, fit).Run();
}

}  // namespace costate::fit

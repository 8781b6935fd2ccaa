#include "engine/fit/bind_free.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/fit/bind_conditions.h"
#include "engine/fit/element_name.h"
#include "engine/fit/prior.h"
#include "engine/near_names.h"
#include "engine/tensor_index.h"

namespace costate::fit {
namespace {

using Kind = TangentColumn::Kind;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A FreeParameter looked up.
struct Found {
  Kind kind = Kind::kParam;
  NamedElements elements;
};

std::string RangeText(double lower, double upper) {
  return absl::StrCat("[", lower, ", ", upper, "]");
}

absl::Status CheckBound(const std::string& field, std::optional<double> bound, const Found& found) {
  if (!bound.has_value()) return absl::OkStatus();
  if (std::isnan(*bound)) return FieldError(field, "NaN", "a number");
  if (found.kind != Kind::kParam) return absl::OkStatus();
  const TensorInfo& tensor = *found.elements.tensor;
  if (*bound >= tensor.lower && *bound <= tensor.upper) return absl::OkStatus();
  if (std::isinf(*bound)) {
    return FieldError(
        field, absl::StrCat(*bound),
        absl::StrCat("a bound within the declared range ", RangeText(tensor.lower, tensor.upper),
                     " of ", QuoteName(tensor.name), ", or none"));
  }
  return FieldError(
      field, absl::StrCat(*bound),
      absl::StrCat("a bound within the declared range ", RangeText(tensor.lower, tensor.upper),
                   " of ", QuoteName(tensor.name)));
}

// Bounds and scale of all elements of a FreeParameter.
absl::StatusOr<Transform> MakeTransform(const Free& free, const Found& found,
                                        const std::string& field) {
  RETURN_IF_ERROR(CheckBound(field + ".lower", free.lower, found));
  RETURN_IF_ERROR(CheckBound(field + ".upper", free.upper, found));
  const bool param = found.kind == Kind::kParam;
  Transform transform;
  transform.scale = free.scale;
  transform.lower = free.lower.value_or(param ? found.elements.tensor->lower : -kInfinity);
  transform.upper = free.upper.value_or(param ? found.elements.tensor->upper : kInfinity);
  if (transform.lower > transform.upper || transform.lower == kInfinity ||
      transform.upper == -kInfinity) {
    return FieldError(free.lower.has_value() ? field + ".lower" : field + ".upper",
                      RangeText(transform.lower, transform.upper),
                      "a lower bound not above the upper one");
  }
  if (free.scale == Scale::kLog || free.scale == Scale::kLog10) {
    if (free.lower.has_value() && !(*free.lower > 0)) {
      return FieldError(field + ".lower", absl::StrCat(*free.lower),
                        "a bound above 0 for a logarithmic scale");
    }
    if (!(transform.upper > 0)) {
      return FieldError(free.upper.has_value() ? field + ".upper" : field + ".scale",
                        RangeText(transform.lower, transform.upper),
                        "an upper bound above 0 for a logarithmic scale");
    }
    transform.lower = std::max(transform.lower, 0.0);
  }
  if (free.scale == Scale::kLogit &&
      !(std::isfinite(transform.lower) && std::isfinite(transform.upper) &&
        transform.lower < transform.upper)) {
    return FieldError(field + ".scale",
                      absl::StrCat("logit over ", RangeText(transform.lower, transform.upper)),
                      "finite bounds that differ");
  }
  return transform;
}

absl::Status CheckStart(double start, const Transform& transform, const std::string& field) {
  const bool open = transform.scale != Scale::kLinear;
  const bool inside =
      std::isfinite(start) && start >= transform.lower && start <= transform.upper &&
      (!open || start > 0 || transform.scale == Scale::kLogit) &&
      (transform.scale != Scale::kLogit || (start > transform.lower && start < transform.upper));
  if (inside) return absl::OkStatus();
  return FieldError(field, absl::StrCat(start),
                    absl::StrCat("a value ", transform.scale == Scale::kLogit ? "inside" : "within",
                                 " the bounds ", RangeText(transform.lower, transform.upper),
                                 transform.lower == 0 && open ? " and above 0" : ""));
}

class FreeBinder {
 public:
  FreeBinder(const FitProblem& problem, BoundFit* fit)
      : problem_(problem),
        fit_(*fit),
        ir_(fit->model->ir()),
        params_(ir_.params, problem.free.size()),
        states_(ir_.states, problem.free.size()),
        conditions_(fit->conditions) {}

  absl::Status Run() {
    if (problem_.free.empty()) return FieldError("free", "none", "at least one parameter");
    for (size_t i = 0; i < problem_.free.size(); ++i) {
      RETURN_IF_ERROR(Bind(problem_.free[i], absl::StrCat("free[", i, "]")));
    }
    for (size_t c = 0; c < fit_.conditions.size(); ++c) RETURN_IF_ERROR(Finish(c));
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<Found> Find(const Free& free, const std::string& field) const {
    const std::string name_field = field + ".name";
    Found found;
    ASSIGN_OR_RETURN(found.elements, FindElements(params_, free.name, name_field));
    if (found.elements.tensor != nullptr) return found;
    found.kind = Kind::kInitialState;
    ASSIGN_OR_RETURN(found.elements, FindElements(states_, free.name, name_field));
    if (found.elements.tensor != nullptr) return found;
    std::vector<std::string_view> known = TensorNames(ir_.params);
    for (const TensorInfo& tensor : ir_.states) known.push_back(tensor.name);
    return FieldStatus(absl::StatusCode::kInvalidArgument, name_field,
                       absl::StrCat("the model has no parameter or state ", QuoteName(free.name),
                                    "; ", SuggestName(free.name, known)));
  }

  absl::Status Bind(const Free& free, const std::string& field) {
    ASSIGN_OR_RETURN(const Found found, Find(free, field));
    RETURN_IF_ERROR(CheckOnce(free, found, field));
    ASSIGN_OR_RETURN(const Transform transform, MakeTransform(free, found, field));
    if (free.prior.has_value()) {
      const absl::Status status = CheckPrior(*free.prior);
      if (!status.ok()) return WithFieldPrefix(field + ".prior", status);
    }
    const int64_t given = static_cast<int64_t>(free.start.size());
    if (given > 1 && given != found.elements.size) {
      return FieldError(field + ".start", absl::StrCat(given, " values"),
                        absl::StrCat("1 or ", found.elements.size, " values"));
    }
    std::vector<bool> own(fit_.conditions.size());
    std::vector<int64_t> apart;
    for (size_t i = 0; i < free.per_condition.size(); ++i) {
      const std::string at = absl::StrCat(field, ".per_condition[", i, "]");
      ASSIGN_OR_RETURN(const int64_t c, conditions_.Find(free.per_condition[i], at));
      if (own[c]) {
        return FieldError(at, absl::StrCat(QuoteName(free.per_condition[i]), " again"),
                          "each condition once");
      }
      own[c] = true;
      apart.push_back(c);
    }
    std::vector<int64_t> shared;
    for (size_t c = 0; c < own.size(); ++c) {
      if (!own[c]) shared.push_back(static_cast<int64_t>(c));
    }
    if (!shared.empty()) RETURN_IF_ERROR(Add(free, found, transform, shared, "", field));
    for (const int64_t c : apart) {
      RETURN_IF_ERROR(
          Add(free, found, transform, {c}, absl::StrCat("@", fit_.conditions[c].name), field));
    }
    return absl::OkStatus();
  }

  absl::Status CheckOnce(const Free& free, const Found& found, const std::string& field) {
    auto& seen = found.kind == Kind::kParam ? seen_params_ : seen_states_;
    for (int64_t j = 0; j < found.elements.size; ++j) {
      if (seen.insert(found.elements.offset + j).second) continue;
      return FieldError(field + ".name", absl::StrCat(QuoteName(free.name), " again"),
                        "each element once");
    }
    return absl::OkStatus();
  }

  // The elements of a FreeParameter for some of the conditions.
  absl::Status Add(const Free& free, const Found& found, const Transform& transform,
                   const std::vector<int64_t>& conditions, const std::string& suffix,
                   const std::string& field) {
    const int64_t total = static_cast<int64_t>(fit_.elements.size()) + found.elements.size;
    if (total > kMaxFreeElements) {
      return FieldError("free", absl::StrCat("at least ", total, " elements"),
                        absl::StrCat("at most ", kMaxFreeElements));
    }
    const std::vector<TensorInfo>& tensors = found.kind == Kind::kParam ? ir_.params : ir_.states;
    for (int64_t j = 0; j < found.elements.size; ++j) {
      const int64_t at = found.elements.offset + j;
      BoundElement element;
      element.transform = transform;
      element.prior = free.prior;
      element.info.name = ElementName(tensors, at) + suffix;
      element.info.scale = transform.scale;
      element.info.lower = transform.lower;
      element.info.upper = transform.upper;
      const BoundCondition& first = fit_.conditions[conditions.front()];
      element.info.start = free.start.empty() ? Simulated(first, found.kind, at)
                                              : free.start[free.start.size() == 1 ? 0 : j];
      const std::string start_field =
          free.start.size() > 1 ? absl::StrCat(field, ".start[", j, "]") : field + ".start";
      RETURN_IF_ERROR(CheckStart(element.info.start, transform, start_field));
      RETURN_IF_ERROR(CheckPriorAtStart(element, start_field));
      const int64_t index = static_cast<int64_t>(fit_.elements.size());
      fit_.elements.push_back(std::move(element));
      for (const int64_t c : conditions) {
        fit_.conditions[c].columns.push_back({{found.kind, at}, index});
      }
    }
    return absl::OkStatus();
  }

  double Simulated(const BoundCondition& condition, Kind kind, int64_t at) const {
    if (kind == Kind::kInitialState) return condition.y0[at];
    for (size_t i = 0; i < condition.params.indices.size(); ++i) {
      if (condition.params.indices[i] == at) return condition.params.values[i];
    }
    return fit_.params[at];
  }

  static absl::Status CheckPriorAtStart(const BoundElement& element, const std::string& field) {
    if (!element.prior.has_value()) return absl::OkStatus();
    const Transform& transform = element.transform;
    const double start = element.info.start;
    const bool scaled = element.prior->scaled;
    const double x = scaled ? transform.ToSearch(start) : start;
    const PriorTerm term =
        EvaluatePrior(*element.prior, x, scaled ? transform.SearchLower() : transform.lower,
                      scaled ? transform.SearchUpper() : transform.upper);
    if (std::isfinite(term.value)) return absl::OkStatus();
    return FieldError(field, absl::StrCat(start), "a value that the prior allows");
  }

  // Orders the columns and refuses values that a condition gives to what is free there.
  absl::Status Finish(int64_t c) {
    BoundCondition& condition = fit_.conditions[c];
    std::sort(condition.columns.begin(), condition.columns.end(),
              [](const BoundColumn& a, const BoundColumn& b) {
                return std::pair(a.target.kind, a.target.index) <
                       std::pair(b.target.kind, b.target.index);
              });
    for (const BoundColumn& column : condition.columns) {
      condition.touched.push_back(column.element);
      if (column.target.kind == Kind::kInitialState) condition.given[column.target.index] = true;
    }
    if (problem_.conditions.empty()) return absl::OkStatus();
    const Condition& own = problem_.conditions[c];
    const std::string field = absl::StrCat("conditions[", c, "]");
    RETURN_IF_ERROR(CheckNotFree(condition, Kind::kParam, own.params, params_, field + ".params"));
    return CheckNotFree(condition, Kind::kInitialState, own.initial_state, states_,
                        field + ".initial_state");
  }

  absl::Status CheckNotFree(const BoundCondition& condition, Kind kind,
                            const std::vector<NamedArray>& arrays, const TensorIndex& tensors,
                            const std::string& field) const {
    for (size_t i = 0; i < arrays.size(); ++i) {
      const TensorInfo* tensor = tensors.Find(arrays[i].name);
      const int64_t size = NumElements(tensor->shape);
      const auto column = std::lower_bound(
          condition.columns.begin(), condition.columns.end(), std::pair(kind, tensor->offset),
          [](const BoundColumn& a, const std::pair<Kind, int64_t>& b) {
            return std::pair(a.target.kind, a.target.index) < b;
          });
      if (column == condition.columns.end() || column->target.kind != kind ||
          column->target.index >= tensor->offset + size) {
        continue;
      }
      return FieldStatus(absl::StatusCode::kInvalidArgument, absl::StrCat(field, "[", i, "]"),
                         absl::StrCat(QuoteName(arrays[i].name), " has a value here, but ",
                                      fit_.elements[column->element].info.name,
                                      " is free; leave one of them out"));
    }
    return absl::OkStatus();
  }

  const FitProblem& problem_;
  BoundFit& fit_;
  const ModelIr& ir_;
  const TensorIndex params_, states_;
  const ConditionNames conditions_;
  absl::flat_hash_set<int64_t> seen_params_, seen_states_;
};

}  // namespace

absl::Status BindFree(const FitProblem& problem, BoundFit* fit) {
  return FreeBinder(problem, fit).Run();
}

}  // namespace costate::fit

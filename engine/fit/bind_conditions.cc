#include "engine/fit/bind_conditions.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/bind.h"
#include "engine/near_names.h"
#include "engine/tensor_index.h"

namespace costate::fit {
namespace {

// The same status about another field.
absl::Status AtField(const absl::Status& status, std::string_view field) {
  const std::optional<std::string> old = FieldOf(status);
  if (!old.has_value()) return status;
  const std::string message(absl::StripPrefix(status.message(), absl::StrCat(*old, ": ")));
  return FieldStatus(status.code(), field, message);
}

// Where the arrays of a merged list came from, as field paths.
struct MergedArrays {
  std::vector<NamedArray> arrays;
  std::vector<std::string> origins;
};

MergedArrays Merge(const std::vector<NamedArray>& base, const std::vector<NamedArray>& own,
                   const std::string& condition, std::string_view list) {
  absl::flat_hash_set<std::string_view> replaced;
  for (const NamedArray& array : own) replaced.insert(array.name);
  MergedArrays merged;
  for (size_t i = 0; i < base.size(); ++i) {
    if (replaced.contains(base[i].name)) continue;
    merged.arrays.push_back(base[i]);
    merged.origins.push_back(absl::StrCat("simulation.", std::string(list), "[", i, "]"));
  }
  for (size_t i = 0; i < own.size(); ++i) {
    merged.arrays.push_back(own[i]);
    merged.origins.push_back(absl::StrCat(condition, ".", std::string(list), "[", i, "]"));
  }
  return merged;
}

// "params[3].name" with origins to "conditions[1].params[0].name"; empty if it is another list.
std::string FromList(std::string_view field, std::string_view list, const MergedArrays& merged) {
  for (size_t i = 0; i < merged.origins.size(); ++i) {
    const std::string prefix = absl::StrCat(std::string(list), "[", i, "]");
    if (absl::StartsWith(std::string(field), prefix)) {
      return absl::StrCat(merged.origins[i], std::string(field.substr(prefix.size())));
    }
  }
  return "";
}

// A condition as a simulation of its own.
class ConditionBinder {
 public:
  ConditionBinder(const FitProblem& problem, int64_t index) : problem_(problem) {
    const Simulation& base = problem.simulation;
    static const Condition& unnamed = *new Condition();
    const bool named = !problem.conditions.empty();
    own_ = named ? &problem.conditions[index] : &unnamed;
    field_ = named ? absl::StrCat("conditions[", index, "]") : "simulation";
    params_ = Merge(base.params, own_->params, field_, "params");
    states_ = Merge(base.initial_state, own_->initial_state, field_, "initial_state");
    simulation_.model = base.model;
    simulation_.options = base.options;
    simulation_.options.save = SaveAt();
    simulation_.method_auto = base.method_auto;
    simulation_.params = params_.arrays;
    simulation_.initial_state = states_.arrays;
    simulation_.t0 = own_->t0.has_value() ? std::vector<double>{*own_->t0} : base.t0;
    simulation_.t1 = own_->t1.has_value() ? std::vector<double>{*own_->t1} : base.t1;
  }

  absl::StatusOr<BoundSimulation> Run(Resolution* resolution) const {
    absl::StatusOr<BoundSimulation> bound = Bind(simulation_, nullptr);
    if (!bound.ok()) return Relabel(bound.status());
    if (bound->batched) {
      return FieldError(BatchField(), absl::StrCat("a batch of ", bound->num_trajectories),
                        "one trajectory without batch axes");
    }
    absl::StatusOr<ResolvedOptions> resolved = ResolveOptions(simulation_, *bound);
    if (!resolved.ok()) return Relabel(resolved.status());
    *resolution = std::move(resolved->resolution);
    return bound;
  }

 private:
  absl::Status Relabel(const absl::Status& status) const {
    const std::optional<std::string> field = FieldOf(status);
    if (!field.has_value()) return status;
    std::string path = FromList(*field, "params", params_);
    if (path.empty()) path = FromList(*field, "initial_state", states_);
    const bool own_time = (absl::StartsWith(*field, "t0") && own_->t0.has_value()) ||
                          (absl::StartsWith(*field, "t1") && own_->t1.has_value());
    if (path.empty()) path = absl::StrCat(own_time ? field_ : "simulation", ".", *field);
    return AtField(status, path);
  }

  std::string BatchField() const {
    const Simulation& base = problem_.simulation;
    const bool of_times = base.t0.size() > 1 || base.t1.size() > 1;
    const bool of_base = of_times || HasBatchAxis(base.params, base.model->ir().params) ||
                         HasBatchAxis(base.initial_state, base.model->ir().states);
    return of_base ? "simulation" : field_;
  }

  static bool HasBatchAxis(const std::vector<NamedArray>& arrays,
                           const std::vector<TensorInfo>& tensors) {
    const TensorIndex index(tensors, arrays.size());
    return std::any_of(arrays.begin(), arrays.end(), [&index](const NamedArray& array) {
      const TensorInfo* tensor = index.Find(array.name);
      return tensor != nullptr && array.shape.size() > tensor->shape.size();
    });
  }

  const FitProblem& problem_;
  const Condition* own_ = nullptr;
  std::string field_;
  MergedArrays params_, states_;
  Simulation simulation_;
};

absl::Status CheckNames(const std::vector<Condition>& conditions) {
  if (static_cast<int64_t>(conditions.size()) > kMaxConditions) {
    return FieldError("conditions", absl::StrCat(conditions.size()),
                      absl::StrCat("at most ", kMaxConditions));
  }
  absl::flat_hash_set<std::string_view> seen;
  for (size_t i = 0; i < conditions.size(); ++i) {
    const std::string& name = conditions[i].name;
    const std::string field = absl::StrCat("conditions[", i, "].name");
    if (name.empty()) return FieldError(field, "none", "a name");
    if (static_cast<int64_t>(name.size()) > kMaxNameBytes) {
      return FieldError(field, absl::StrCat(name.size(), " bytes"),
                        absl::StrCat("at most ", kMaxNameBytes));
    }
    if (!seen.insert(name).second) {
      return FieldError(field, absl::StrCat(QuoteName(name), " again"), "each name once");
    }
  }
  return absl::OkStatus();
}

// Elements of `own` that are not those of `base`, to the bit.
Overrides Differences(const std::vector<double>& base, const std::vector<double>& own) {
  Overrides overrides;
  for (size_t i = 0; i < own.size(); ++i) {
    if (own[i] == base[i] && std::signbit(own[i]) == std::signbit(base[i])) continue;
    overrides.indices.push_back(static_cast<int64_t>(i));
    overrides.values.push_back(own[i]);
  }
  return overrides;
}

BoundCondition FromSimulation(std::string name, BoundSimulation bound, const BoundFit& fit) {
  BoundCondition condition;
  condition.name = std::move(name);
  condition.t0 = bound.t0[0];
  condition.t1 = bound.t1[0];
  condition.params = Differences(fit.params, bound.params);
  condition.y0 = std::move(bound.y0);
  condition.given = std::move(bound.given);
  for (size_t i = 0; i < condition.given.size(); ++i) {
    if (!condition.given[i]) continue;
    condition.initial.indices.push_back(static_cast<int64_t>(i));
    condition.initial.values.push_back(condition.y0[i]);
  }
  return condition;
}

}  // namespace

absl::Status BindConditions(const FitProblem& problem, BoundFit* fit) {
  const Simulation& simulation = problem.simulation;
  if (simulation.model == nullptr) return FieldError("simulation.model", "none", "a model");
  if (simulation.options.wall_budget != absl::InfiniteDuration()) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, "simulation.options.wall_budget",
                       "a fit is bounded by its job, since results must not depend on the clock; "
                       "leave it out");
  }
  RETURN_IF_ERROR(CheckNames(problem.conditions));
  fit->model = simulation.model;
  const size_t count = std::max<size_t>(1, problem.conditions.size());
  fit->conditions.reserve(count);
  for (size_t c = 0; c < count; ++c) {
    Resolution resolution;
    ASSIGN_OR_RETURN(BoundSimulation bound,
                     ConditionBinder(problem, static_cast<int64_t>(c)).Run(&resolution));
    if (c == 0) {
      fit->params = bound.params;
      fit->resolution = std::move(resolution);
    }
    std::string name = problem.conditions.empty() ? "" : problem.conditions[c].name;
    fit->conditions.push_back(FromSimulation(std::move(name), std::move(bound), *fit));
  }
  return absl::OkStatus();
}

ConditionNames::ConditionNames(const std::vector<BoundCondition>& conditions)
    : conditions_(conditions) {
  for (size_t c = 0; c < conditions.size(); ++c) {
    by_name_.emplace(conditions[c].name, static_cast<int64_t>(c));
  }
}

absl::StatusOr<int64_t> ConditionNames::Find(std::string_view name, std::string_view field) const {
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) return found->second;
  if (name.empty() && conditions_.size() == 1) return 0;
  if (name.empty()) {
    return FieldError(field, "none", "the name of a condition, since there are several");
  }
  std::vector<std::string_view> known;
  for (const BoundCondition& condition : conditions_) {
    if (!condition.name.empty()) known.push_back(condition.name);
  }
  return FieldStatus(
      absl::StatusCode::kInvalidArgument, field,
      absl::StrCat("no condition ", QuoteName(name), "; ",
                   known.empty() ? "the problem declares none" : SuggestName(name, known)));
}

std::vector<std::pair<int64_t, int64_t>> ParamsOfInit(const ModelIr& ir) {
  constexpr int kInitParamBuffer = 1;  // {t, p} -> {y}
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const Instruction& instruction : ir.init.instructions) {
    if (instruction.op != Op::kInput || instruction.attributes[0] != kInitParamBuffer) continue;
    const int64_t first = instruction.attributes[1];
    ranges.emplace_back(first, first + NumElements(instruction.shape));
  }
  return ranges;
}

}  // namespace costate::fit

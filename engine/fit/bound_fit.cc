#include "engine/fit/bound_fit.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/fit/bind_conditions.h"
#include "engine/fit/bind_data.h"
#include "engine/fit/bind_free.h"
#include "engine/gradient_options.h"

namespace costate::fit {
namespace {

using Kind = TangentColumn::Kind;

std::vector<TangentColumn> TargetsOf(const BoundCondition& condition) {
  std::vector<TangentColumn> targets;
  targets.reserve(condition.columns.size());
  for (const BoundColumn& column : condition.columns) targets.push_back(column.target);
  return targets;
}

// Neighbouring elements of one kind as one entry.
std::vector<WrtEntry> EntriesOf(const std::vector<TangentColumn>& targets) {
  std::vector<WrtEntry> entries;
  for (const TangentColumn& target : targets) {
    const WrtEntry::Kind kind =
        target.kind == Kind::kParam ? WrtEntry::Kind::kParam : WrtEntry::Kind::kInitialState;
    if (!entries.empty() && entries.back().kind == kind &&
        entries.back().offset + entries.back().size == target.index) {
      ++entries.back().size;
      continue;
    }
    WrtEntry entry;
    entry.kind = kind;
    entry.offset = target.index;
    entries.push_back(std::move(entry));
  }
  return entries;
}

bool ReadsAny(const std::vector<std::pair<int64_t, int64_t>>& ranges,
              const std::vector<TangentColumn>& targets) {
  for (const TangentColumn& target : targets) {
    if (target.kind != Kind::kParam) continue;
    for (const auto& [first, last] : ranges) {
      if (target.index >= first && target.index < last) return true;
    }
  }
  return false;
}

// What two conditions must share to run in lanes, as bytes.
std::string KeyOf(const BoundCondition& condition) {
  std::string key;
  const auto append = [&key](const void* data, size_t bytes) {
    key.append(static_cast<const char*>(data), bytes);
  };
  const int64_t columns = static_cast<int64_t>(condition.columns.size());
  append(&columns, sizeof columns);
  for (const BoundColumn& column : condition.columns) {
    const int64_t kind = static_cast<int64_t>(column.target.kind);
    append(&kind, sizeof kind);
    append(&column.target.index, sizeof column.target.index);
  }
  for (const bool given : condition.given) key.push_back(given ? 1 : 0);
  append(condition.times.data(), condition.times.size() * sizeof(double));
  return key;
}

bool LooksAtOutputs(const BoundCondition& condition) {
  return std::any_of(condition.series.begin(), condition.series.end(),
                     [](const BoundSeries& s) { return s.channel.kind == Channel::Kind::kOutput; });
}

Bundle MakeBundle(const BoundFit& fit, const FitProblem& problem,
                  const std::vector<std::pair<int64_t, int64_t>>& init_params,
                  const BoundCondition& condition) {
  Bundle bundle;
  bundle.targets = TargetsOf(condition);
  bundle.wrt = EntriesOf(bundle.targets);
  bundle.init_depends = ReadsAny(init_params, bundle.targets);
  bundle.options = problem.simulation.options;
  bundle.options.method = fit.resolution.options.method;
  bundle.options.return_grid = false;
  bundle.options.save = SaveAt();
  bundle.options.save.times = condition.times;
  bundle.options.save.kind = condition.times.empty() ? SaveAt::Kind::kEnd : SaveAt::Kind::kTimes;
  bundle.tangent_options =
      WithTangentControl(bundle.options, static_cast<int64_t>(bundle.targets.size()));
  bundle.field = std::make_unique<TangentField>(fit.model->rhs(), bundle.targets);
  return bundle;
}

void MakeBundles(const FitProblem& problem, BoundFit* fit) {
  const std::vector<std::pair<int64_t, int64_t>> init_params = ParamsOfInit(fit->model->ir());
  absl::flat_hash_map<std::string, int64_t> by_key;
  for (BoundCondition& condition : fit->conditions) {
    const auto [at, inserted] =
        by_key.emplace(KeyOf(condition), static_cast<int64_t>(fit->bundles.size()));
    condition.bundle = at->second;
    if (inserted) fit->bundles.push_back(MakeBundle(*fit, problem, init_params, condition));
    Bundle& bundle = fit->bundles[condition.bundle];
    bundle.needs_outputs = bundle.needs_outputs || LooksAtOutputs(condition);
  }
}

// A fit has no use for what gradients say beside themselves, nor for methods that exist to check
// others.
absl::Status CheckGradient(const GradientOptions& gradient) {
  if (gradient.want_times) {
    return FieldError("options.gradient.want_times", "true",
                      "none: the times of the data are not free");
  }
  if (gradient.method == GradientMethod::kAuto) return absl::OkStatus();
  if (GetGradientMethodInfo(gradient.method).family == GradientFamily::kDifference) {
    return FieldError("options.gradient.method", GetGradientMethodInfo(gradient.method).name,
                      "a method that is not for checks, such as backprop or forward");
  }
  return absl::OkStatus();
}

absl::Status ChooseMethod(const GradientOptions& gradient, BoundFit* fit) {
  RETURN_IF_ERROR(CheckGradient(gradient));
  fit->gradient = gradient;
  fit->method = gradient.method;
  fit->method_auto = gradient.method == GradientMethod::kAuto;
  if (fit->method_auto) {
    const BoundCondition& first = fit->conditions.front();
    int64_t columns = 0;
    for (const BoundCondition& condition : fit->conditions) {
      columns = std::max(columns, static_cast<int64_t>(condition.columns.size()));
    }
    BoundSimulation bound;
    bound.model = fit->model.get();
    bound.t0 = {first.t0};
    bound.t1 = {first.t1};
    bound.params = fit->params;
    for (size_t i = 0; i < first.params.indices.size(); ++i) {
      bound.params[first.params.indices[i]] = first.params.values[i];
    }
    bound.y0 = first.y0;
    bound.given = first.given;
    std::string reason;
    fit->method =
        ChooseGradientMethod(gradient, bound, fit->bundles[first.bundle].options, columns, &reason);
  }
  const absl::Status status =
      CheckGradientOptions(gradient, fit->method, fit->bundles.front().options.scheme());
  return status.ok() ? status : WithFieldPrefix("options", status);
}

}  // namespace

absl::StatusOr<BoundFit> BindFit(const FitProblem& problem, const GradientOptions& gradient) {
  BoundFit fit;
  RETURN_IF_ERROR(BindConditions(problem, &fit));
  RETURN_IF_ERROR(BindFree(problem, &fit));
  RETURN_IF_ERROR(BindData(problem, &fit));
  MakeBundles(problem, &fit);
  RETURN_IF_ERROR(ChooseMethod(gradient, &fit));
  return fit;
}

}  // namespace costate::fit

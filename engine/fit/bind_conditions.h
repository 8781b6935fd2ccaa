// Conditions of a fit: spans, parameters and initial values.
#ifndef COSTATE_ENGINE_FIT_BIND_CONDITIONS_H_
#define COSTATE_ENGINE_FIT_BIND_CONDITIONS_H_

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/fit/bound_fit.h"
#include "engine/fit/problem.h"

namespace costate::fit {

// Fills model, params, resolution and the conditions' own parts: names, spans, overrides, initial
// values. Field paths: simulation..., conditions[i]....
absl::Status BindConditions(const FitProblem& problem, BoundFit* fit);

// The condition called `name`: empty for the only one. INVALID_ARGUMENT at `field`.
class ConditionNames {
 public:
  explicit ConditionNames(const std::vector<BoundCondition>& conditions);
  absl::StatusOr<int64_t> Find(std::string_view name, std::string_view field) const;

 private:
  const std::vector<BoundCondition>& conditions_;
  absl::flat_hash_map<std::string_view, int64_t> by_name_;
};

// Ranges [first, last) of parameters that the initial map reads.
std::vector<std::pair<int64_t, int64_t>> ParamsOfInit(const ModelIr& ir);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_BIND_CONDITIONS_H_

#include "engine/solved_pass.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

// Once, against what all spans have in common: spans times save times may be very many.
absl::Status ValidateLossForAll(const Loss& loss, const BoundSimulation& bound) {
  const Model& model = *bound.model;
  double first = -std::numeric_limits<double>::infinity();
  double last = std::numeric_limits<double>::infinity();
  const bool one_span = bound.t0.size() == 1 && bound.t1.size() == 1;
  for (int64_t b = 0; b < (one_span ? 1 : bound.num_trajectories); ++b) {
    const double t0 = bound.t0[bound.t0.size() == 1 ? 0 : b];
    const double t1 = bound.t1[bound.t1.size() == 1 ? 0 : b];
    first = std::max(first, std::min(t0, t1));
    last = std::min(last, std::max(t0, t1));
  }
  if (first > last && !LossTimes(loss, false).empty()) {
    return FieldError("loss", "save times",
                      absl::StrCat("none, as no time lies within the spans of all trajectories: "
                                   "one starts at ",
                                   first, ", one ends at ", last));
  }
  return ValidateLoss(loss, first, last, model.rhs().num_states(), model.outputs().num_values());
}

absl::Status ValidateCotangents(const std::vector<Loss>& cotangents, const BoundSimulation& bound) {
  const Model& model = *bound.model;
  const Problem problem = bound.one(0);
  if (cotangents.empty()) return FieldError("cotangents", "none", "at least one");
  for (size_t v = 0; v < cotangents.size(); ++v) {
    const std::string path = absl::StrCat("cotangents[", v, "]");
    const absl::Status status =
        ValidateLoss(cotangents[v], problem.t0[0], problem.t1[0], model.rhs().num_states(),
                     model.outputs().num_values(), path);
    RETURN_IF_ERROR(status);
    for (size_t i = 0; i < cotangents[v].terms.size(); ++i) {
      const auto& term = cotangents[v].terms[i];
      if (std::holds_alternative<Linear>(term) || std::holds_alternative<Terminal>(term)) continue;
      return FieldError(absl::StrCat(path, ".terms[", i, "]"), "a term of another kind",
                        "a linear or terminal term");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckGradientRoom(int64_t rows, std::string_view what, int64_t columns) {
  const double bytes = 8.0 * static_cast<double>(rows) * static_cast<double>(columns);
  if (bytes <= static_cast<double>(limits::kMaxSavedBytes)) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "gradients of ", rows, " ", std::string(what), " in ", columns, " columns pass the limit of ",
      limits::kMaxSavedBytes, " bytes; ask for fewer of either at once"));
}

absl::StatusOr<GradientResult::PerTrajectory> DifferentiateSolved(const Loss& loss,
                                                                  const PassInput& input,
                                                                  GradientPass* pass,
                                                                  LossValue* value) {
  GradientResult::PerTrajectory result;
  result.loss = kNaN;
  result.gradient.assign(NumColumns(*input.wrt), kNaN);
  const PassPrimal& primal = pass->primal();
  value->value = kNaN;
  if (primal.reached()) {
    *value = EvaluateLoss(loss, primal.values, input.bound->one(input.trajectory).params);
    if (!std::isnan(value->value)) {
      PassGradients gradients;
      RETURN_IF_ERROR(pass->Differentiate(loss, *value, &gradients));
      result.gradient = std::move(gradients.values);
      result.times = std::move(gradients.times);
    }
    if (primal.reached()) result.loss = value->value;  // not when the gradient was cut short
  }
  result.termination = primal.termination;
  result.stats = primal.stats;
  return result;
}

absl::Status PullBackSolved(const std::vector<Loss>& cotangents, const PassInput& input,
                            GradientPass* pass, VjpResult* result) {
  const int64_t columns = NumColumns(result->wrt);
  const size_t count = cotangents.size();
  result->gradients.assign(count * columns, kNaN);
  result->values.assign(count, kNaN);
  const PassPrimal& primal = pass->primal();
  if (!primal.reached()) return absl::OkStatus();
  std::vector<Cotangents> of_saved;
  std::vector<double> values;
  for (const Loss& loss : cotangents) {
    LossValue value = EvaluateLoss(loss, primal.values, input.bound->one(input.trajectory).params);
    of_saved.push_back(std::move(value.cotangents));
    values.push_back(value.value);
  }
  PassGradients gradients;
  RETURN_IF_ERROR(pass->PullBack(of_saved, &gradients));
  if (primal.reached()) {
    result->gradients = std::move(gradients.values);
    result->values = std::move(values);
  }
  for (size_t v = 0; v < count; ++v) {
    if (!std::isnan(result->values[v])) continue;
    std::fill_n(result->gradients.begin() + v * columns, columns, kNaN);
  }
  return absl::OkStatus();
}

}  // namespace costate

#include "engine/gradients/step_interpolant.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/status_macros.h"

namespace costate {

absl::StatusOr<StepInterpolant> StepInterpolant::Create(Method method, const VectorField& field,
                                                        absl::Span<const double> params) {
  std::unique_ptr<Stepper> stepper;
  if (GetMethodInfo(method).extra_stages > 0) {
    ASSIGN_OR_RETURN(stepper, MakeStepper(method, field, 1));
  }
  return StepInterpolant(method, field.num_states(), params, std::move(stepper));
}

StepInterpolant::StepInterpolant(Method method, int64_t num_states, absl::Span<const double> params,
                                 std::unique_ptr<Stepper> stepper)
    : table_(rk::GetTableau(method)),
      n_(num_states),
      params_(params),
      stepper_(std::move(stepper)),
      weights_(GetMethodInfo(method).stages) {}

void StepInterpolant::Load(const StepRecord& step, const double* y_new) {
  step_ = step;
  y_new_ = y_new;
  if (stepper_ == nullptr) return;
  stepper_->Reset(0, step.t, step.y, params_.data(), step.stages);
  stepper_->Step(&step.t_next);
}

void StepInterpolant::Evaluate(double t, double* y) {
  const double theta = t == step_.t_next ? 1.0 : std::clamp((t - step_.t) / step_.h, 0.0, 1.0);
  if (stepper_ != nullptr) return stepper_->Interpolate(0, theta, y);
  if (theta == 1) {
    std::copy_n(y_new_, n_, y);
    return;
  }
  for (size_t i = 0; i < weights_.size(); ++i) {
    const double* row = table_.dense.data() + i * table_.dense_degree;
    double sum = 0;
    for (int d = table_.dense_degree - 1; d >= 0; --d) sum = std::fma(sum, theta, row[d]);
    weights_[i] = step_.h * sum * theta;
  }
  for (int64_t e = 0; e < n_; ++e) {
    double sum = step_.y[e];
    for (size_t i = 0; i < weights_.size(); ++i) {
      sum = std::fma(weights_[i], step_.stages[i * n_ + e], sum);
    }
    y[e] = sum;
  }
}

}  // namespace costate

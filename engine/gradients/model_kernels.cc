#include "engine/gradients/model_kernels.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"

namespace costate {

absl::StatusOr<ModelKernels> ModelKernels::Create(const VectorField& field,
                                                  absl::Span<const double> params) {
  ASSIGN_OR_RETURN(Kernel value, field.Get(MapKernel::kValue, 1));
  ASSIGN_OR_RETURN(Kernel vjp, field.Get(MapKernel::kVjp, 1));
  return ModelKernels(field, params, std::move(value), std::move(vjp));
}

ModelKernels::ModelKernels(const VectorField& field, absl::Span<const double> params, Kernel value,
                           Kernel vjp)
    : n_(field.num_states()),
      m_(field.num_params()),
      params_(params),
      value_(std::move(value)),
      vjp_(std::move(vjp)),
      scratch_(std::max(value_.scratch_size(), vjp_.scratch_size())) {}

void ModelKernels::Value(double t, const double* y, double* f) {
  const double* in[] = {&t, y, params_.data()};
  double* out[] = {f};
  value_(in, out, scratch_.data());
  ++rhs_evaluations_;
}

void ModelKernels::Vjp(double t, const double* y, const double* c, double* c_y, double* c_p) {
  double c_t;
  const double* in[] = {&t, y, params_.data(), c};
  double* out[] = {&c_t, c_y, c_p};
  vjp_(in, out, scratch_.data());
  ++vjp_evaluations_;
}

}  // namespace costate

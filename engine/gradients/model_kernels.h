// The right-hand side of a model and its transposed derivatives, one point at a time.
#ifndef COSTATE_ENGINE_GRADIENTS_MODEL_KERNELS_H_
#define COSTATE_ENGINE_GRADIENTS_MODEL_KERNELS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/kernel.h"
#include "engine/solvers/vector_field.h"

namespace costate {

// Thread-safety: one thread.
class ModelKernels {
 public:
  // `params` [m] outlive the object.
  static absl::StatusOr<ModelKernels> Create(const VectorField& field,
                                             absl::Span<const double> params);

  // f(t, y, p), [n].
  void Value(double t, const double* y, double* f);

  // c_y = f_y^T c [n] and c_p = f_p^T c [m]. Neither overlaps c or y.
  void Vjp(double t, const double* y, const double* c, double* c_y, double* c_p);

  int64_t num_states() const { return n_; }
  int64_t num_params() const { return m_; }
  int64_t rhs_evaluations() const { return rhs_evaluations_; }
  int64_t vjp_evaluations() const { return vjp_evaluations_; }

 private:
  ModelKernels(const VectorField& field, absl::Span<const double> params, Kernel value, Kernel vjp);

  int64_t n_, m_;
  absl::Span<const double> params_;
  Kernel value_, vjp_;
  std::vector<double> scratch_;
  int64_t rhs_evaluations_ = 0;
  int64_t vjp_evaluations_ = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_MODEL_KERNELS_H_

// The adjoint equations as a right-hand side of their own, so that every method, the driver and
// its error control solve them like any other problem:
//   y' = f(t, y, p)                solved along, or looked up in the forward solve
//   lambda' = -f_y(t, y, p)^T lambda
//   mu' = -f_p(t, y, p)^T lambda   the parameter integral; or left to be integrated elsewhere
#ifndef COSTATE_ENGINE_GRADIENTS_ADJOINT_FIELD_H_
#define COSTATE_ENGINE_GRADIENTS_ADJOINT_FIELD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/kernel.h"
#include "engine/gradients/dense_states.h"
#include "engine/gradients/model_kernels.h"
#include "engine/solvers/vector_field.h"

namespace costate {

// State: [y,] lambda [, mu]. Parameters: those of the model. Values only, one lane.
// Thread-safety: one thread; its kernels refer to it.
class AdjointField : public DifferentiableMap {
 public:
  enum class Parts { kLambda, kLambdaMu, kStateLambdaMu };

  // All outlive the field. `states` gives y(t) where y is not a part; else it is null.
  AdjointField(Parts parts, const VectorField& model, ModelKernels* kernels, DenseStates* states);

  int64_t num_states() const override { return n_ * (has_state_ ? 2 : 1) + (has_mu_ ? m_ : 0); }
  int64_t num_params() const override { return m_; }
  int64_t num_values() const override { return num_states(); }
  int simd_lanes() const override { return 1; }
  absl::StatusOr<Kernel> Get(MapKernel kind, int lanes) const override;
  std::string StateName(int64_t state) const override;

  int64_t lambda_offset() const { return has_state_ ? n_ : 0; }
  int64_t mu_offset() const { return lambda_offset() + n_; }

 private:
  // What the kernel writes to besides its output.
  struct Work {
    const bool has_state, has_mu;
    ModelKernels* const kernels;
    DenseStates* const states;
    std::vector<double> y;    // [n], looked up
    std::vector<double> c_p;  // [m], unused
  };
  static void Evaluate(const void* context, const double* const* in, double* const* out,
                       double* scratch);

  const bool has_state_, has_mu_;
  const VectorField& model_;
  const int64_t n_, m_;
  mutable Work work_;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_ADJOINT_FIELD_H_

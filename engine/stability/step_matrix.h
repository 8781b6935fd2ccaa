// The matrix of stability_function.h measured on the solver itself: the route for any scheme,
// closed form or not.
#ifndef COSTATE_ENGINE_STABILITY_STEP_MATRIX_H_
#define COSTATE_ENGINE_STABILITY_STEP_MATRIX_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/solvers/stepper.h"
#include "engine/stability/stability_function.h"

namespace costate::stability {

// y' = z y for a complex y, as two real states (real, imaginary); the parameters are z.
class LinearTestField : public VectorField {
 public:
  int64_t num_states() const override { return 2; }
  int64_t num_params() const override { return 2; }
  int64_t num_values() const override { return 2; }
  int simd_lanes() const override { return 1; }
  absl::StatusOr<Kernel> Get(MapKernel kind, int lanes) const override;  // kValue only
};

// Thread-safety: one thread.
class StepMatrixProbe {
 public:
  static absl::StatusOr<std::unique_ptr<StepMatrixProbe>> Create(const Scheme& scheme);

  // One step of size 1 from each unit vector of what is carried. By linearity that is the whole
  // matrix; with h = 1 its entries are those of StabilityFunction::Matrix.
  StepMatrix Measure(Complex z);

  // One step from `carried` [carried], in place.
  void Step(Complex z, Complex* carried);

  int carried() const { return carried_; }

 private:
  explicit StepMatrixProbe(int carried) : carried_(carried) {}

  const int carried_;
  const LinearTestField field_;
  std::unique_ptr<Stepper> stepper_;
};

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_STEP_MATRIX_H_

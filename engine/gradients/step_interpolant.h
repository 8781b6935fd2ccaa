// Dense output inside a step in hand.
#ifndef COSTATE_ENGINE_GRADIENTS_STEP_INTERPOLANT_H_
#define COSTATE_ENGINE_GRADIENTS_STEP_INTERPOLANT_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/solvers/rk/erk.h"
#include "engine/solvers/stepper.h"

namespace costate {

// From the stages of the step where these are all the method's dense output needs; else the step
// is taken again. Thread-safety: one thread.
class StepInterpolant {
 public:
  // `field` and `params` outlive the object.
  static absl::StatusOr<StepInterpolant> Create(Method method, const VectorField& field,
                                                absl::Span<const double> params);

  // The step ends at y_new; the arrays are used until the next Load.
  void Load(const StepRecord& step, const double* y_new);

  // [n], for t in the step.
  void Evaluate(double t, double* y);

 private:
  StepInterpolant(Method method, int64_t num_states, absl::Span<const double> params,
                  std::unique_ptr<Stepper> stepper);

  const rk::TableauView table_;
  const int64_t n_;
  const absl::Span<const double> params_;
  std::unique_ptr<Stepper> stepper_;  // null: not needed
  StepRecord step_;
  const double* y_new_ = nullptr;
  std::vector<double> weights_;  // [stages]
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_STEP_INTERPOLANT_H_

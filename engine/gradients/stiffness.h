// How many steps of a solve were near the limit of the method's stability.
#ifndef COSTATE_ENGINE_GRADIENTS_STIFFNESS_H_
#define COSTATE_ENGINE_GRADIENTS_STIFFNESS_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradients/spectral_radius.h"
#include "engine/solvers/integrate.h"
#include "engine/solvers/problem.h"

namespace costate {

// Looks at the spectral radius of df/dy once a step; the steps and bits of the solve stay.
// Thread-safety: one thread.
class StiffnessCompanion : public StepCompanion {
 public:
  // `problem` outlives the companion; B is 1. `near` is a share of the method's stability limit.
  static absl::StatusOr<std::unique_ptr<StiffnessCompanion>> Create(const Problem& problem,
                                                                    Method method, double near);

  double TrialError(const StepRecord& step, const double* y_new) override;
  absl::Status Accept(const StepRecord& step, const double* y_new,
                      absl::Span<const double> saved_theta) override;

  // Share of accepted steps with h |lambda| > near * limit. NaN without steps or limit.
  double share() const;
  int64_t jvp_evaluations() const { return radius_->jvp_evaluations(); }

 private:
  StiffnessCompanion(double bound, std::unique_ptr<SpectralRadius> radius)
      : bound_(bound), radius_(std::move(radius)) {}

  const double bound_;  // on h |lambda|
  const std::unique_ptr<SpectralRadius> radius_;
  int64_t steps_ = 0;
  int64_t near_ = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_STIFFNESS_H_

#include "engine/gradients/stiffness.h"

#include <cmath>
#include <limits>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/stability.h"

namespace costate {

absl::StatusOr<std::unique_ptr<StiffnessCompanion>> StiffnessCompanion::Create(
    const Problem& problem, Method method, double near) {
  ASSIGN_OR_RETURN(std::unique_ptr<SpectralRadius> radius, SpectralRadius::Create(problem));
  return std::unique_ptr<StiffnessCompanion>(
      new StiffnessCompanion(near * RealStabilityLimit(method), std::move(radius)));
}

double StiffnessCompanion::TrialError(const StepRecord& /*step*/, const double* /*y_new*/) {
  return 0;
}

absl::Status StiffnessCompanion::Accept(const StepRecord& step, const double* /*y_new*/,
                                        absl::Span<const double> /*saved_theta*/) {
  const double radius = radius_->Estimate(step.t, step.y);
  ++steps_;
  if (std::fabs(step.h) * radius > bound_) ++near_;
  return absl::OkStatus();
}

double StiffnessCompanion::share() const {
  if (steps_ == 0 || std::isnan(bound_)) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(near_) / static_cast<double>(steps_);
}

}  // namespace costate

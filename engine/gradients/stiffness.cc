#include "engine/gradients/stiffness.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/random_signs.h"
#include "engine/gradients/stability.h"

namespace costate {
namespace {

constexpr uint64_t kSeed = 0x5717f;
constexpr int kWarmUp = 4;  // products before the first estimate

}  // namespace

absl::StatusOr<std::unique_ptr<StiffnessCompanion>> StiffnessCompanion::Create(
    const Problem& problem, Method method, double near) {
  const VectorField& field = *problem.field;
  ASSIGN_OR_RETURN(Kernel kernel, field.Get(MapKernel::kTangentBlock, field.simd_lanes()));
  return std::unique_ptr<StiffnessCompanion>(
      new StiffnessCompanion(problem, near * RealStabilityLimit(method), std::move(kernel)));
}

StiffnessCompanion::StiffnessCompanion(const Problem& problem, double bound, Kernel kernel)
    : problem_(problem),
      bound_(bound),
      kernel_(std::move(kernel)),
      lanes_(kernel_.lanes()),
      n_(problem.field->num_states()),
      direction_(n_ * lanes_),
      product_(n_ * lanes_),
      zero_(std::max<int64_t>(1, problem.field->num_params()) * lanes_),
      scratch_(kernel_.scratch_size()),
      random_(kSeed) {
  for (int lane = 0; lane < lanes_; ++lane) Scatter(lane);
}

void StiffnessCompanion::Scatter(int lane) {
  RandomBits bits(random_++);
  for (int64_t i = 0; i < n_; ++i) {
    direction_[i * lanes_ + lane] = bits.Sign() / std::sqrt(static_cast<double>(n_));
  }
}

// |J v| / |v|, the geometric mean over lanes; directions become J v / |J v|.
double StiffnessCompanion::Iterate(const StepRecord& step) {
  const double* inputs[] = {&step.t,           step.y,      problem_.params.data(), zero_.data(),
                            direction_.data(), zero_.data()};
  double* outputs[] = {product_.data()};
  kernel_(inputs, outputs, scratch_.data());
  ++evaluations_;
  double log_sum = 0;
  int counted = 0;
  for (int lane = 0; lane < lanes_; ++lane) {
    double square = 0;
    for (int64_t i = 0; i < n_; ++i) {
      square += product_[i * lanes_ + lane] * product_[i * lanes_ + lane];
    }
    const double size = std::sqrt(square);
    if (!(size > std::numeric_limits<double>::min()) || !std::isfinite(size)) {
      Scatter(lane);
      continue;
    }
    for (int64_t i = 0; i < n_; ++i) {
      direction_[i * lanes_ + lane] = product_[i * lanes_ + lane] / size;
    }
    log_sum += std::log(size);
    ++counted;
  }
  return counted == 0 ? 0.0 : std::exp(log_sum / counted);
}

double StiffnessCompanion::TrialError(const StepRecord& /*step*/, const double* /*y_new*/) {
  return 0;
}

absl::Status StiffnessCompanion::Accept(const StepRecord& step, const double* /*y_new*/,
                                        absl::Span<const double> /*saved_theta*/) {
  for (int i = 0; steps_ == 0 && i < kWarmUp; ++i) Iterate(step);
  const double radius = Iterate(step);
  ++steps_;
  if (std::fabs(step.h) * radius > bound_) ++near_;
  return absl::OkStatus();
}

double StiffnessCompanion::share() const {
  if (steps_ == 0 || std::isnan(bound_)) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(near_) / static_cast<double>(steps_);
}

}  // namespace costate

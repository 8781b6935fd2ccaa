#include "engine/gradients/spectral_radius.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/random_signs.h"

namespace costate {
namespace {

constexpr uint64_t kSeed = 0x5717f;
constexpr int kWarmUp = 4;  // products before the first estimate

}  // namespace

absl::StatusOr<std::unique_ptr<SpectralRadius>> SpectralRadius::Create(const Problem& problem) {
  const VectorField& field = *problem.field;
  ASSIGN_OR_RETURN(Kernel kernel, field.Get(MapKernel::kTangentBlock, field.simd_lanes()));
  return std::unique_ptr<SpectralRadius>(new SpectralRadius(problem, std::move(kernel)));
}

SpectralRadius::SpectralRadius(const Problem& problem, Kernel kernel)
    : problem_(problem),
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

void SpectralRadius::Scatter(int lane) {
  RandomBits bits(random_++);
  for (int64_t i = 0; i < n_; ++i) {
    direction_[i * lanes_ + lane] = bits.Sign() / std::sqrt(static_cast<double>(n_));
  }
}

double SpectralRadius::Estimate(double t, const double* y) {
  for (int i = 0; evaluations_ < kWarmUp && i < kWarmUp; ++i) Iterate(t, y);
  return Iterate(t, y);
}

// |J v| / |v|, the geometric mean over lanes; directions become J v / |J v|.
double SpectralRadius::Iterate(double t, const double* y) {
  const double* inputs[] = {&t,          y, problem_.params.data(), zero_.data(), direction_.data(),
                            zero_.data()};
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

}  // namespace costate

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

absl::StatusOr<std::unique_ptr<SpectralRadius>> SpectralRadius::Create(
    const Problem& problem, std::shared_ptr<Workspace>* shared) {
  std::shared_ptr<Workspace> workspace = shared == nullptr ? nullptr : *shared;
  if (workspace == nullptr) {
    const VectorField& field = *problem.field;
    workspace = std::make_shared<Workspace>();
    ASSIGN_OR_RETURN(workspace->kernel, field.Get(MapKernel::kTangentBlock, field.simd_lanes()));
    const int lanes = workspace->kernel.lanes();
    workspace->product.resize(field.num_states() * lanes);
    workspace->zero.resize(std::max<int64_t>(1, field.num_params()) * lanes);
    workspace->scratch.resize(workspace->kernel.scratch_size());
    if (shared != nullptr) *shared = workspace;
  }
  return std::unique_ptr<SpectralRadius>(new SpectralRadius(problem, std::move(workspace)));
}

SpectralRadius::SpectralRadius(const Problem& problem, std::shared_ptr<Workspace> workspace)
    : problem_(problem),
      workspace_(std::move(workspace)),
      lanes_(workspace_->kernel.lanes()),
      n_(problem.field->num_states()),
      direction_(n_ * lanes_),
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
  const double* zero = workspace_->zero.data();
  double* product = workspace_->product.data();
  const double* inputs[] = {&t, y, problem_.params.data(), zero, direction_.data(), zero};
  double* outputs[] = {product};
  workspace_->kernel(inputs, outputs, workspace_->scratch.data());
  ++evaluations_;
  double log_sum = 0;
  int counted = 0;
  for (int lane = 0; lane < lanes_; ++lane) {
    double square = 0;
    for (int64_t i = 0; i < n_; ++i) {
      square += product[i * lanes_ + lane] * product[i * lanes_ + lane];
    }
    const double size = std::sqrt(square);
    if (!(size > std::numeric_limits<double>::min()) || !std::isfinite(size)) {
      Scatter(lane);
      continue;
    }
    for (int64_t i = 0; i < n_; ++i) {
      direction_[i * lanes_ + lane] = product[i * lanes_ + lane] / size;
    }
    log_sum += std::log(size);
    ++counted;
  }
  return counted == 0 ? 0.0 : std::exp(log_sum / counted);
}

}  // namespace costate

#include "engine/gradients/growth.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/random_signs.h"
#include "engine/solvers/stepper.h"

namespace costate {
namespace {

constexpr uint64_t kSeed = 0x9207;
constexpr int kPowerSteps = 200;

using Vector = std::vector<double>;

double Dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Scaled against overflow: the map may have entries of any size.
double Norm(const Vector& a) {
  double largest = 0;
  for (const double x : a) largest = std::fmax(largest, std::fabs(x));
  if (largest == 0 || !std::isfinite(largest)) return largest;
  double sum = 0;
  for (const double x : a) sum += (x / largest) * (x / largest);
  return largest * std::sqrt(sum);
}

// Makes `a` orthogonal to unit vectors, twice for rounding, and of norm one; returns the norm it
// had, 0 if nothing was left.
double Orthonormalise(const std::vector<Vector>& basis, Vector* a) {
  const double before = Norm(*a);
  for (int pass = 0; pass < 2; ++pass) {
    for (const Vector& unit : basis) {
      const double along = Dot(unit, *a);
      for (size_t i = 0; i < a->size(); ++i) (*a)[i] -= along * unit[i];
    }
  }
  const double norm = Norm(*a);
  if (!(norm > 1e-14 * before)) return 0;
  for (double& x : *a) x /= norm;
  return norm;
}

// Largest singular value of a matrix [rows, columns], by power iteration on its Gram matrix.
double LargestOfDense(const Vector& matrix, int64_t rows, int64_t columns) {
  double scale = 0;
  for (const double x : matrix) {
    if (!std::isfinite(x)) return std::numeric_limits<double>::infinity();
    scale = std::fmax(scale, std::fabs(x));
  }
  if (scale == 0) return 0;
  RandomBits bits(kSeed);
  Vector x(columns), image(rows);
  for (double& e : x) e = bits.Uniform();
  double sigma = 0;
  for (int step = 0; step < kPowerSteps; ++step) {
    const double size = Norm(x);
    for (double& e : x) e /= size;
    for (int64_t i = 0; i < rows; ++i) {
      image[i] = 0;
      for (int64_t j = 0; j < columns; ++j) image[i] += matrix[i * columns + j] / scale * x[j];
    }
    const double next = Norm(image);
    for (int64_t j = 0; j < columns; ++j) {
      x[j] = 0;
      for (int64_t i = 0; i < rows; ++i) x[j] += matrix[i * columns + j] / scale * image[i];
    }
    const bool settled = std::fabs(next - sigma) <= 1e-6 * next;
    sigma = next;
    if (settled) break;
  }
  return sigma * scale;
}

// Products with the scaled flow map.
class FlowMap {
 public:
  FlowMap(const Recording& recording, absl::Span<const double> params,
          absl::Span<const double> scale, std::unique_ptr<StepReplay> replay, StopCheck* stop)
      : recording_(recording),
        params_(params),
        scale_(scale),
        replay_(std::move(replay)),
        stop_(stop),
        n_(recording.num_states),
        lanes_(replay_->block()),
        zero_(std::max<int64_t>(1, params.size()) * lanes_),
        lane_state_(n_ * lanes_),
        lane_next_(n_ * lanes_),
        param_sums_(params.size()) {}

  // Columns first .. first + W - 1 of the map into `matrix` [n, n].
  absl::Status Columns(int64_t first, Vector* matrix) {
    const int64_t count = std::min<int64_t>(lanes_, n_ - first);
    std::fill(lane_state_.begin(), lane_state_.end(), 0.0);
    for (int64_t w = 0; w < count; ++w) {
      lane_state_[(first + w) * lanes_ + w] = scale_[first + w];
    }
    RETURN_IF_ERROR(Push());
    for (int64_t i = 0; i < n_; ++i) {
      for (int64_t w = 0; w < count; ++w) {
        (*matrix)[i * n_ + first + w] = lane_state_[i * lanes_ + w] / scale_[i];
      }
    }
    return absl::OkStatus();
  }

  absl::Status Apply(absl::Span<const double> x, absl::Span<double> result) {
    std::fill(lane_state_.begin(), lane_state_.end(), 0.0);
    for (int64_t i = 0; i < n_; ++i) lane_state_[i * lanes_] = scale_[i] * x[i];
    RETURN_IF_ERROR(Push());
    for (int64_t i = 0; i < n_; ++i) result[i] = lane_state_[i * lanes_] / scale_[i];
    return absl::OkStatus();
  }

  absl::Status ApplyTransposed(absl::Span<const double> x, absl::Span<double> result) {
    Vector cotangent(n_);
    for (int64_t i = 0; i < n_; ++i) cotangent[i] = x[i] / scale_[i];
    for (int64_t step = recording_.num_steps() - 1; step >= 0; --step) {
      RETURN_IF_ERROR(stop_->Poll());
      replay_->Vjp(recording_.step(step), params_.data(), cotangent.data(), {}, cotangent.data(),
                   param_sums_.data(), nullptr, nullptr);
    }
    for (int64_t i = 0; i < n_; ++i) result[i] = scale_[i] * cotangent[i];
    return absl::OkStatus();
  }

  const StepReplay& replay() const { return *replay_; }

 private:
  // All lanes from the first step to the last.
  absl::Status Push() {
    for (int64_t step = 0; step < recording_.num_steps(); ++step) {
      RETURN_IF_ERROR(stop_->Poll());
      replay_->Jvp(recording_.step(step), params_.data(), zero_.data(), zero_.data(),
                   lane_state_.data(), zero_.data(), lane_next_.data(), nullptr);
      lane_state_.swap(lane_next_);
    }
    return absl::OkStatus();
  }

  const Recording& recording_;
  const absl::Span<const double> params_;
  const absl::Span<const double> scale_;
  const std::unique_ptr<StepReplay> replay_;
  StopCheck* const stop_;
  const int64_t n_;
  const int lanes_;
  const Vector zero_;
  Vector lane_state_, lane_next_;  // [n][W]
  Vector param_sums_;              // [m], not looked at
};

}  // namespace

absl::StatusOr<double> LargestSingularValue(int64_t n, int steps, MatrixProduct apply,
                                            MatrixProduct apply_transposed) {
  RandomBits bits(kSeed);
  std::vector<Vector> right, left;  // unit vectors
  Vector alphas, betas;             // of the upper bidiagonal matrix
  Vector v(n);
  for (double& e : v) e = bits.Uniform();
  Orthonormalise({}, &v);
  for (int k = 0; k < std::min<int64_t>(steps, n); ++k) {
    right.push_back(v);
    Vector u(n);
    RETURN_IF_ERROR(apply(v, absl::MakeSpan(u)));
    if (!std::isfinite(Norm(u))) return std::numeric_limits<double>::infinity();
    const double alpha = Orthonormalise(left, &u);
    alphas.push_back(alpha);
    if (alpha == 0) break;
    left.push_back(u);
    RETURN_IF_ERROR(apply_transposed(u, absl::MakeSpan(v)));
    const double beta = Orthonormalise(right, &v);
    if (beta == 0) break;
    betas.push_back(beta);
  }
  const int64_t k = static_cast<int64_t>(alphas.size());
  Vector bidiagonal(k * (k + 1));  // the last beta belongs to it too
  for (int64_t i = 0; i < k; ++i) {
    bidiagonal[i * (k + 1) + i] = alphas[i];
    if (i < static_cast<int64_t>(betas.size())) bidiagonal[i * (k + 1) + i + 1] = betas[i];
  }
  return LargestOfDense(bidiagonal, k, k + 1);
}

absl::StatusOr<GrowthEstimate> EstimateGrowth(const VectorField& field, const Recording& recording,
                                              absl::Span<const double> params,
                                              absl::Span<const double> scale, StopCheck* stop) {
  const int64_t n = recording.num_states;
  const bool dense = n <= 2 * field.simd_lanes();
  ASSIGN_OR_RETURN(std::unique_ptr<StepReplay> replay,
                   MakeStepReplay(recording.scheme, field, {.cotangents = !dense}));
  FlowMap map(recording, params, scale, std::move(replay), stop);
  GrowthEstimate estimate;
  if (dense) {
    Vector matrix(n * n);
    for (int64_t first = 0; first < n; first += map.replay().block()) {
      RETURN_IF_ERROR(map.Columns(first, &matrix));
    }
    estimate.sigma = LargestOfDense(matrix, n, n);
  } else {
    ASSIGN_OR_RETURN(
        estimate.sigma,
        LargestSingularValue(
            n, kLanczosSteps, [&](auto x, auto result) { return map.Apply(x, result); },
            [&](auto x, auto result) { return map.ApplyTransposed(x, result); }));
  }
  estimate.jvp_evaluations = map.replay().jvp_evaluations();
  estimate.vjp_evaluations = map.replay().vjp_evaluations();
  return estimate;
}

}  // namespace costate

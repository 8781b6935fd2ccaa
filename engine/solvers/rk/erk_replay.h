// Derivatives of explicit Runge-Kutta steps, instantiated per method and block width.
#ifndef COSTATE_ENGINE_SOLVERS_RK_ERK_REPLAY_H_
#define COSTATE_ENGINE_SOLVERS_RK_ERK_REPLAY_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/kernel.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/rk/cotangent_sweep.h"
#include "engine/solvers/rk/dense_weights.h"
#include "engine/solvers/rk/primal_step.h"
#include "engine/solvers/rk/row_kernels.h"
#include "engine/solvers/rk/tableau.h"
#include "engine/solvers/stepper.h"

namespace costate::rk {

// Forward mode for W columns.
template <typename T, int W>
class TangentSweep {
 public:
  // Without a kernel the sweep is not to be run, and holds no memory.
  TangentSweep(Kernel jvp, int64_t num_states)
      : jvp_(std::move(jvp)),
        n_(jvp_ ? num_states : 0),
        d_k_(kRows<T> * n_ * W),
        d_stage_(n_ * W),
        scratch_(jvp_.scratch_size()) {}

  struct Seeds {
    const double *t, *h, *y, *p;
  };

  void Run(PrimalStep<T>& primal, const Seeds& seeds, double* d_y1, double* d_error,
           const double* d_k_first, double* d_k_end) {
    seeds_ = seeds;
    moves_ = std::any_of(seeds.h, seeds.h + W, [](double x) { return x != 0; });
    times_move_ = moves_ || std::any_of(seeds.t, seeds.t + W, [](double x) { return x != 0; });
    extra_ready_ = T::kExtraStages == 0;
    if (d_k_first != nullptr) {
      std::copy_n(d_k_first, n_ * W, d_k_.data());
    } else {
      EvaluateRow<0>(primal);
    }
    [&, this]<int... i>(std::integer_sequence<int, i...>) {
      (EvaluateRow<i + 1>(primal), ...);
    }(std::make_integer_sequence<int, T::kStages - 1>());
    if (d_k_end != nullptr) std::copy_n(d_k_.data() + (T::kStages - 1) * n_ * W, n_ * W, d_k_end);
    Sum<RowB<T>>(primal, seeds.y, d_y1);
    if (d_error != nullptr) Sum<RowE<T>>(primal, nullptr, d_error);
  }

  void Interpolate(PrimalStep<T>& primal, double theta, double* d_out) {
    if (!extra_ready_ && theta != 1 && theta != 0) EvaluateExtra(primal);
    const std::array<double, kRows<T>> weights = DenseWeights<T>(theta);
    const int rows = theta == 1 || theta == 0 ? T::kStages : kRows<T>;
    const double h = primal.step().h;
    const int64_t n = n_;
    double* __restrict out = d_out;
    for (int64_t e = 0; e < n; ++e) {
      double sum[W] = {};
      const double* d_k = d_k_.data() + e * W;
      const double* base = seeds_.y + e * W;
      for (int j = 0; j < rows; ++j) {
        for (int l = 0; l < W; ++l) sum[l] = std::fma(weights[j], d_k[j * n * W + l], sum[l]);
      }
      for (int l = 0; l < W; ++l) out[e * W + l] = std::fma(h, sum[l], base[l]);
    }
    if (times_move_) [[unlikely]]
      AddMotion(primal, theta, rows, weights, d_out);
  }

  int64_t evaluations() const { return evaluations_; }

 private:
  // out += d_h sum_j B_j k_j - shift sum_j B_j' k_j, where shift = -h dtheta.
  [[gnu::noinline]] void AddMotion(PrimalStep<T>& primal, double theta, int rows,
                                   const std::array<double, kRows<T>>& weights, double* out) const {
    double shift[W];
    bool shifts = false;
    for (int l = 0; l < W; ++l) {
      shift[l] = std::fma(theta, seeds_.h[l], seeds_.t[l]);
      shifts = shifts || shift[l] != 0;
    }
    std::array<double, kRows<T>> slopes{};
    if (shifts) {
      primal.LoadExtra();  // slopes of all rows
      slopes = DenseSlopes<T>(theta);
    }
    for (int64_t e = 0; e < n_; ++e) {
      const double* k = primal.k() + e;
      double value = 0, slope = 0;
      for (int j = 0; j < rows; ++j) value = std::fma(weights[j], k[j * n_], value);
      for (int j = 0; j < kRows<T> && shifts; ++j) slope = std::fma(slopes[j], k[j * n_], slope);
      for (int l = 0; l < W; ++l) {
        double& target = out[e * W + l];
        if (seeds_.h[l] != 0) target = std::fma(seeds_.h[l], value, target);
        if (shift[l] != 0) target = std::fma(-shift[l], slope, target);
      }
    }
  }

  template <int i>
  void EvaluateRow(PrimalStep<T>& primal) {
    const double* d_state = seeds_.y;
    if constexpr (i > 0) {
      Sum<RowA<T, i>>(primal, seeds_.y, d_stage_.data());
      d_state = d_stage_.data();
    }
    const double t = primal.template StageTime<i>();
    double d_t[W];
    if (moves_) [[unlikely]] {
      for (int l = 0; l < W; ++l) d_t[l] = std::fma(T::kC[i], seeds_.h[l], seeds_.t[l]);
    }
    const double* inputs[] = {
        &t,      primal.template StageState<i>(), primal.params(), moves_ ? d_t : seeds_.t, d_state,
        seeds_.p};
    double* outputs[] = {d_k_.data() + i * n_ * W};
    jvp_(inputs, outputs, scratch_.data());
    ++evaluations_;
  }

  void EvaluateExtra(PrimalStep<T>& primal) {
    primal.LoadExtra();
    [&, this]<int... i>(std::integer_sequence<int, i...>) {
      (EvaluateRow<T::kStages + i>(primal), ...);
    }(std::make_integer_sequence<int, T::kExtraStages>());
    extra_ready_ = true;
  }

  // sum[l] = sum_j C_j d_k[j * stride + l], lane by lane as RowSum. The lanes are the inner loop,
  // so that they become vectors.
  template <typename C>
  [[gnu::always_inline]] static inline void LaneSums(const double* __restrict d_k, ptrdiff_t stride,
                                                     double* __restrict sum) {
    const auto add = [=]<int j>(std::integral_constant<int, j>) __attribute__((always_inline)) {
      if constexpr (C::At(j) == 0) {
        return;
      } else if constexpr (j == FirstNonZero<C>()) {
        for (int l = 0; l < W; ++l) sum[l] = C::At(j) * d_k[j * stride + l];
      } else {
        for (int l = 0; l < W; ++l) sum[l] = std::fma(C::At(j), d_k[j * stride + l], sum[l]);
      }
    };
    [&]<int... j>(std::integer_sequence<int, j...>) __attribute__((always_inline)) {
      (add(std::integral_constant<int, j>()), ...);
    }(std::make_integer_sequence<int, C::kSize>());
  }

  // out = base + h sum_j C_j dk_j + d_h sum_j C_j k_j; a null base is 0.
  template <typename C>
  void Sum(const PrimalStep<T>& primal, const double* __restrict base,
           double* __restrict out) const {
    const double h = primal.step().h;
    const int64_t n = n_;
    const double* d_k = d_k_.data();
    for (int64_t e = 0; e < n; ++e) {
      double sum[W] = {};
      LaneSums<C>(d_k + e * W, n * W, sum);
      if (base != nullptr) {
        for (int l = 0; l < W; ++l) out[e * W + l] = std::fma(h, sum[l], base[e * W + l]);
      } else {
        for (int l = 0; l < W; ++l) out[e * W + l] = std::fma(h, sum[l], 0.0);
      }
    }
    if (moves_) [[unlikely]]
      AddStepSize<C>(primal.k(), out);
  }

  // out += d_h sum_j C_j k_j
  template <typename C>
  [[gnu::noinline]] void AddStepSize(const double* k, double* out) const {
    for (int64_t e = 0; e < n_; ++e) {
      const double sum = RowSum<C>(k + e, n_);
      for (int l = 0; l < W; ++l) {
        if (seeds_.h[l] != 0) out[e * W + l] = std::fma(seeds_.h[l], sum, out[e * W + l]);
      }
    }
  }

  const Kernel jvp_;
  const int64_t n_;
  Seeds seeds_{};
  bool moves_ = false;       // some d_h is not zero
  bool times_move_ = false;  // or some d_t
  bool extra_ready_ = false;
  std::vector<double> d_k_;  // [rows][n][W]
  std::vector<double> d_stage_, scratch_;
  int64_t evaluations_ = 0;
};

template <typename T, int W>
class ErkReplay final : public StepReplay {
 public:
  struct Kernels {
    Kernel value, jvp, vjp, vjp_block;
  };

  ErkReplay(Kernels kernels, int64_t num_states, int64_t num_params)
      : primal_(std::move(kernels.value), num_states),
        tangents_(std::move(kernels.jvp), num_states),
        cotangent_(std::move(kernels.vjp), num_states, num_params),
        cotangents_(std::move(kernels.vjp_block), num_states, num_params) {}

  int64_t num_states() const override { return primal_.num_states(); }
  int block() const override { return W; }

  void Jvp(const StepRecord& step, const double* params, const double* d_t, const double* d_h,
           const double* d_y, const double* d_p, double* d_y1, double* d_error,
           const double* d_k_first, double* d_k_end) override {
    primal_.Load(step, params);
    tangents_.Run(primal_, {d_t, d_h, d_y, d_p}, d_y1, d_error, d_k_first, d_k_end);
  }
  void JvpInterpolate(double theta, double* d_out) override {
    tangents_.Interpolate(primal_, theta, d_out);
  }
  void Vjp(const StepRecord& step, const double* params, const double* c_y1,
           absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
           double* c_h) override {
    primal_.Load(step, params);
    cotangent_.Run(primal_, c_y1, saved, {c_y, c_p, c_t, c_h});
  }
  void VjpBlock(const StepRecord& step, const double* params, const double* c_y1,
                absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
                double* c_h) override {
    primal_.Load(step, params);
    cotangents_.Run(primal_, c_y1, saved, {c_y, c_p, c_t, c_h});
  }

  void Slope(double theta, double* slope) override { primal_.Slope(theta, slope); }

  int64_t rhs_evaluations() const override { return primal_.evaluations(); }
  int64_t jvp_evaluations() const override { return tangents_.evaluations(); }
  int64_t vjp_evaluations() const override {
    return cotangent_.evaluations() + cotangents_.evaluations();
  }

 private:
  PrimalStep<T> primal_;
  TangentSweep<T, W> tangents_;
  CotangentSweep<T, 1, PrimalStep<T>> cotangent_;
  CotangentSweep<T, W, PrimalStep<T>> cotangents_;
};

template <typename T, int W>
absl::StatusOr<std::unique_ptr<StepReplay>> MakeErkReplayOfWidth(const VectorField& field,
                                                                 const ReplayUse& use) {
  typename ErkReplay<T, W>::Kernels kernels;
  ASSIGN_OR_RETURN(kernels.value, field.Get(MapKernel::kValue, 1));
  if (use.tangents) {
    ASSIGN_OR_RETURN(kernels.jvp, field.Get(MapKernel::kTangentBlock, W));
  }
  if (use.cotangents) {
    ASSIGN_OR_RETURN(kernels.vjp, field.Get(MapKernel::kVjp, 1));
  }
  if (use.cotangent_blocks) {
    ASSIGN_OR_RETURN(kernels.vjp_block, field.Get(MapKernel::kCotangentBlock, W));
  }
  return std::make_unique<ErkReplay<T, W>>(std::move(kernels), field.num_states(),
                                           field.num_params());
}

template <typename T>
absl::StatusOr<std::unique_ptr<StepReplay>> MakeErkReplay(const VectorField& field,
                                                          const ReplayUse& use) {
  const int lanes = field.simd_lanes();
  if (lanes == 1) return MakeErkReplayOfWidth<T, 1>(field, use);
  if (lanes == 2) return MakeErkReplayOfWidth<T, 2>(field, use);
  if (lanes == 4) return MakeErkReplayOfWidth<T, 4>(field, use);
  if (lanes == 8) return MakeErkReplayOfWidth<T, 8>(field, use);
  return absl::InvalidArgumentError("lane count must be 1, 2, 4 or 8");
}

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_ERK_REPLAY_H_

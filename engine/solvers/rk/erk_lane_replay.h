// Transposes of explicit Runge-Kutta steps of several trajectories in lanes.
#ifndef COSTATE_ENGINE_SOLVERS_RK_ERK_LANE_REPLAY_H_
#define COSTATE_ENGINE_SOLVERS_RK_ERK_LANE_REPLAY_H_

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
#include "engine/solvers/rk/row_kernels.h"
#include "engine/solvers/rk/tableau.h"
#include "engine/solvers/stepper.h"

namespace costate::rk {

// Recorded steps in hand, one in each of W lanes: what PrimalStep is for a single step.
template <typename T, int W>
class PrimalLanes {
 public:
  static constexpr int kLanes = W;

  PrimalLanes(Kernel value, int64_t num_states)
      : value_(std::move(value)),
        n_(num_states),
        y_stage_(num_states * W),
        own_(T::kExtraStages == 0 ? 0 : kRows<T> * num_states * W),
        scratch_(value_.scratch_size()) {}

  // The arrays of `steps` stay in use.
  void Load(const LaneSteps& steps, const double* params) {
    steps_ = steps;
    params_ = params;
    k_ = steps.stages;
    extra_ready_ = T::kExtraStages == 0;
    for (int l = 0; l < 8; ++l) h_[l] = steps.h[l % W];
  }

  // Makes the rows of the dense output available too.
  void LoadExtra() {
    if (extra_ready_) return;
    std::copy_n(k_, T::kStages * n_ * W, own_.data());
    k_ = own_.data();
    [this]<int... i>(std::integer_sequence<int, i...>) {
      (EvaluateRow<T::kStages + i>(), ...);
    }(std::make_integer_sequence<int, T::kExtraStages>());
    extra_ready_ = true;
  }

  void Slope(int lane, double theta, double* slope) {
    LoadExtra();
    const std::array<double, kRows<T>> slopes = DenseSlopes<T>(theta);
    for (int64_t e = 0; e < n_; ++e) {
      double sum = 0;
      for (int j = 0; j < kRows<T>; ++j) {
        sum = std::fma(slopes[j], k_[(j * n_ + e) * W + lane], sum);
      }
      slope[e] = sum;
    }
  }

  double h(int lane) const { return h_[lane]; }
  const double* params() const { return params_; }
  const double* k() const { return k_; }  // [rows][n][W]
  int64_t evaluations() const { return evaluations_; }

  template <int i>
  const double* StageTimes() {
    for (int l = 0; l < W; ++l) {
      t_stage_[l] = T::kC[i] == 1 ? steps_.t_next[l] : std::fma(T::kC[i], h_[l], steps_.t[l]);
    }
    return t_stage_;
  }
  // The states of stage i, with the bits of the steps; valid until the next call.
  template <int i>
  const double* StageState() {
    if constexpr (i == 0) return steps_.y;
    Combine<W, RowA<T, i>>(n_ * W, h_, steps_.y, k_, y_stage_.data());
    return y_stage_.data();
  }

 private:
  template <int i>
  void EvaluateRow() {
    const double* inputs[] = {StageTimes<i>(), StageState<i>(), params_};
    double* outputs[] = {own_.data() + i * n_ * W};
    value_(inputs, outputs, scratch_.data());
    ++evaluations_;
  }

  const Kernel value_;
  const int64_t n_;
  LaneSteps steps_;
  const double* params_ = nullptr;
  const double* k_ = nullptr;
  bool extra_ready_ = false;
  double t_stage_[W] = {};
  double h_[8] = {};             // repeated
  std::vector<double> y_stage_;  // [n][W]
  std::vector<double> own_;      // [rows][n][W], where there are rows beyond the stages
  std::vector<double> scratch_;
  int64_t evaluations_ = 0;
};

template <typename T, int W>
class ErkLaneReplay final : public LaneReplay {
 public:
  ErkLaneReplay(Kernel value, Kernel vjp, int64_t num_states, int64_t num_params)
      : primal_(std::move(value), num_states), sweep_(std::move(vjp), num_states, num_params) {}

  int lanes() const override { return W; }
  void Vjp(const LaneSteps& steps, const double* params, const double* c_y1,
           absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
           double* c_h) override {
    primal_.Load(steps, params);
    sweep_.Run(primal_, c_y1, saved, {c_y, c_p, c_t, c_h});
  }
  void Slope(int lane, double theta, double* slope) override { primal_.Slope(lane, theta, slope); }
  int64_t rhs_evaluations() const override { return primal_.evaluations(); }
  int64_t vjp_evaluations() const override { return sweep_.evaluations(); }

 private:
  PrimalLanes<T, W> primal_;
  CotangentSweep<T, W, PrimalLanes<T, W>> sweep_;
};

template <typename T>
absl::StatusOr<std::unique_ptr<LaneReplay>> MakeErkLaneReplay(const VectorField& field) {
  const int lanes = field.simd_lanes();
  ASSIGN_OR_RETURN(Kernel value, field.Get(MapKernel::kValue, lanes));
  ASSIGN_OR_RETURN(Kernel vjp, field.Get(MapKernel::kVjp, lanes));
  const int64_t n = field.num_states(), m = field.num_params();
  if (lanes == 2)
    return std::make_unique<ErkLaneReplay<T, 2>>(std::move(value), std::move(vjp), n, m);
  if (lanes == 4)
    return std::make_unique<ErkLaneReplay<T, 4>>(std::move(value), std::move(vjp), n, m);
  if (lanes == 8)
    return std::make_unique<ErkLaneReplay<T, 8>>(std::move(value), std::move(vjp), n, m);
  return absl::InvalidArgumentError("lane count must be 2, 4 or 8");
}

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_ERK_LANE_REPLAY_H_

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
#include "engine/solvers/rk/dense_weights.h"
#include "engine/solvers/rk/row_kernels.h"
#include "engine/solvers/rk/tableau.h"
#include "engine/solvers/stepper.h"

namespace costate::rk {

template <typename T>
constexpr std::array<bool, kRows<T>> RowsOfEndPoint() {
  std::array<bool, kRows<T>> used{};
  for (int j = T::kStages - 1; j >= 0; --j) {
    used[j] = T::kB[j] != 0;
    for (int i = j + 1; i < T::kStages; ++i) used[j] = used[j] || (used[i] && T::kA[i][j] != 0);
  }
  return used;
}

// Rows on which the end point of a step depends. Others serve the estimate or the dense output.
template <typename T>
inline constexpr std::array<bool, kRows<T>> kRowsOfEndPoint = RowsOfEndPoint<T>();

// Column j of kA below the diagonal, over all rows or those of the end point only.
template <typename T, int j, bool kDenseToo>
struct ColumnA {
  static constexpr int kSize = kRows<T>;
  static constexpr double At(int i) {
    return i > j && (kDenseToo || kRowsOfEndPoint<T>[i]) ? T::kA[i][j] : 0.0;
  }
};

// The recorded step in hand: its stages and those of its dense output, as needed.
template <typename T>
class PrimalStep {
 public:
  PrimalStep(Kernel value, int64_t num_states)
      : value_(std::move(value)),
        n_(num_states),
        y_stage_(num_states),
        own_(kRows<T> * num_states),
        scratch_(value_.scratch_size()) {}

  void Load(const StepRecord& step, const double* params) {
    step_ = step;
    params_ = params;
    rows_ = step.stages != nullptr ? T::kStages : 0;
    k_ = step.stages != nullptr ? step.stages : own_.data();
    Extend<0, T::kStages>();
  }
  // Makes the rows of the dense output available too.
  void LoadExtra() {
    if constexpr (T::kExtraStages > 0) {
      if (rows_ == kRows<T>) return;
      if (k_ != own_.data()) std::copy_n(k_, T::kStages * n_, own_.data());
      k_ = own_.data();
      Extend<T::kStages, kRows<T>>();
    }
  }

  // y'(t + theta h) = sum_j B_j'(theta) k_j.
  void Slope(double theta, double* slope) {
    LoadExtra();
    const std::array<double, kRows<T>> slopes = DenseSlopes<T>(theta);
    for (int64_t e = 0; e < n_; ++e) {
      double sum = 0;
      for (int j = 0; j < kRows<T>; ++j) sum = std::fma(slopes[j], k_[j * n_ + e], sum);
      slope[e] = sum;
    }
  }

  int64_t num_states() const { return n_; }
  const StepRecord& step() const { return step_; }
  const double* params() const { return params_; }
  const double* k() const { return k_; }  // [rows][n]
  int64_t evaluations() const { return evaluations_; }

  template <int i>
  double StageTime() const {
    if constexpr (T::kC[i] == 1) return step_.t_next;
    return std::fma(T::kC[i], step_.h, step_.t);
  }
  // The state of stage i, with the bits of the step; valid until the next call.
  template <int i>
  const double* StageState() {
    if constexpr (i == 0) return step_.y;
    Combine<1, RowA<T, i>>(n_, &step_.h, step_.y, k_, y_stage_.data());
    return y_stage_.data();
  }

 private:
  // Evaluates the rows in [first, last) that are not there yet.
  template <int first, int last>
  void Extend() {
    if (rows_ >= last) return;
    [this]<int... i>(std::integer_sequence<int, i...>) {
      (EvaluateRow<first + i>(), ...);
    }(std::make_integer_sequence<int, last - first>());
    rows_ = last;
  }
  template <int i>
  void EvaluateRow() {
    const double t = StageTime<i>();
    const double* inputs[] = {&t, StageState<i>(), params_};
    double* outputs[] = {own_.data() + i * n_};
    value_(inputs, outputs, scratch_.data());
    ++evaluations_;
  }

  const Kernel value_;
  const int64_t n_;
  StepRecord step_;
  const double* params_ = nullptr;
  const double* k_ = nullptr;
  int rows_ = 0;  // available in k_
  std::vector<double> y_stage_, own_, scratch_;
  int64_t evaluations_ = 0;
};

// Forward mode for W columns.
template <typename T, int W>
class TangentSweep {
 public:
  TangentSweep(Kernel jvp, int64_t num_states)
      : jvp_(std::move(jvp)),
        n_(num_states),
        d_k_(kRows<T> * num_states * W),
        d_stage_(num_states * W),
        scratch_(jvp_.scratch_size()) {}

  struct Seeds {
    const double *t, *h, *y, *p;
  };

  void Run(PrimalStep<T>& primal, const Seeds& seeds, double* d_y1, double* d_error,
           const double* d_k_first, double* d_k_end) {
    seeds_ = seeds;
    moves_ = std::any_of(seeds.h, seeds.h + W, [](double x) { return x != 0; });
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
    const std::array<double, kRows<T>> slopes = DenseSlopes<T>(theta);
    double shift[W];  // -h dtheta
    bool shifts = false;
    for (int l = 0; l < W; ++l) {
      shift[l] = std::fma(theta, seeds_.h[l], seeds_.t[l]);
      shifts = shifts || shift[l] != 0;
    }
    if (shifts) primal.LoadExtra();  // slopes of all rows
    const int rows = theta == 1 || theta == 0 ? T::kStages : kRows<T>;
    const double h = primal.step().h;
    for (int64_t e = 0; e < n_; ++e) {
      double sum[W] = {};
      for (int j = 0; j < rows; ++j) {
        const double* d_k = d_k_.data() + (j * n_ + e) * W;
        for (int l = 0; l < W; ++l) sum[l] = std::fma(weights[j], d_k[l], sum[l]);
      }
      for (int l = 0; l < W; ++l) d_out[e * W + l] = std::fma(h, sum[l], seeds_.y[e * W + l]);
      if (moves_ || shifts) AddMotion(primal.k() + e, rows, weights, slopes, shift, d_out + e * W);
    }
  }

  int64_t evaluations() const { return evaluations_; }

 private:
  // out += d_h sum_j B_j k_j - shift sum_j B_j' k_j at one element.
  void AddMotion(const double* k, int rows, const std::array<double, kRows<T>>& weights,
                 const std::array<double, kRows<T>>& slopes, const double* shift,
                 double* out) const {
    double value = 0, slope = 0;
    for (int j = 0; j < rows; ++j) value = std::fma(weights[j], k[j * n_], value);
    for (int l = 0; l < W; ++l) {
      if (seeds_.h[l] != 0) out[l] = std::fma(seeds_.h[l], value, out[l]);
    }
    const bool shifts = std::any_of(shift, shift + W, [](double x) { return x != 0; });
    if (!shifts) return;
    for (int j = 0; j < kRows<T>; ++j) slope = std::fma(slopes[j], k[j * n_], slope);
    for (int l = 0; l < W; ++l) {
      if (shift[l] != 0) out[l] = std::fma(-shift[l], slope, out[l]);
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
    for (int l = 0; l < W; ++l) d_t[l] = std::fma(T::kC[i], seeds_.h[l], seeds_.t[l]);
    const double* inputs[] = {
        &t, primal.template StageState<i>(), primal.params(), d_t, d_state, seeds_.p};
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

  // out = base + h sum_j C_j dk_j + d_h sum_j C_j k_j; a null base is 0.
  template <typename C>
  void Sum(const PrimalStep<T>& primal, const double* base, double* __restrict out) const {
    const double h = primal.step().h;
    const double* k = primal.k();
    for (int64_t e = 0; e < n_; ++e) {
      const double* d_k = d_k_.data() + e * W;
      for (int l = 0; l < W; ++l) {
        out[e * W + l] = std::fma(h, RowSum<C>(d_k + l, n_ * W), base ? base[e * W + l] : 0.0);
      }
      if (!moves_) continue;
      const double sum = RowSum<C>(k + e, n_);
      for (int l = 0; l < W; ++l) {
        if (seeds_.h[l] != 0) out[e * W + l] = std::fma(seeds_.h[l], sum, out[e * W + l]);
      }
    }
  }

  const Kernel jvp_;
  const int64_t n_;
  Seeds seeds_{};
  bool moves_ = false;  // some d_h is not zero
  bool extra_ready_ = false;
  std::vector<double> d_k_;  // [rows][n][W]
  std::vector<double> d_stage_, scratch_;
  int64_t evaluations_ = 0;
};

// Reverse mode for V columns.
template <typename T, int V>
class CotangentSweep {
 public:
  CotangentSweep(Kernel vjp, int64_t num_states, int64_t num_params)
      : vjp_(std::move(vjp)),
        n_(num_states),
        m_(num_params),
        count_(num_states * V),
        c_state_(kRows<T> * count_),
        c_k_(count_),
        c_param_(num_params * V),
        end_(count_),
        dense_(kRows<T> * count_),
        scratch_(vjp_.scratch_size()) {}

  struct Result {
    double *y, *p, *t, *h;
  };

  void Run(PrimalStep<T>& primal, const double* c_y1,
           absl::Span<const StepReplay::SavedCotangent> saved, const Result& result) {
    result_ = result;
    std::copy_n(c_y1, count_, end_.data());
    bool inside = false;  // some saved value depends on the weights of the dense output
    for (const StepReplay::SavedCotangent& value : saved) {
      if (value.theta == 1) {
        for (int64_t i = 0; i < count_; ++i) end_[i] += value.c[i];
      }
      inside = inside || (value.theta != 1 && value.theta != 0);
      if (result.t != nullptr || result.h != nullptr) AddMotion(primal, value);
    }
    if (inside) {
      primal.LoadExtra();
      GatherDense(saved);
      Reverse<true>(primal);
    } else {
      Reverse<false>(primal);
    }
    Finish(saved, inside);
  }

  int64_t evaluations() const { return evaluations_; }

 private:
  // theta = (fixed time - t) / h: c_t -= c . y', c_h -= theta c . y', with y' = sum_j B_j' k_j.
  void AddMotion(PrimalStep<T>& primal, const StepReplay::SavedCotangent& value) {
    primal.LoadExtra();
    const std::array<double, kRows<T>> slopes = DenseSlopes<T>(value.theta);
    double sum[V] = {};
    for (int64_t e = 0; e < n_; ++e) {
      double slope = 0;
      for (int j = 0; j < kRows<T>; ++j) slope = std::fma(slopes[j], primal.k()[j * n_ + e], slope);
      for (int l = 0; l < V; ++l) sum[l] = std::fma(value.c[e * V + l], slope, sum[l]);
    }
    for (int l = 0; l < V; ++l) {
      if (result_.t != nullptr) result_.t[l] -= sum[l];
      if (result_.h != nullptr) result_.h[l] = std::fma(-value.theta, sum[l], result_.h[l]);
    }
  }

  // dense_[j] = sum_q B_j(theta_q) c_q over the values inside the step.
  void GatherDense(absl::Span<const StepReplay::SavedCotangent> saved) {
    std::fill(dense_.begin(), dense_.end(), 0.0);
    for (const StepReplay::SavedCotangent& value : saved) {
      if (value.theta == 1 || value.theta == 0) continue;
      const std::array<double, kRows<T>> weights = DenseWeights<T>(value.theta);
      for (int j = 0; j < kRows<T>; ++j) {
        double* row = dense_.data() + j * count_;
        for (int64_t i = 0; i < count_; ++i) row[i] = std::fma(weights[j], value.c[i], row[i]);
      }
    }
  }

  template <bool kDenseToo>
  void Reverse(PrimalStep<T>& primal) {
    [&, this]<int... i>(std::integer_sequence<int, i...>) {
      (ReverseRow<kRows<T> - 1 - i, kDenseToo>(primal), ...);
    }(std::make_integer_sequence<int, kRows<T>>());
  }

  template <int j, bool kDenseToo>
  void ReverseRow(PrimalStep<T>& primal) {
    if constexpr (kDenseToo || kRowsOfEndPoint<T>[j]) {
      // c_k_ holds the cotangent of k_j over h first.
      constexpr double b = j < T::kStages ? T::kB[j] : 0;
      for (int64_t i = 0; i < count_; ++i) {
        double sum = RowSum<ColumnA<T, j, kDenseToo>>(c_state_.data() + i, count_);
        if constexpr (kDenseToo) sum += dense_[j * count_ + i];
        if constexpr (b != 0) sum = std::fma(b, end_[i], sum);
        c_k_[i] = sum;
      }
      if (result_.h != nullptr) AddStepSize(primal.k() + j * n_);
      const double h = primal.step().h;
      for (int64_t i = 0; i < count_; ++i) c_k_[i] *= h;
      PullBack<j>(primal);
    }
  }

  // c_h += k_j . (cotangent of k_j) / h: the step size enters beside every k_j.
  void AddStepSize(const double* k) {
    for (int64_t e = 0; e < n_; ++e) {
      for (int l = 0; l < V; ++l) {
        result_.h[l] = std::fma(k[e], c_k_[e * V + l], result_.h[l]);
      }
    }
  }

  template <int j>
  void PullBack(PrimalStep<T>& primal) {
    const double t = primal.template StageTime<j>();
    const double* inputs[] = {&t, primal.template StageState<j>(), primal.params(), c_k_.data()};
    double c_t[V];
    double* outputs[] = {c_t, c_state_.data() + j * count_, c_param_.data()};
    vjp_(inputs, outputs, scratch_.data());
    ++evaluations_;
    for (int64_t i = 0; i < m_ * V; ++i) result_.p[i] += c_param_[i];
    for (int l = 0; l < V; ++l) {
      if (result_.t != nullptr) result_.t[l] += c_t[l];
      if (result_.h != nullptr) result_.h[l] = std::fma(T::kC[j], c_t[l], result_.h[l]);
    }
  }

  void Finish(absl::Span<const StepReplay::SavedCotangent> saved, bool inside) {
    std::copy_n(end_.data(), count_, result_.y);
    for (const StepReplay::SavedCotangent& value : saved) {
      if (value.theta == 1) continue;  // in end_ already
      for (int64_t i = 0; i < count_; ++i) result_.y[i] += value.c[i];
    }
    for (int j = 0; j < kRows<T>; ++j) {
      if (!inside && !kRowsOfEndPoint<T>[j]) continue;
      const double* row = c_state_.data() + j * count_;
      for (int64_t i = 0; i < count_; ++i) result_.y[i] += row[i];
    }
  }

  const Kernel vjp_;
  const int64_t n_, m_, count_;
  Result result_{};
  std::vector<double> c_state_;  // [rows][n][V]: cotangents of the stage states
  std::vector<double> c_k_;      // [n][V]: of one stage derivative
  std::vector<double> c_param_;  // [m][V]: of the parameters, through one stage
  std::vector<double> end_;      // [n][V]: of the end point
  std::vector<double> dense_;    // [rows][n][V]
  std::vector<double> scratch_;
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
  CotangentSweep<T, 1> cotangent_;
  CotangentSweep<T, W> cotangents_;
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

// The transpose of one explicit Runge-Kutta step and its dense output.
#ifndef COSTATE_ENGINE_SOLVERS_RK_COTANGENT_SWEEP_H_
#define COSTATE_ENGINE_SOLVERS_RK_COTANGENT_SWEEP_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/kernel.h"
#include "engine/solvers/rk/dense_weights.h"
#include "engine/solvers/rk/row_kernels.h"
#include "engine/solvers/rk/tableau.h"

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

// Reverse mode for V columns: cotangents of one step (Primal::kLanes is 1), or of V steps in lanes
// (kLanes is V), where each saved value is that of one lane.
template <typename T, int V, typename Primal>
class CotangentSweep {
 public:
  static constexpr bool kShared = Primal::kLanes == 1;

  // Without a kernel the sweep is not to be run, and holds no memory.
  CotangentSweep(Kernel vjp, int64_t num_states, int64_t num_params)
      : vjp_(std::move(vjp)),
        n_(vjp_ ? num_states : 0),
        m_(vjp_ ? num_params : 0),
        count_(n_ * V),
        c_state_(kRows<T> * count_),
        c_k_(count_),
        c_param_(m_ * V),
        end_(count_),
        dense_(kRows<T> * count_),
        scratch_(vjp_.scratch_size()) {}

  struct Result {
    double *y, *p, *t, *h;
  };

  // SavedType is the SavedCotangent of StepReplay, or of LaneReplay: c is [n][V] of a shared step,
  // [n] of the step in a lane.
  template <typename SavedType>
  void Run(Primal& primal, const double* c_y1, absl::Span<const SavedType> saved,
           const Result& result) {
    result_ = result;
    std::copy_n(c_y1, count_, end_.data());
    bool inside = false;  // some saved value depends on the weights of the dense output
    for (const SavedType& value : saved) {
      if (value.theta == 1) {
        ForPlaces(value, [this](int64_t i, double c) { end_[i] += c; });
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
  // Calls visit(place in [n][V], cotangent there).
  template <typename SavedType, typename F>
  void ForPlaces(const SavedType& value, F visit) const {
    if constexpr (kShared) {
      for (int64_t i = 0; i < count_; ++i) visit(i, value.c[i]);
    } else {
      for (int64_t e = 0; e < n_; ++e) visit(e * V + value.lane, value.c[e]);
    }
  }

  // k_j at element e, in a lane.
  static double StageAt(const Primal& primal, int64_t n, int j, int64_t e, int lane) {
    return kShared ? primal.k()[j * n + e] : primal.k()[(j * n + e) * V + lane];
  }

  // theta = (fixed time - t) / h: c_t -= c . y', c_h -= theta c . y', with y' = sum_j B_j' k_j.
  template <typename SavedType>
  void AddMotion(Primal& primal, const SavedType& value) {
    primal.LoadExtra();
    const std::array<double, kRows<T>> slopes = DenseSlopes<T>(value.theta);
    int own_lane = 0;
    if constexpr (!kShared) own_lane = value.lane;
    double sum[V] = {};
    for (int64_t e = 0; e < n_; ++e) {
      double slope = 0;
      for (int j = 0; j < kRows<T>; ++j) {
        slope = std::fma(slopes[j], StageAt(primal, n_, j, e, own_lane), slope);
      }
      if constexpr (kShared) {
        for (int l = 0; l < V; ++l) sum[l] = std::fma(value.c[e * V + l], slope, sum[l]);
      } else {
        sum[own_lane] = std::fma(value.c[e], slope, sum[own_lane]);
      }
    }
    for (int l = 0; l < V; ++l) {
      if (!kShared && l != own_lane) continue;
      if (result_.t != nullptr) result_.t[l] -= sum[l];
      if (result_.h != nullptr) result_.h[l] = std::fma(-value.theta, sum[l], result_.h[l]);
    }
  }

  // dense_[j] = sum_q B_j(theta_q) c_q over the values inside the step.
  template <typename SavedType>
  void GatherDense(absl::Span<const SavedType> saved) {
    std::fill(dense_.begin(), dense_.end(), 0.0);
    for (const SavedType& value : saved) {
      if (value.theta == 1 || value.theta == 0) continue;
      const std::array<double, kRows<T>> weights = DenseWeights<T>(value.theta);
      for (int j = 0; j < kRows<T>; ++j) {
        double* row = dense_.data() + j * count_;
        const double weight = weights[j];
        ForPlaces(value,
                  [row, weight](int64_t i, double c) { row[i] = std::fma(weight, c, row[i]); });
      }
    }
  }

  template <bool kDenseToo>
  void Reverse(Primal& primal) {
    [&, this]<int... i>(std::integer_sequence<int, i...>) {
      (ReverseRow<kRows<T> - 1 - i, kDenseToo>(primal), ...);
    }(std::make_integer_sequence<int, kRows<T>>());
  }

  template <int j, bool kDenseToo>
  void ReverseRow(Primal& primal) {
    if constexpr (kDenseToo || kRowsOfEndPoint<T>[j]) {
      // c_k_ holds the cotangent of k_j over h first.
      constexpr double b = j < T::kStages ? T::kB[j] : 0;
      for (int64_t i = 0; i < count_; ++i) {
        double sum = RowSum<ColumnA<T, j, kDenseToo>>(c_state_.data() + i, count_);
        if constexpr (kDenseToo) sum += dense_[j * count_ + i];
        if constexpr (b != 0) sum = std::fma(b, end_[i], sum);
        c_k_[i] = sum;
      }
      if (result_.h != nullptr) AddStepSize<j>(primal);
      double h[V];
      for (int l = 0; l < V; ++l) h[l] = primal.h(l);
      for (int64_t i = 0; i < count_; i += V) {
        for (int l = 0; l < V; ++l) c_k_[i + l] *= h[l];
      }
      PullBack<j>(primal);
    }
  }

  // c_h += k_j . (cotangent of k_j) / h: the step size enters beside every k_j.
  template <int j>
  void AddStepSize(const Primal& primal) {
    for (int64_t e = 0; e < n_; ++e) {
      for (int l = 0; l < V; ++l) {
        result_.h[l] = std::fma(StageAt(primal, n_, j, e, l), c_k_[e * V + l], result_.h[l]);
      }
    }
  }

  template <int j>
  void PullBack(Primal& primal) {
    const double* inputs[] = {primal.template StageTimes<j>(), primal.template StageState<j>(),
                              primal.params(), c_k_.data()};
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

  template <typename SavedType>
  void Finish(absl::Span<const SavedType> saved, bool inside) {
    std::copy_n(end_.data(), count_, result_.y);
    for (const SavedType& value : saved) {
      if (value.theta == 1) continue;  // in end_ already
      ForPlaces(value, [this](int64_t i, double c) { result_.y[i] += c; });
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

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_COTANGENT_SWEEP_H_

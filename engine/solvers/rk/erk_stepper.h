// The explicit Runge-Kutta stepper, instantiated per method and lane count.
#ifndef COSTATE_ENGINE_SOLVERS_RK_ERK_STEPPER_H_
#define COSTATE_ENGINE_SOLVERS_RK_ERK_STEPPER_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/kernel.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/rk/dense_weights.h"
#include "engine/solvers/rk/erk.h"
#include "engine/solvers/rk/row_kernels.h"
#include "engine/solvers/rk/tableau.h"
#include "engine/solvers/stepper.h"

namespace costate::rk {

// N > 0: the number of states, known at compile time (short systems at W = 1); 0: any number.
template <typename T, int W, int N = 0>
class ErkStepper final : public Stepper {
 public:
  ErkStepper(Kernel kernel, int64_t num_states, int64_t num_params)
      : kernel_(std::move(kernel)),
        n_(num_states),
        m_(num_params),
        y_(num_states * W),
        y_new_(num_states * W),
        y_stage_(num_states * W),
        k_(kRows<T> * num_states * W),
        params_(num_params * W),
        scratch_(kernel_.scratch_size()),
        root_of_mean_(std::sqrt(1.0 / static_cast<double>(num_states))) {
    for (int i = 0; i < kRows<T>; ++i) {
      const double* y = i == 0                  ? y_.data()
                        : IsEndDerivative<T>(i) ? y_new_.data()
                                                : y_stage_.data();
      inputs_[i] = {t_stage_[i], y, params_.data()};
      outputs_[i] = k_.data() + i * count();
    }
  }

  int lanes() const override { return W; }
  const double* y() const override { return y_.data(); }
  const double* y_new() const override { return y_new_.data(); }
  const double* stages() const override { return k_.data(); }
  int64_t rhs_evaluations(int lane) const override { return evaluations_[lane]; }

  void Reset(int lane, double t, const double* y, const double* p,
             const double* derivative) override {
    t_[lane] = t_next_[lane] = t;
    for (int64_t i = 0; i < n(); ++i) y_[i * W + lane] = y[i];
    for (int64_t i = 0; i < m_; ++i) params_[i * W + lane] = p[i];
    if (derivative != nullptr) {
      for (int64_t i = 0; i < n(); ++i) k_[i * W + lane] = derivative[i];
    }
    first_known_[lane] = derivative != nullptr;
    end_known_[lane] = false;
    extra_ready_ = false;
    evaluations_[lane] = 0;
  }

  void MoveTo(const double* t, const double* carried) override {
    std::copy_n(t, W, t_);
    std::copy_n(t, W, t_next_);
    std::copy_n(carried, count(), y_.data());
    std::fill_n(first_known_, W, false);
    std::fill_n(end_known_, W, false);
    extra_ready_ = false;
  }

  void Step(const double* t_next) override {
    for (int l = 0; l < W; ++l) {
      t_next_[l] = t_next[l];
      h_[l] = t_next[l] - t_[l];
      end_known_[l] = kFsal<T>;
    }
    if constexpr (W > 1) {
      for (int l = W; l < 8; ++l) h_[l] = h_[l % W];
    }
    extra_ready_ = false;
    EvaluateFirst();
    EvaluateStages(std::make_integer_sequence<int, T::kStages>());
    if constexpr (!kFsal<T>) Combine<W, RowB<T>>(count(), h_, y_.data(), k_.data(), y_new_.data());
  }

  double SquaredError(const double* atol, double rtol, double* out) const override {
    if constexpr (!HasError<T>()) {
      CheckFinite(out);
      return out[0];
    } else if constexpr (N > 0) {
      double square[4] = {};  // as below, with zeros for what is not there
      for (int i = 0; i < N; ++i) square[i] = SquaredRatio(i, atol[i], rtol, 0);
      return out[0] = (square[0] + square[1]) + (square[2] + square[3]);
    } else {
      // Elements are summed into four places by their index modulo 4, for every W.
      double sum[4 * W] = {};
      int64_t e = 0;
      for (; e + 4 <= n(); e += 4) {
        for (int l = 0; l < 4 * W; ++l) sum[l] += SquaredRatio(e * W + l, atol[e + l / W], rtol, l);
      }
      for (int r = 0; e < n(); ++e, ++r) {
        for (int l = 0; l < W; ++l) sum[r * W + l] += SquaredRatio(e * W + l, atol[e], rtol, l);
      }
      for (int l = 0; l < W; ++l) {
        out[l] = (sum[l] + sum[W + l]) + (sum[2 * W + l] + sum[3 * W + l]);
      }
      return out[0];
    }
  }

  void CheckFinite(double* out) const override {
    double sum[8] = {};  // of y * 0: NaN where an element is not finite
    ForBlocks<W>(count(), [this, &sum]<int B>(int64_t i) __attribute__((always_inline)) {
      for (int l = 0; l < B; ++l) sum[l] += y_new_[i + l] * 0.0;
    });
    for (int l = W; l < 8; ++l) sum[l % W] += sum[l];
    std::copy_n(sum, W, out);
  }

  int64_t WorstElement(int lane, const double* atol, double rtol) const override {
    // What is not finite spreads from stage to stage: the earliest is at fault.
    for (int j = 0; j < T::kStages; ++j) {
      const int64_t element = FirstNonFinite(k_.data() + j * count(), lane);
      if (element >= 0) return element;
    }
    int64_t worst = std::max<int64_t>(FirstNonFinite(y_new_.data(), lane), 0);
    if (!std::isfinite(y_new_[worst * W + lane])) return worst;
    double largest = -1;
    for (int64_t i = 0; i < n(); ++i) {
      const double ratio = SquaredRatio(i * W + lane, atol[i], rtol, lane);
      if (ratio > largest) {
        largest = ratio;
        worst = i;
      }
    }
    return worst;
  }

  void Advance(const bool* accept) override {
    constexpr int end_row = EndDerivativeRow<T>();
    static_assert(end_row > 0);
    if constexpr (W == 1) {
      if (!accept[0]) return;
      const double* end = k_.data() + end_row * count();
      for (int64_t i = 0; i < count(); ++i) y_[i] = y_new_[i];
      if (end_known_[0]) {
        for (int64_t i = 0; i < count(); ++i) k_[i] = end[i];
      }
    } else {
      Select(accept, y_new_.data(), y_.data());
      bool take[W];
      for (int l = 0; l < W; ++l) take[l] = accept[l] && end_known_[l];
      Select(take, k_.data() + end_row * count(), k_.data());
    }
    for (int l = 0; l < W; ++l) {
      if (!accept[l]) continue;
      t_[l] = t_next_[l];
      first_known_[l] = end_known_[l];
    }
  }

  void Interpolate(int lane, double theta, double* y) override {
    if (theta == 0 || theta == 1) {
      const std::vector<double>& source = theta == 0 ? y_ : y_new_;
      for (int64_t i = 0; i < n(); ++i) y[i] = source[i * W + lane];
      return;
    }
    EvaluateExtra(lane);
    const std::array<double, kRows<T>> weights = DenseWeights<T>(theta);
    const double h = h_[lane];
    for (int64_t i = 0; i < n(); ++i) {
      const double* k = k_.data() + i * W + lane;
      double sum = weights[0] * k[0];
      for (int j = 1; j < kRows<T>; ++j) sum = std::fma(weights[j], k[j * count()], sum);
      y[i] = std::fma(h, sum, y_[i * W + lane]);
    }
  }

 private:
  int64_t n() const { return N > 0 ? N : n_; }
  int64_t count() const { return n() * W; }

  template <int i>
  void SetStageTime() {
    for (int l = 0; l < W; ++l) {
      t_stage_[i][l] = T::kC[i] == 1 ? t_next_[l] : std::fma(T::kC[i], h_[l], t_[l]);
    }
  }

  template <int i>
  void EvaluateRow() {
    SetStageTime<i>();
    double* target = IsEndDerivative<T>(i) ? y_new_.data() : y_stage_.data();
    constexpr bool known = IsEndDerivative<T>(i) && i >= T::kStages;  // y_new is there already
    if constexpr (!known) Combine<W, RowA<T, i>>(count(), h_, y_.data(), k_.data(), target);
    kernel_(inputs_[i].data(), &outputs_[i], scratch_.data());
  }

  void EvaluateFirst() {
    bool all_known = true;
    for (int l = 0; l < W; ++l) {
      evaluations_[l] += first_known_[l] ? 0 : 1;
      all_known = all_known && first_known_[l];
      first_known_[l] = true;
    }
    if (all_known) return;
    for (int l = 0; l < W; ++l) t_stage_[0][l] = t_[l];
    kernel_(inputs_[0].data(), &outputs_[0], scratch_.data());
  }

  template <int... i>
  void EvaluateStages(std::integer_sequence<int, i...>) {
    (
        [this] {
          if constexpr (i > 0) EvaluateRow<i>();
        }(),
        ...);
    for (int l = 0; l < W; ++l) evaluations_[l] += T::kStages - 1;
  }

  void EvaluateExtra(int lane) {
    if constexpr (T::kExtraStages > 0) {
      if (!extra_ready_) {
        [this]<int... i>(std::integer_sequence<int, i...>) {
          (EvaluateRow<T::kStages + i>(), ...);
        }(std::make_integer_sequence<int, T::kExtraStages>());
        extra_ready_ = true;
        std::fill_n(extra_counted_, W, false);
      }
      if (!extra_counted_[lane]) {
        extra_counted_[lane] = true;
        evaluations_[lane] += T::kExtraStages;
        end_known_[lane] = true;
      }
    }
  }

  // (error / weight)^2 / n at one place; NaN where the new state is not finite. The operations that
  // do not wait for the last stage are kept apart from those that do.
  double SquaredRatio(int64_t at, double atol, double rtol, int lane) const {
    const double scale = std::max(std::abs(y_[at]), std::abs(y_new_[at]));
    const double weight = std::max(std::fma(rtol, scale, atol), std::numeric_limits<double>::min());
    const double h_over_weight = h_[lane % W] * root_of_mean_ / weight;
    const double ratio = AddRow<RowE<T>>(k_.data() + at, count(), h_over_weight, y_new_[at] * 0.0);
    return ratio * ratio;
  }

  int64_t FirstNonFinite(const double* values, int lane) const {
    for (int64_t i = 0; i < n(); ++i) {
      if (!std::isfinite(values[i * W + lane])) return i;
    }
    return -1;
  }

  void Select(const bool* take, const double* from, double* to) const {
    for (int64_t i = 0; i < count(); i += W) {
      for (int l = 0; l < W; ++l) to[i + l] = take[l] ? from[i + l] : to[i + l];
    }
  }

  const Kernel kernel_;
  const int64_t n_, m_;
  std::vector<double> y_, y_new_, y_stage_;  // [n][W]
  std::vector<double> k_;                    // [rows][n][W]
  std::vector<double> params_;               // [m][W]
  std::vector<double> scratch_;
  const double root_of_mean_;  // sqrt(1 / n)
  std::array<std::array<const double*, 3>, kRows<T>> inputs_;
  std::array<double*, kRows<T>> outputs_;
  double t_[W] = {}, t_next_[W] = {};
  double t_stage_[kRows<T>][W] = {};
  double h_[8] = {};          // step sizes of the lanes, repeated
  bool first_known_[W] = {};  // k_1 of the next step is in place
  bool end_known_[W] = {};    // the tried step has its end derivative
  bool extra_ready_ = false;
  bool extra_counted_[W] = {};
  int64_t evaluations_[W] = {};
};

template <typename T>
absl::StatusOr<std::unique_ptr<Stepper>> MakeErkStepper(const VectorField& field, int lanes) {
  ASSIGN_OR_RETURN(Kernel kernel, field.Get(MapKernel::kValue, lanes));
  const int64_t n = field.num_states(), m = field.num_params();
  if (lanes == 1 && n == 1) return std::make_unique<ErkStepper<T, 1, 1>>(std::move(kernel), n, m);
  if (lanes == 1 && n == 2) return std::make_unique<ErkStepper<T, 1, 2>>(std::move(kernel), n, m);
  if (lanes == 1 && n == 3) return std::make_unique<ErkStepper<T, 1, 3>>(std::move(kernel), n, m);
  if (lanes == 1 && n == 4) return std::make_unique<ErkStepper<T, 1, 4>>(std::move(kernel), n, m);
  if (lanes == 1) return std::make_unique<ErkStepper<T, 1>>(std::move(kernel), n, m);
  if (lanes == 2) return std::make_unique<ErkStepper<T, 2>>(std::move(kernel), n, m);
  if (lanes == 4) return std::make_unique<ErkStepper<T, 4>>(std::move(kernel), n, m);
  if (lanes == 8) return std::make_unique<ErkStepper<T, 8>>(std::move(kernel), n, m);
  return absl::InvalidArgumentError("lane count must be 1, 2, 4 or 8");
}

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_ERK_STEPPER_H_

// A recorded step in hand: its stages, and those of its dense output as needed.
#ifndef COSTATE_ENGINE_SOLVERS_RK_PRIMAL_STEP_H_
#define COSTATE_ENGINE_SOLVERS_RK_PRIMAL_STEP_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/kernel.h"
#include "engine/solvers/rk/dense_weights.h"
#include "engine/solvers/rk/row_kernels.h"
#include "engine/solvers/rk/tableau.h"
#include "engine/solvers/stepper.h"

namespace costate::rk {

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

  // Lanes share the step: what CotangentSweep asks of a primal.
  static constexpr int kLanes = 1;
  double h(int /*lane*/) const { return step_.h; }

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
  // As an input of a kernel; valid until the next call.
  template <int i>
  const double* StageTimes() {
    t_stage_ = StageTime<i>();
    return &t_stage_;
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
  double t_stage_ = 0;
  std::vector<double> y_stage_, own_, scratch_;
  int64_t evaluations_ = 0;
};

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_PRIMAL_STEP_H_

// The transpose of one coupled step over those of its two increments.
#ifndef COSTATE_ENGINE_SOLVERS_REVERSIBLE_COUPLED_TRANSPOSE_H_
#define COSTATE_ENGINE_SOLVERS_REVERSIBLE_COUPLED_TRANSPOSE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/kernel.h"
#include "engine/solvers/stepper.h"

namespace costate::reversible {

// For V columns: cotangents of one step (kShared), or of V steps in lanes, where each saved value
// is that of one lane.
template <bool kShared>
class CoupledTranspose {
 public:
  CoupledTranspose(double coupling, int64_t num_states, int most_columns)
      : coupling_(coupling),
        n_(num_states),
        end_(num_states * most_columns),
        other_(num_states * most_columns),
        whole_(num_states * most_columns) {}

  // The step: what it carried at t, [2][n], and its size [1]; in lanes [2][n][V] and [V].
  struct Step {
    const double* y;
    const double* h;
  };
  struct Result {
    double* y;  // [2][n][V]
    double *t, *h;
  };

  // first(c, t, h) pulls c [n][V] back in place through Phi_h(t0, z0) with the saved values of its
  // dense output, second(c, t, h) through Phi_{-h}(t1, y1) without; t and h [V] or null are added
  // to. SavedType is the SavedCotangent of StepReplay, or of LaneReplay.
  template <typename SavedType, typename First, typename Second>
  void Run(int columns, const Step& step, const double* c_y1, absl::Span<const SavedType> saved,
           const Result& result, First first, Second second) {
    columns_ = columns;
    const int64_t count = n_ * columns;
    // z1 = z0 + y1 - Phi_{-h}(t1, y1)
    const bool moves = result.t != nullptr || result.h != nullptr;
    double moved_t[kMaxLanes] = {}, moved_h[kMaxLanes] = {};
    const double* c_z1 = c_y1 + count;
    for (int64_t i = 0; i < count; ++i) other_[i] = -c_z1[i];
    second(other_.data(), moves ? moved_t : nullptr, moves ? moved_h : nullptr);
    for (int64_t i = 0; i < count; ++i) whole_[i] = c_y1[i] + (other_[i] + c_z1[i]);
    // y1 = Phi_h(t, z0) + lambda (y0 - z0)
    std::copy_n(whole_.data(), count, end_.data());
    first(end_.data(), result.t, result.h);
    for (int64_t i = 0; i < count; ++i) {
      result.y[count + i] = c_z1[i] + std::fma(-coupling_, whole_[i], end_[i]);
      result.y[i] = coupling_ * whole_[i];
    }
    for (int l = 0; l < columns; ++l) {
      if (result.t != nullptr) result.t[l] += moved_t[l];
      if (result.h != nullptr) result.h[l] += moved_t[l] - moved_h[l];
    }
    for (const SavedType& value : saved) PullSaved(step, value, result);
  }

  // w(theta) and, for element e of a lane's step, the slope of w(theta) (y0 - z0) in t.
  double Weight(double theta) const { return std::fma(theta, coupling_ - 1, 1.0); }
  double Apart(const Step& step, int columns, int64_t e, int lane) const {
    const int stride = kShared ? 1 : columns;
    const double* y = step.y + e * stride + (kShared ? 0 : lane);
    return (y[0] - y[n_ * stride]) * (coupling_ - 1) / step.h[kShared ? 0 : lane];
  }

 private:
  // The part w(theta) (y0 - z0) of a saved value; the rest is the base method's.
  template <typename SavedType>
  void PullSaved(const Step& step, const SavedType& value, const Result& result) const {
    const int64_t count = n_ * columns_;
    const double weight = Weight(value.theta);
    int first_column = 0, last_column = columns_ - 1;
    if constexpr (!kShared) first_column = last_column = value.lane;
    for (int64_t e = 0; e < n_; ++e) {
      for (int l = first_column; l <= last_column; ++l) {
        const double c = value.c[kShared ? e * columns_ + l : e];
        const int64_t i = e * columns_ + l;
        result.y[i] = std::fma(weight, c, result.y[i]);
        result.y[count + i] = std::fma(-weight, c, result.y[count + i]);
      }
    }
    if (result.t == nullptr && result.h == nullptr) return;
    for (int64_t e = 0; e < n_; ++e) {
      const double apart = Apart(step, columns_, e, first_column);
      for (int l = first_column; l <= last_column; ++l) {
        const double moved = value.c[kShared ? e * columns_ + l : e] * apart;
        if (result.t != nullptr) result.t[l] -= moved;
        if (result.h != nullptr) result.h[l] = std::fma(-value.theta, moved, result.h[l]);
      }
    }
  }

  const double coupling_;
  const int64_t n_;
  int columns_ = 1;
  std::vector<double> end_, other_, whole_;  // [n][V]
};

}  // namespace costate::reversible

#endif  // COSTATE_ENGINE_SOLVERS_REVERSIBLE_COUPLED_TRANSPOSE_H_

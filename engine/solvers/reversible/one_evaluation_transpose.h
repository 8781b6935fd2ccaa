// The transpose of one step of a method of one evaluation, and of its dense output.
#ifndef COSTATE_ENGINE_SOLVERS_REVERSIBLE_ONE_EVALUATION_TRANSPOSE_H_
#define COSTATE_ENGINE_SOLVERS_REVERSIBLE_ONE_EVALUATION_TRANSPOSE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/kernel.h"
#include "engine/solvers/reversible/one_evaluation.h"

namespace costate::reversible {

// D_j(theta), that of u first, and their derivatives.
struct DenseOfOne {
  double value[kMaxCarried], slope[kMaxCarried];
};
inline DenseOfOne DenseAt(const OneEvaluation& table, double theta) {
  DenseOfOne weights;
  for (int j = 0; j < kMaxCarried; ++j) {
    const auto& d = table.dense[j];
    weights.value[j] = theta * std::fma(theta, std::fma(theta, d[2], d[1]), d[0]);
    weights.slope[j] = std::fma(theta, std::fma(theta, 3 * d[2], 2 * d[1]), d[0]);
  }
  return weights;
}

// For V columns: cotangents of one step (kShared), or of V steps in lanes, where each saved value
// is that of one lane.
template <int V, bool kShared>
class OneEvaluationTranspose {
 public:
  static constexpr int kSteps = kShared ? 1 : V;

  // Without a kernel not to be run, and without memory.
  OneEvaluationTranspose(const OneEvaluation& table, Kernel vjp, int64_t num_states,
                         int64_t num_params)
      : table_(table),
        vjp_(std::move(vjp)),
        n_(vjp_ ? num_states : 0),
        m_(vjp_ ? num_params : 0),
        c_u_(n_ * V),
        c_point_(n_ * V),
        c_start_(table.carried * n_ * V),
        c_param_(m_ * V),
        scratch_(vjp_.scratch_size()) {}

  // A step in hand, or V: [kSteps] and [..][n][kSteps].
  struct Primal {
    const double* t_point;
    const double* h;
    const double* y;      // [carried][n] at t
    const double* point;  // [n], where u was evaluated
    const double* u;      // [n]
    const double* params;
  };
  struct Result {
    double *y, *p, *t, *h;
  };

  // SavedType is the SavedCotangent of StepReplay, or of LaneReplay.
  template <typename SavedType>
  void Run(const Primal& primal, const double* c_y1, absl::Span<const SavedType> saved,
           const Result& result) {
    const Pass& pass = table_.there;
    const int64_t count = n_ * V;
    double moved_t[V] = {}, moved_h[V] = {};
    std::fill_n(c_start_.data(), table_.carried * count, 0.0);
    std::fill_n(c_u_.data(), count, 0.0);
    for (int b = 0; b < table_.carried; ++b) {
      const double* c = c_y1 + b * count;
      for (int j = 0; j < table_.carried; ++j) {
        Add(primal.h, pass.keep[b][j], c, c_start_.data() + j * count);
        AddDot(pass.keep[b][j].b, Block(primal, j), c, moved_h);
      }
      Add(primal.h, pass.slope[b], c, c_u_.data());
      AddDot(pass.slope[b].b, primal.u, c, moved_h);
    }
    for (const SavedType& value : saved) PullSaved(primal, value, moved_t, moved_h);
    double c_time[V];
    PullBack(primal, c_time);
    for (int j = 0; j < table_.carried; ++j) {
      Add(primal.h, pass.point[j], c_point_.data(), c_start_.data() + j * count);
      AddDot(pass.point[j].b, Block(primal, j), c_point_.data(), moved_h);
    }
    for (int64_t i = 0; i < m_ * V; ++i) result.p[i] += c_param_[i];
    for (int l = 0; l < V; ++l) {
      if (result.t != nullptr) result.t[l] += moved_t[l] + c_time[l];
      if (result.h != nullptr) result.h[l] += moved_h[l] + pass.tau * c_time[l];
    }
    std::copy_n(c_start_.data(), table_.carried * count, result.y);
  }

  // StepReplay::StartVjp, with t0 [kSteps] and y0 [n][kSteps] in `primal`.
  void RunStart(const Primal& primal, double* c_carried, double* c_p, double* c_t) {
    const int64_t count = n_ * V;
    std::fill_n(c_u_.data(), count, 0.0);
    for (int b = 1; b < table_.carried; ++b) {
      double* to = table_.start[b] == StartsAs::kState ? c_carried : c_u_.data();
      for (int64_t i = 0; i < count; ++i) to[i] += c_carried[b * count + i];
    }
    double c_time[V];
    PullBack(primal, c_time);
    for (int64_t i = 0; i < count; ++i) c_carried[i] += c_point_[i];
    for (int64_t i = 0; i < m_ * V; ++i) c_p[i] += c_param_[i];
    for (int l = 0; l < V; ++l) c_t[l] += c_time[l];
  }

  int64_t evaluations() const { return evaluations_; }

 private:
  const double* Block(const Primal& primal, int j) const { return primal.y + j * n_ * kSteps; }
  // Element e of a vector of the step that column l belongs to.
  static double At(const double* x, int64_t e, int l) { return kShared ? x[e] : x[e * V + l]; }

  // out[n][V] += w(h) x[n][V], unless w is zero for every h.
  void Add(const double* h, Affine w, const double* x, double* out) const {
    if (w.zero()) return;
    double weight[V];
    for (int l = 0; l < V; ++l) weight[l] = w.at(h[kShared ? 0 : l]);
    for (int64_t i = 0; i < n_ * V; i += V) {
      for (int l = 0; l < V; ++l) out[i + l] = std::fma(weight[l], x[i + l], out[i + l]);
    }
  }

  // sum[V] += w x . c, with x of the steps and c [n][V].
  void AddDot(double w, const double* x, const double* c, double* sum) const {
    if (w == 0) return;
    for (int64_t e = 0; e < n_; ++e) {
      for (int l = 0; l < V; ++l) sum[l] = std::fma(w * At(x, e, l), c[e * V + l], sum[l]);
    }
  }

  // c_point_ and c_param_ from c_u_.
  void PullBack(const Primal& primal, double* c_time) {
    const double* inputs[] = {primal.t_point, primal.point, primal.params, c_u_.data()};
    double* outputs[] = {c_time, c_point_.data(), c_param_.data()};
    vjp_(inputs, outputs, scratch_.data());
    ++evaluations_;
  }

  // y(t + theta h) = y + h (D_u u + sum_j D_j c_j) at a fixed time.
  template <typename SavedType>
  void PullSaved(const Primal& primal, const SavedType& value, double* moved_t, double* moved_h) {
    const DenseOfOne weights = DenseAt(table_, value.theta);
    const double theta = value.theta;
    int first_column = 0, last_column = V - 1;
    if constexpr (!kShared) first_column = last_column = value.lane;
    const double h = primal.h[first_column % kSteps];
    for (int64_t e = 0; e < n_; ++e) {
      for (int l = first_column; l <= last_column; ++l) {
        const double c = value.c[kShared ? e * V + l : e];
        c_start_[e * V + l] += c;
        for (int j = 0; j < table_.carried; ++j) {
          double& to = j == 0 ? c_u_[e * V + l] : c_start_[(j * n_ + e) * V + l];
          const double x = At(j == 0 ? primal.u : Block(primal, j), e, l);
          to = std::fma(h * weights.value[j], c, to);
          moved_h[l] = std::fma((weights.value[j] - theta * weights.slope[j]) * x, c, moved_h[l]);
          moved_t[l] = std::fma(-weights.slope[j] * x, c, moved_t[l]);
        }
      }
    }
  }

  const OneEvaluation table_;
  const Kernel vjp_;
  const int64_t n_, m_;
  std::vector<double> c_u_, c_point_;  // [n][V]
  std::vector<double> c_start_;        // [carried][n][V]
  std::vector<double> c_param_;        // [m][V]
  std::vector<double> scratch_;
  int64_t evaluations_ = 0;
};

}  // namespace costate::reversible

#endif  // COSTATE_ENGINE_SOLVERS_REVERSIBLE_ONE_EVALUATION_TRANSPOSE_H_

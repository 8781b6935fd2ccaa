// Derivatives of the steps of the methods of one evaluation.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/kernel.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/reversible/one_evaluation.h"

namespace costate::reversible {
namespace {

struct Kernels {
  Kernel value, jvp, vjp, vjp_block;
};

// out[n][W] += w x[n][W]
template <int W>
void Add(int64_t n, double w, const double* x, double* out) {
  if (w == 0) return;
  for (int64_t i = 0; i < n * W; ++i) out[i] = std::fma(w, x[i], out[i]);
}

// sum[W] += w x . y with x [n] and y [n][W]
template <int W>
void AddDot(int64_t n, double w, const double* x, const double* y, double* sum) {
  if (w == 0) return;
  for (int64_t e = 0; e < n; ++e) {
    for (int l = 0; l < W; ++l) sum[l] = std::fma(w * x[e], y[e * W + l], sum[l]);
  }
}

template <int W>
class OneEvaluationReplay final : public StepReplay {
 public:
  OneEvaluationReplay(const OneEvaluation& table, Kernels kernels, int64_t num_states,
                      int64_t num_params)
      : table_(table),
        kernels_(std::move(kernels)),
        n_(num_states),
        m_(num_params),
        point_(num_states),
        own_u_(num_states),
        d_u_(num_states * W),
        d_point_(num_states * W),
        c_u_(num_states * W),
        c_point_(num_states * W),
        c_start_(table.carried * num_states * W),
        c_param_(num_params * W) {
    size_t scratch = kernels_.value.scratch_size();
    for (const Kernel* kernel : {&kernels_.jvp, &kernels_.vjp, &kernels_.vjp_block}) {
      scratch = std::max<size_t>(scratch, kernel->scratch_size());
    }
    scratch_.resize(scratch);
  }

  int64_t num_states() const override { return n_; }
  int block() const override { return W; }
  int64_t rhs_evaluations() const override { return evaluations_; }
  int64_t jvp_evaluations() const override { return jvp_evaluations_; }
  int64_t vjp_evaluations() const override { return vjp_evaluations_; }

  void StartJvp(double t0, const double* y0, const double* params, const double* d_t,
                const double* d_p, double* d_carried) override {
    const double* inputs[] = {&t0, y0, params, d_t, d_carried, d_p};
    double* outputs[] = {d_u_.data()};
    kernels_.jvp(inputs, outputs, scratch_.data());
    ++jvp_evaluations_;
    for (int b = 1; b < table_.carried; ++b) {
      const double* from = table_.start[b] == StartsAs::kState ? d_carried : d_u_.data();
      std::copy_n(from, n_ * W, d_carried + b * n_ * W);
    }
  }

  void StartVjp(double t0, const double* y0, const double* params, bool blocks, double* c_carried,
                double* c_p, double* c_t) override {
    if (blocks) {
      PullStart<W>(kernels_.vjp_block, t0, y0, params, c_carried, c_p, c_t);
    } else {
      PullStart<1>(kernels_.vjp, t0, y0, params, c_carried, c_p, c_t);
    }
  }

  void Jvp(const StepRecord& step, const double* params, const double* d_t, const double* d_h,
           const double* d_y, const double* d_p, double* d_y1, double* d_error,
           const double* /*d_k_first*/, double* /*d_k_end*/) override {
    Load(step, params);
    d_t_ = d_t;
    d_h_ = d_h;
    d_y_ = d_y;
    const Pass& pass = table_.there;
    const double h = step.h;
    std::fill(d_point_.begin(), d_point_.end(), 0.0);
    for (int j = 0; j < table_.carried; ++j) {
      Add<W>(n_, pass.point[j].at(h), d_y + j * n_ * W, d_point_.data());
      AddMoved(pass.point[j].b, block(j), d_h, d_point_.data());
    }
    double d_time[W];
    for (int l = 0; l < W; ++l) d_time[l] = std::fma(pass.tau, d_h[l], d_t[l]);
    const double* inputs[] = {&t_point_, point_.data(), params, d_time, d_point_.data(), d_p};
    double* outputs[] = {d_u_.data()};
    kernels_.jvp(inputs, outputs, scratch_.data());
    ++jvp_evaluations_;
    for (int b = 0; b < table_.carried; ++b) {
      double* out = d_y1 + b * n_ * W;
      std::fill_n(out, n_ * W, 0.0);
      for (int j = 0; j < table_.carried; ++j) {
        Add<W>(n_, pass.keep[b][j].at(h), d_y + j * n_ * W, out);
        AddMoved(pass.keep[b][j].b, block(j), d_h, out);
      }
      Add<W>(n_, pass.slope[b].at(h), d_u_.data(), out);
      AddMoved(pass.slope[b].b, u_, d_h, out);
    }
    if (d_error != nullptr) ErrorTangent(d_error);
  }

  void JvpInterpolate(double theta, double* d_out) override {
    const Weights weights = WeightsAt(theta);
    std::copy_n(d_y_, n_ * W, d_out);
    Add<W>(n_, step_.h * weights.value[0], d_u_.data(), d_out);
    AddMotion(weights.value[0], weights.slope[0], theta, u_, d_out);
    for (int j = 1; j < table_.carried; ++j) {
      Add<W>(n_, step_.h * weights.value[j], d_y_ + j * n_ * W, d_out);
      AddMotion(weights.value[j], weights.slope[j], theta, block(j), d_out);
    }
  }

  void Vjp(const StepRecord& step, const double* params, const double* c_y1,
           absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
           double* c_h) override {
    Load(step, params);
    Pull<1>(kernels_.vjp, params, c_y1, saved, c_y, c_p, c_t, c_h);
  }
  void VjpBlock(const StepRecord& step, const double* params, const double* c_y1,
                absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
                double* c_h) override {
    Load(step, params);
    Pull<W>(kernels_.vjp_block, params, c_y1, saved, c_y, c_p, c_t, c_h);
  }

  void Slope(double theta, double* slope) override {
    const Weights weights = WeightsAt(theta);
    for (int64_t e = 0; e < n_; ++e) {
      double sum = weights.slope[0] * u_[e];
      for (int j = 1; j < table_.carried; ++j) sum = std::fma(weights.slope[j], block(j)[e], sum);
      slope[e] = sum;
    }
  }

 private:
  // D_j(theta), that of u first, and their derivatives.
  struct Weights {
    double value[kMaxCarried], slope[kMaxCarried];
  };
  Weights WeightsAt(double theta) const {
    Weights weights;
    for (int j = 0; j < kMaxCarried; ++j) {
      const auto& d = table_.dense[j];
      weights.value[j] = theta * std::fma(theta, std::fma(theta, d[2], d[1]), d[0]);
      weights.slope[j] = std::fma(theta, std::fma(theta, 3 * d[2], 2 * d[1]), d[0]);
    }
    return weights;
  }

  const double* block(int j) const { return step_.y + j * n_; }

  void Load(const StepRecord& step, const double* params) {
    step_ = step;
    const Pass& pass = table_.there;
    std::fill(point_.begin(), point_.end(), 0.0);
    for (int j = 0; j < table_.carried; ++j) {
      Add<1>(n_, pass.point[j].at(step.h), block(j), point_.data());
    }
    t_point_ = pass.tau == 1 ? step.t_next : std::fma(pass.tau, step.h, step.t);
    u_ = step.stages;
    if (u_ != nullptr) return;
    const double* inputs[] = {&t_point_, point_.data(), params};
    double* outputs[] = {own_u_.data()};
    kernels_.value(inputs, outputs, scratch_.data());
    ++evaluations_;
    u_ = own_u_.data();
  }

  // out[n][W] += w x d_h
  static void AddMovedLanes(int64_t n, double w, const double* x, const double* d_h, double* out) {
    if (w == 0) return;
    for (int64_t e = 0; e < n; ++e) {
      for (int l = 0; l < W; ++l) out[e * W + l] = std::fma(w * x[e], d_h[l], out[e * W + l]);
    }
  }
  void AddMoved(double w, const double* x, const double* d_h, double* out) const {
    AddMovedLanes(n_, w, x, d_h, out);
  }

  // y(t + theta h) at a fixed time: theta moves by -(d_t + theta d_h) / h.
  void AddMotion(double value, double slope, double theta, const double* x, double* out) const {
    double moved[W];
    for (int l = 0; l < W; ++l) {
      moved[l] = value * d_h_[l] - slope * std::fma(theta, d_h_[l], d_t_[l]);
    }
    AddMovedLanes(n_, 1, x, moved, out);
  }

  // err = h (sum_j e_j c_j + e_u u)
  void ErrorTangent(double* d_error) const {
    std::fill_n(d_error, n_ * W, 0.0);
    Add<W>(n_, step_.h * table_.error_u, d_u_.data(), d_error);
    AddMoved(table_.error_u, u_, d_h_, d_error);
    for (int j = 1; j < table_.carried; ++j) {
      Add<W>(n_, step_.h * table_.error[j], d_y_ + j * n_ * W, d_error);
      AddMoved(table_.error[j], block(j), d_h_, d_error);
    }
  }

  template <int V>
  void PullStart(const Kernel& vjp, double t0, const double* y0, const double* params,
                 double* c_carried, double* c_p, double* c_t) {
    std::fill_n(c_u_.data(), n_ * V, 0.0);
    for (int b = 1; b < table_.carried; ++b) {
      double* to = table_.start[b] == StartsAs::kState ? c_carried : c_u_.data();
      Add<V>(n_, 1, c_carried + b * n_ * V, to);
    }
    double c_time[V];
    CallVjp(vjp, &t0, y0, params, c_time);
    Add<V>(n_, 1, c_point_.data(), c_carried);
    Add<V>(m_, 1, c_param_.data(), c_p);
    for (int l = 0; l < V; ++l) c_t[l] += c_time[l];
  }

  // c_point_ and c_param_ from c_u_.
  void CallVjp(const Kernel& vjp, const double* t, const double* y, const double* params,
               double* c_time) {
    const double* inputs[] = {t, y, params, c_u_.data()};
    double* outputs[] = {c_time, c_point_.data(), c_param_.data()};
    vjp(inputs, outputs, scratch_.data());
    ++vjp_evaluations_;
  }

  template <int V>
  void Pull(const Kernel& vjp, const double* params, const double* c_y1,
            absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
            double* c_h) {
    const Pass& pass = table_.there;
    const double h = step_.h;
    const int64_t count = n_ * V;
    double moved_t[V] = {}, moved_h[V] = {};
    std::fill_n(c_start_.data(), table_.carried * count, 0.0);
    std::fill_n(c_u_.data(), count, 0.0);
    for (int b = 0; b < table_.carried; ++b) {
      const double* c = c_y1 + b * count;
      for (int j = 0; j < table_.carried; ++j) {
        Add<V>(n_, pass.keep[b][j].at(h), c, c_start_.data() + j * count);
        AddDot<V>(n_, pass.keep[b][j].b, block(j), c, moved_h);
      }
      Add<V>(n_, pass.slope[b].at(h), c, c_u_.data());
      AddDot<V>(n_, pass.slope[b].b, u_, c, moved_h);
    }
    for (const SavedCotangent& value : saved) PullSaved<V>(value, moved_t, moved_h);
    double c_time[V];
    CallVjp(vjp, &t_point_, point_.data(), params, c_time);
    for (int j = 0; j < table_.carried; ++j) {
      Add<V>(n_, pass.point[j].at(h), c_point_.data(), c_start_.data() + j * count);
      AddDot<V>(n_, pass.point[j].b, block(j), c_point_.data(), moved_h);
    }
    Add<V>(m_, 1, c_param_.data(), c_p);
    for (int l = 0; l < V; ++l) {
      if (c_t != nullptr) c_t[l] += moved_t[l] + c_time[l];
      if (c_h != nullptr) c_h[l] += moved_h[l] + pass.tau * c_time[l];
    }
    std::copy_n(c_start_.data(), table_.carried * count, c_y);
  }

  // y(t + theta h) = y + h (D_u u + sum_j D_j c_j) at a fixed time.
  template <int V>
  void PullSaved(const SavedCotangent& value, double* moved_t, double* moved_h) {
    const Weights weights = WeightsAt(value.theta);
    Add<V>(n_, 1, value.c, c_start_.data());
    for (int j = 0; j < table_.carried; ++j) {
      double* to = j == 0 ? c_u_.data() : c_start_.data() + j * n_ * V;
      const double* x = j == 0 ? u_ : block(j);
      Add<V>(n_, step_.h * weights.value[j], value.c, to);
      AddDot<V>(n_, weights.value[j] - value.theta * weights.slope[j], x, value.c, moved_h);
      AddDot<V>(n_, -weights.slope[j], x, value.c, moved_t);
    }
  }

  const OneEvaluation table_;
  const Kernels kernels_;
  const int64_t n_, m_;
  StepRecord step_;
  double t_point_ = 0;
  const double* u_ = nullptr;  // [n]
  const double* d_t_ = nullptr;
  const double* d_h_ = nullptr;
  const double* d_y_ = nullptr;
  std::vector<double> point_, own_u_;  // [n]
  std::vector<double> d_u_, d_point_;  // [n][W]
  std::vector<double> c_u_, c_point_;  // [n][W]
  std::vector<double> c_start_;        // [carried][n][W]
  std::vector<double> c_param_;        // [m][W]
  std::vector<double> scratch_;
  int64_t evaluations_ = 0, jvp_evaluations_ = 0, vjp_evaluations_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StepReplay>> MakeOneEvaluationReplay(const Scheme& scheme,
                                                                    const VectorField& field,
                                                                    const ReplayUse& use) {
  const int lanes = field.simd_lanes();
  Kernels kernels;
  ASSIGN_OR_RETURN(kernels.value, field.Get(MapKernel::kValue, 1));
  if (use.tangents) {
    ASSIGN_OR_RETURN(kernels.jvp, field.Get(MapKernel::kTangentBlock, lanes));
  }
  if (use.cotangents) {
    ASSIGN_OR_RETURN(kernels.vjp, field.Get(MapKernel::kVjp, 1));
  }
  if (use.cotangent_blocks) {
    ASSIGN_OR_RETURN(kernels.vjp_block, field.Get(MapKernel::kCotangentBlock, lanes));
  }
  const auto make = [&]<int W>() -> std::unique_ptr<StepReplay> {
    return std::make_unique<OneEvaluationReplay<W>>(TableOf(scheme), std::move(kernels),
                                                    field.num_states(), field.num_params());
  };
  if (lanes == 1) return make.template operator()<1>();
  if (lanes == 2) return make.template operator()<2>();
  if (lanes == 4) return make.template operator()<4>();
  if (lanes == 8) return make.template operator()<8>();
  return absl::InvalidArgumentError("lane count must be 1, 2, 4 or 8");
}

}  // namespace costate::reversible

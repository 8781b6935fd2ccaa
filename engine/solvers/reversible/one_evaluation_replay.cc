// Derivatives of the steps of the methods of one evaluation.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/kernel.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/reversible/one_evaluation.h"
#include "engine/solvers/reversible/one_evaluation_transpose.h"

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

template <int W>
class OneEvaluationReplay final : public StepReplay {
 public:
  OneEvaluationReplay(const OneEvaluation& table, Kernels kernels, int64_t num_states,
                      int64_t num_params)
      : table_(table),
        value_(std::move(kernels.value)),
        jvp_(std::move(kernels.jvp)),
        n_(num_states),
        cotangent_(table, std::move(kernels.vjp), num_states, num_params),
        cotangents_(table, std::move(kernels.vjp_block), num_states, num_params),
        point_(num_states),
        own_u_(num_states),
        d_u_(num_states * W),
        d_point_(num_states * W),
        scratch_(std::max(value_.scratch_size(), jvp_.scratch_size())) {}

  int64_t num_states() const override { return n_; }
  int block() const override { return W; }
  int64_t rhs_evaluations() const override { return evaluations_; }
  int64_t jvp_evaluations() const override { return jvp_evaluations_; }
  int64_t vjp_evaluations() const override {
    return cotangent_.evaluations() + cotangents_.evaluations();
  }

  void StartJvp(double t0, const double* y0, const double* params, const double* d_t,
                const double* d_p, double* d_carried) override {
    const double* inputs[] = {&t0, y0, params, d_t, d_carried, d_p};
    double* outputs[] = {d_u_.data()};
    jvp_(inputs, outputs, scratch_.data());
    ++jvp_evaluations_;
    for (int b = 1; b < table_.carried; ++b) {
      const double* from = table_.start[b] == StartsAs::kState ? d_carried : d_u_.data();
      std::copy_n(from, n_ * W, d_carried + b * n_ * W);
    }
  }

  void StartVjp(double t0, const double* y0, const double* params, bool blocks, double* c_carried,
                double* c_p, double* c_t) override {
    if (blocks) {
      cotangents_.RunStart({&t0, nullptr, nullptr, y0, nullptr, params}, c_carried, c_p, c_t);
    } else {
      cotangent_.RunStart({&t0, nullptr, nullptr, y0, nullptr, params}, c_carried, c_p, c_t);
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
    jvp_(inputs, outputs, scratch_.data());
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
    const DenseOfOne weights = DenseAt(table_, theta);
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
    cotangent_.Run({&t_point_, &step_.h, step_.y, point_.data(), u_, params}, c_y1, saved,
                   {c_y, c_p, c_t, c_h});
  }
  void VjpBlock(const StepRecord& step, const double* params, const double* c_y1,
                absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
                double* c_h) override {
    Load(step, params);
    cotangents_.Run({&t_point_, &step_.h, step_.y, point_.data(), u_, params}, c_y1, saved,
                    {c_y, c_p, c_t, c_h});
  }

  void Slope(double theta, double* slope) override {
    const DenseOfOne weights = DenseAt(table_, theta);
    for (int64_t e = 0; e < n_; ++e) {
      double sum = weights.slope[0] * u_[e];
      for (int j = 1; j < table_.carried; ++j) sum = std::fma(weights.slope[j], block(j)[e], sum);
      slope[e] = sum;
    }
  }

 private:
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
    value_(inputs, outputs, scratch_.data());
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

  const OneEvaluation table_;
  const Kernel value_, jvp_;
  const int64_t n_;
  OneEvaluationTranspose<1, true> cotangent_;
  OneEvaluationTranspose<W, true> cotangents_;
  StepRecord step_;
  double t_point_ = 0;
  const double* u_ = nullptr;  // [n]
  const double* d_t_ = nullptr;
  const double* d_h_ = nullptr;
  const double* d_y_ = nullptr;
  std::vector<double> point_, own_u_;  // [n]
  std::vector<double> d_u_, d_point_;  // [n][W]
  std::vector<double> scratch_;
  int64_t evaluations_ = 0, jvp_evaluations_ = 0;
};

// Recorded steps in W lanes.
template <int W>
class OneEvaluationLaneReplay final : public LaneReplay {
 public:
  OneEvaluationLaneReplay(const OneEvaluation& table, Kernel vjp, Kernel start, int64_t num_states,
                          int64_t num_params)
      : table_(table),
        n_(num_states),
        m_(num_params),
        transpose_(table, std::move(vjp), num_states, num_params),
        start_(table, std::move(start), num_states, num_params),
        point_(num_states * W),
        c_carried_(table.carried * num_states),
        c_param_(num_params) {}

  int lanes() const override { return W; }
  int64_t rhs_evaluations() const override { return 0; }
  int64_t vjp_evaluations() const override {
    return transpose_.evaluations() + start_.evaluations();
  }

  void Vjp(const LaneSteps& steps, const double* params, const double* c_y1,
           absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
           double* c_h) override {
    Load(steps);
    transpose_.Run({t_point_, steps.h, steps.y, point_.data(), steps.stages, params}, c_y1, saved,
                   {c_y, c_p, c_t, c_h});
  }

  void StartVjp(int lane, double t0, const double* y0, const double* params, double* c_carried,
                double* c_p, double* c_t) override {
    const int64_t size = table_.carried * n_;
    for (int64_t i = 0; i < size; ++i) c_carried_[i] = c_carried[i * W + lane];
    for (int64_t i = 0; i < m_; ++i) c_param_[i] = c_p[i * W + lane];
    start_.RunStart({&t0, nullptr, nullptr, y0, nullptr, params}, c_carried_.data(),
                    c_param_.data(), c_t + lane);
    for (int64_t i = 0; i < size; ++i) c_carried[i * W + lane] = c_carried_[i];
    for (int64_t i = 0; i < m_; ++i) c_p[i * W + lane] = c_param_[i];
  }

  void Slope(int lane, double theta, double* slope) override {
    const DenseOfOne weights = DenseAt(table_, theta);
    for (int64_t e = 0; e < n_; ++e) {
      double sum = weights.slope[0] * steps_.stages[e * W + lane];
      for (int j = 1; j < table_.carried; ++j) {
        sum = std::fma(weights.slope[j], steps_.y[(j * n_ + e) * W + lane], sum);
      }
      slope[e] = sum;
    }
  }

 private:
  void Load(const LaneSteps& steps) {
    steps_ = steps;
    const Pass& pass = table_.there;
    for (int l = 0; l < W; ++l) {
      t_point_[l] = pass.tau == 1 ? steps.t_next[l] : std::fma(pass.tau, steps.h[l], steps.t[l]);
    }
    std::fill(point_.begin(), point_.end(), 0.0);
    for (int j = 0; j < table_.carried; ++j) {
      if (pass.point[j].zero()) continue;
      double weight[W];
      for (int l = 0; l < W; ++l) weight[l] = pass.point[j].at(steps.h[l]);
      const double* block = steps.y + j * n_ * W;
      for (int64_t i = 0; i < n_ * W; i += W) {
        for (int l = 0; l < W; ++l) {
          point_[i + l] = std::fma(weight[l], block[i + l], point_[i + l]);
        }
      }
    }
  }

  const OneEvaluation table_;
  const int64_t n_, m_;
  OneEvaluationTranspose<W, false> transpose_;
  OneEvaluationTranspose<1, true> start_;
  LaneSteps steps_;
  double t_point_[W] = {};
  std::vector<double> point_;                // [n][W]
  std::vector<double> c_carried_, c_param_;  // [carried][n], [m]: one lane
};

// make.template operator()<W>() for W = `lanes`.
template <typename F>
auto ForLanes(int lanes, F make) -> decltype(make.template operator()<2>()) {
  if (lanes == 2) return make.template operator()<2>();
  if (lanes == 4) return make.template operator()<4>();
  if (lanes == 8) return make.template operator()<8>();
  return absl::InvalidArgumentError("lane count must be 1, 2, 4 or 8");
}

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
  const auto make = [&]<int W>() -> absl::StatusOr<std::unique_ptr<StepReplay>> {
    return std::make_unique<OneEvaluationReplay<W>>(TableOf(scheme), std::move(kernels),
                                                    field.num_states(), field.num_params());
  };
  return lanes == 1 ? make.template operator()<1>() : ForLanes(lanes, make);
}

absl::StatusOr<std::unique_ptr<LaneReplay>> MakeOneEvaluationLaneReplay(const Scheme& scheme,
                                                                        const VectorField& field) {
  const int lanes = field.simd_lanes();
  ASSIGN_OR_RETURN(Kernel vjp, field.Get(MapKernel::kVjp, lanes));
  ASSIGN_OR_RETURN(Kernel start, field.Get(MapKernel::kVjp, 1));
  return ForLanes(lanes, [&]<int W>() -> absl::StatusOr<std::unique_ptr<LaneReplay>> {
    return std::make_unique<OneEvaluationLaneReplay<W>>(
        TableOf(scheme), std::move(vjp), std::move(start), field.num_states(), field.num_params());
  });
}

}  // namespace costate::reversible

// Steps of the methods of one evaluation, there and back.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "engine/base/kernel.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/reversible/one_evaluation.h"

namespace costate::reversible {
namespace {

// out[n][W] = sum_j w_j(h) c_j + w_u(h) u, skipping what is zero for every h.
template <int W>
void Combine(int64_t n, int carried, const Affine* weights, Affine weight_u, const double* h,
             const double* c, const double* u, double* out) {
  const int64_t count = n * W;
  double w[kMaxCarried + 1][W];
  const double* rows[kMaxCarried + 1];
  int used = 0;
  const auto use = [&](Affine weight, const double* row) {
    if (weight.zero()) return;
    for (int l = 0; l < W; ++l) w[used][l] = weight.at(h[l]);
    rows[used++] = row;
  };
  for (int j = 0; j < carried; ++j) use(weights[j], c + j * count);
  use(weight_u, u);
  for (int64_t i = 0; i < count; i += W) {
    for (int l = 0; l < W; ++l) {
      double sum = w[0][l] * rows[0][i + l];
      for (int r = 1; r < used; ++r) sum = std::fma(w[r][l], rows[r][i + l], sum);
      out[i + l] = sum;
    }
  }
}

template <int W>
class OneEvaluationStepper final : public Stepper {
 public:
  OneEvaluationStepper(const OneEvaluation& table, Kernel value, Kernel start, int64_t num_states,
                       int64_t num_params)
      : table_(table),
        value_(std::move(value)),
        start_(std::move(start)),
        n_(num_states),
        m_(num_params),
        carried_(table.carried * num_states * W),
        next_(carried_.size()),
        u_(num_states * W),
        point_(num_states * W),
        params_(num_params * W),
        scratch_(std::max(value_.scratch_size(), start_.scratch_size())),
        derivative_(num_states) {}

  int lanes() const override { return W; }
  const double* y() const override { return carried_.data(); }
  const double* y_new() const override { return next_.data(); }
  const double* stages() const override { return u_.data(); }
  int64_t rhs_evaluations(int lane) const override { return evaluations_[lane]; }

  void Reset(int lane, double t, const double* y, const double* p,
             const double* derivative) override {
    evaluations_[lane] = derivative == nullptr ? 1 : 0;
    if (derivative == nullptr) {
      const double* inputs[] = {&t, y, p};
      double* outputs[] = {derivative_.data()};
      start_(inputs, outputs, scratch_.data());
      derivative = derivative_.data();
    }
    SetLane(lane, t, p);
    for (int b = 0; b < table_.carried; ++b) {
      const bool state = b == 0 || table_.start[b] == StartsAs::kState;
      SetBlock(lane, b, state ? y : derivative);
    }
  }
  void Resume(int lane, double t, const double* carried, const double* p) override {
    evaluations_[lane] = 0;
    SetLane(lane, t, p);
    for (int b = 0; b < table_.carried; ++b) SetBlock(lane, b, carried + b * n_);
  }
  void MoveTo(const double* t, const double* carried) override {
    std::copy_n(t, W, t_);
    std::copy_n(t, W, t_next_);
    std::copy_n(carried, carried_.size(), carried_.data());
  }

  void Step(const double* t_next) override {
    const Pass& pass = table_.there;
    for (int l = 0; l < W; ++l) {
      t_next_[l] = t_next[l];
      h_[l] = t_next[l] - t_[l];
      t_point_[l] = pass.tau == 1 ? t_next[l] : std::fma(pass.tau, h_[l], t_[l]);
      ++evaluations_[l];
    }
    Combine<W>(n_, table_.carried, pass.point.data(), {}, h_, carried_.data(), nullptr,
               point_.data());
    const double* inputs[] = {t_point_, point_.data(), params_.data()};
    double* outputs[] = {u_.data()};
    value_(inputs, outputs, scratch_.data());
    for (int b = 0; b < table_.carried; ++b) {
      Combine<W>(n_, table_.carried, pass.keep[b].data(), pass.slope[b], h_, carried_.data(),
                 u_.data(), next_.data() + b * n_ * W);
    }
  }

  double SquaredError(const double* atol, double rtol, double* out) const override {
    double sum[W] = {};
    for (int64_t e = 0; e < n_; ++e) {
      for (int l = 0; l < W; ++l) sum[l] += SquaredRatio(e, l, atol[e], rtol);
    }
    for (int l = 0; l < W; ++l) out[l] = sum[l] / static_cast<double>(n_);
    return out[0];
  }

  void CheckFinite(double* out) const override {
    for (int l = 0; l < W; ++l) out[l] = 0;
    for (size_t i = 0; i < next_.size(); i += W) {
      for (int l = 0; l < W; ++l) out[l] += next_[i + l] * 0;
    }
  }

  int64_t WorstElement(int lane, const double* atol, double rtol) const override {
    for (const double* values : {u_.data(), next_.data()}) {
      for (int64_t e = 0; e < n_; ++e) {
        if (!std::isfinite(values[e * W + lane])) return e;
      }
    }
    int64_t worst = 0;
    double largest = -1;
    for (int64_t e = 0; e < n_; ++e) {
      const double ratio = SquaredRatio(e, lane, atol[e], rtol);
      if (ratio > largest) {
        largest = ratio;
        worst = e;
      }
    }
    return worst;
  }

  void Advance(const bool* accept) override {
    for (size_t i = 0; i < carried_.size(); i += W) {
      for (int l = 0; l < W; ++l) carried_[i + l] = accept[l] ? next_[i + l] : carried_[i + l];
    }
    for (int l = 0; l < W; ++l) t_[l] = accept[l] ? t_next_[l] : t_[l];
  }

  void Interpolate(int lane, double theta, double* y) override {
    if (theta == 0 || theta == 1) {
      const std::vector<double>& source = theta == 0 ? carried_ : next_;
      for (int64_t e = 0; e < n_; ++e) y[e] = source[e * W + lane];
      return;
    }
    double weights[kMaxCarried];
    for (int j = 0; j < kMaxCarried; ++j) {
      const auto& d = table_.dense[j];
      weights[j] = theta * std::fma(theta, std::fma(theta, d[2], d[1]), d[0]);
    }
    for (int64_t e = 0; e < n_; ++e) {
      const int64_t i = e * W + lane;
      double sum = weights[0] * u_[i];
      for (int j = 1; j < table_.carried; ++j) {
        sum = std::fma(weights[j], carried_[j * n_ * W + i], sum);
      }
      y[e] = std::fma(h_[lane], sum, carried_[i]);
    }
  }

 private:
  void SetLane(int lane, double t, const double* p) {
    t_[lane] = t_next_[lane] = t;
    for (int64_t i = 0; i < m_; ++i) params_[i * W + lane] = p[i];
  }
  void SetBlock(int lane, int block, const double* values) {
    double* rows = carried_.data() + block * n_ * W + lane;
    for (int64_t e = 0; e < n_; ++e) rows[e * W] = values[e];
  }

  // (error / weight)^2; NaN where what is carried is not finite.
  double SquaredRatio(int64_t e, int lane, double atol, double rtol) const {
    const int64_t i = e * W + lane;
    double error = table_.error_u * u_[i];
    double finite = next_[i] * 0.0;
    for (int j = 1; j < table_.carried; ++j) {
      error = std::fma(table_.error[j], carried_[j * n_ * W + i], error);
      finite += next_[j * n_ * W + i] * 0.0;
    }
    const double scale = std::max(std::abs(carried_[i]), std::abs(next_[i]));
    const double weight = std::max(std::fma(rtol, scale, atol), std::numeric_limits<double>::min());
    const double ratio = std::fma(h_[lane] / weight, error, finite);
    return ratio * ratio;
  }

  const OneEvaluation table_;
  const Kernel value_, start_;
  const int64_t n_, m_;
  std::vector<double> carried_, next_;  // [carried][n][W]
  std::vector<double> u_, point_;       // [n][W]
  std::vector<double> params_;          // [m][W]
  std::vector<double> scratch_, derivative_;
  double t_[W] = {}, t_next_[W] = {}, t_point_[W] = {}, h_[W] = {};
  int64_t evaluations_[W] = {};
};

template <int W>
class OneEvaluationInverse final : public StepInverse {
 public:
  OneEvaluationInverse(const OneEvaluation& table, Kernel value, int64_t num_states,
                       int64_t num_params)
      : table_(table),
        value_(std::move(value)),
        n_(num_states),
        m_(num_params),
        params_(num_params * W),
        start_(table.carried * num_states * W),
        point_(num_states * W),
        scratch_(value_.scratch_size()) {}

  int lanes() const override { return W; }
  void SetParams(int lane, const double* params) override {
    for (int64_t i = 0; i < m_; ++i) params_[i * W + lane] = params[i];
  }

  bool Undo(const double* t, const double* t_next, const double* end, double* start,
            double* stages) override {
    const Pass& pass = table_.back;
    double h[W], t_point[W];
    for (int l = 0; l < W; ++l) {
      h[l] = -(t_next[l] - t[l]);
      t_point[l] = pass.tau == 1 ? t[l] : std::fma(table_.there.tau, -h[l], t[l]);
    }
    Combine<W>(n_, table_.carried, pass.point.data(), {}, h, end, nullptr, point_.data());
    const double* inputs[] = {t_point, point_.data(), params_.data()};
    double* outputs[] = {stages};
    value_(inputs, outputs, scratch_.data());
    ++evaluations_;
    for (int b = 0; b < table_.carried; ++b) {
      Combine<W>(n_, table_.carried, pass.keep[b].data(), pass.slope[b], h, end, stages,
                 start_.data() + b * n_ * W);
    }
    // Where the way there carries u itself, the way back evaluates f elsewhere.
    if (const int b = BlockOfU(); b > 0) std::copy_n(end + b * n_ * W, n_ * W, stages);
    std::copy(start_.begin(), start_.end(), start);
    return true;
  }
  int64_t rhs_evaluations() const override { return evaluations_; }

 private:
  int BlockOfU() const {
    for (int b = 1; b < table_.carried; ++b) {
      const auto& keep = table_.there.keep[b];
      if (std::all_of(keep.begin(), keep.end(), [](Affine w) { return w.zero(); })) return b;
    }
    return 0;
  }

  const OneEvaluation table_;
  const Kernel value_;
  const int64_t n_, m_;
  std::vector<double> params_;         // [m][W]
  std::vector<double> start_, point_;  // [carried][n][W], [n][W]
  std::vector<double> scratch_;
  int64_t evaluations_ = 0;
};

// make.template operator()<W>() for W = `lanes`.
template <typename F>
auto ForLanes(int lanes, F make) -> decltype(make.template operator()<1>()) {
  if (lanes == 1) return make.template operator()<1>();
  if (lanes == 2) return make.template operator()<2>();
  if (lanes == 4) return make.template operator()<4>();
  if (lanes == 8) return make.template operator()<8>();
  return absl::InvalidArgumentError("lane count must be 1, 2, 4 or 8");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Stepper>> MakeOneEvaluationStepper(const Scheme& scheme,
                                                                  const VectorField& field,
                                                                  int lanes) {
  const OneEvaluation table = TableOf(scheme);
  ASSIGN_OR_RETURN(Kernel value, field.Get(MapKernel::kValue, lanes));
  ASSIGN_OR_RETURN(Kernel start, field.Get(MapKernel::kValue, 1));
  return ForLanes(lanes, [&]<int W>() -> absl::StatusOr<std::unique_ptr<Stepper>> {
    return std::make_unique<OneEvaluationStepper<W>>(table, std::move(value), std::move(start),
                                                     field.num_states(), field.num_params());
  });
}

absl::StatusOr<std::unique_ptr<StepInverse>> MakeOneEvaluationInverse(const Scheme& scheme,
                                                                      const VectorField& field,
                                                                      int lanes) {
  ASSIGN_OR_RETURN(Kernel value, field.Get(MapKernel::kValue, lanes));
  return ForLanes(lanes, [&]<int W>() -> absl::StatusOr<std::unique_ptr<StepInverse>> {
    return std::make_unique<OneEvaluationInverse<W>>(TableOf(scheme), std::move(value),
                                                     field.num_states(), field.num_params());
  });
}

}  // namespace costate::reversible

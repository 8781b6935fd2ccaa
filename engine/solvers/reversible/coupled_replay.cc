// Derivatives of the steps of the reversible construction, made of those of its base method.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/kernel.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/reversible/coupled.h"

namespace costate::reversible {
namespace {

using Replay = std::unique_ptr<StepReplay>;

class CoupledReplay final : public StepReplay {
 public:
  CoupledReplay(double coupling, int base_stages, Replay first, Replay second,
                std::unique_ptr<Stepper> stepper, int64_t num_params)
      : coupling_(coupling),
        base_stages_(base_stages),
        n_(first->num_states()),
        m_(num_params),
        width_(first->block()),
        first_(std::move(first)),
        second_(std::move(second)),
        stepper_(std::move(stepper)),
        end_(n_ * width_),
        other_(n_ * width_),
        whole_(n_ * width_) {}

  int64_t num_states() const override { return n_; }
  int block() const override { return width_; }
  int64_t rhs_evaluations() const override {
    return evaluations_ + first_->rhs_evaluations() + second_->rhs_evaluations();
  }
  int64_t jvp_evaluations() const override {
    return first_->jvp_evaluations() + second_->jvp_evaluations();
  }
  int64_t vjp_evaluations() const override {
    return first_->vjp_evaluations() + second_->vjp_evaluations();
  }

  void StartJvp(double /*t0*/, const double* /*y0*/, const double* /*params*/,
                const double* /*d_t*/, const double* /*d_p*/, double* d_carried) override {
    std::copy_n(d_carried, n_ * width_, d_carried + n_ * width_);
  }
  void StartVjp(double /*t0*/, const double* /*y0*/, const double* /*params*/, bool blocks,
                double* c_carried, double* /*c_p*/, double* /*c_t*/) override {
    const int64_t count = n_ * (blocks ? width_ : 1);
    for (int64_t i = 0; i < count; ++i) c_carried[i] += c_carried[count + i];
  }

  void Jvp(const StepRecord& step, const double* params, const double* d_t, const double* d_h,
           const double* d_y, const double* d_p, double* d_y1, double* d_error,
           const double* /*d_k_first*/, double* /*d_k_end*/) override {
    Load(step, params);
    const int64_t count = n_ * width_;
    d_y_ = d_y;
    d_t_ = d_t;
    d_h_ = d_h;
    const double* d_z = d_y + count;
    double* d_z1 = d_y1 + count;
    first_->Jvp(forth_, params, d_t, d_h, d_z, d_p, end_.data(), nullptr);
    for (int64_t i = 0; i < count; ++i) d_y1[i] = std::fma(coupling_, d_y[i] - d_z[i], end_[i]);
    for (int l = 0; l < width_; ++l) {
      d_t1_[l] = d_t[l] + d_h[l];
      d_back_[l] = -d_h[l];
    }
    second_->Jvp(back_, params, d_t1_, d_back_, d_y1, d_p, other_.data(), d_error);
    for (int64_t i = 0; i < count; ++i) d_z1[i] = d_z[i] - (other_[i] - d_y1[i]);
  }

  void JvpInterpolate(double theta, double* d_out) override {
    const int64_t count = n_ * width_;
    first_->JvpInterpolate(theta, d_out);
    const double weight = Weight(theta);
    for (int64_t e = 0; e < n_; ++e) {
      const double apart = (step_.y[e] - step_.y[n_ + e]) * (coupling_ - 1) / step_.h;
      for (int l = 0; l < width_; ++l) {
        const int64_t i = e * width_ + l;
        d_out[i] = std::fma(weight, d_y_[i] - d_y_[count + i], d_out[i]);
        // theta moves by -(d_t + theta d_h) / h.
        d_out[i] -= apart * std::fma(theta, d_h_[l], d_t_[l]);
      }
    }
  }

  void Vjp(const StepRecord& step, const double* params, const double* c_y1,
           absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
           double* c_h) override {
    Pull(1, step, params, c_y1, saved, c_y, c_p, c_t, c_h);
  }
  void VjpBlock(const StepRecord& step, const double* params, const double* c_y1,
                absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
                double* c_h) override {
    Pull(width_, step, params, c_y1, saved, c_y, c_p, c_t, c_h);
  }

  void Slope(double theta, double* slope) override {
    first_->Slope(theta, slope);
    for (int64_t e = 0; e < n_; ++e) {
      slope[e] += (step_.y[e] - step_.y[n_ + e]) * (coupling_ - 1) / step_.h;
    }
  }

 private:
  double Weight(double theta) const { return std::fma(theta, coupling_ - 1, 1.0); }

  // The two increments as steps of the base method.
  void Load(const StepRecord& step, const double* params) {
    step_ = step;
    const double* stages = step.stages;
    if (stages == nullptr) {
      stepper_->Resume(0, step.t, step.y, params);
      stepper_->Step(&step.t_next);
      stages = stepper_->stages();
      evaluations_ += stepper_->rhs_evaluations(0);
    }
    const double* second = stages + base_stages_ * n_;
    forth_ = step;
    forth_.y = step.y + n_;
    forth_.stages = stages;
    back_ = {.t = step.t_next,
             .h = step.t - step.t_next,
             .t_next = step.t,
             .y = second + base_stages_ * n_,
             .stages = second};
  }

  // V = 1 or W cotangents at once.
  void Pull(int lanes, const StepRecord& step, const double* params, const double* c_y1,
            absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
            double* c_h) {
    Load(step, params);
    const int64_t count = n_ * lanes;
    const auto pull = [&](StepReplay& replay, const StepRecord& increment,
                          absl::Span<const SavedCotangent> values, double* c, double* t,
                          double* h) {
      if (lanes == 1) {
        replay.Vjp(increment, params, c, values, c, c_p, t, h);
      } else {
        replay.VjpBlock(increment, params, c, values, c, c_p, t, h);
      }
    };
    // z1 = z0 + y1 - Phi_{-h}(t1, y1)
    const bool moves = c_t != nullptr || c_h != nullptr;
    double moved_t[kMaxLanes] = {}, moved_h[kMaxLanes] = {};
    const double* c_z1 = c_y1 + count;
    for (int64_t i = 0; i < count; ++i) other_[i] = -c_z1[i];
    pull(*second_, back_, {}, other_.data(), moves ? moved_t : nullptr, moves ? moved_h : nullptr);
    for (int64_t i = 0; i < count; ++i) whole_[i] = c_y1[i] + (other_[i] + c_z1[i]);
    // y1 = Phi_h(t, z0) + lambda (y0 - z0)
    std::copy_n(whole_.data(), count, end_.data());
    pull(*first_, forth_, saved, end_.data(), c_t, c_h);
    for (int64_t i = 0; i < count; ++i) {
      c_y[count + i] = c_z1[i] + std::fma(-coupling_, whole_[i], end_[i]);
      c_y[i] = coupling_ * whole_[i];
    }
    for (int l = 0; l < lanes; ++l) {
      if (c_t != nullptr) c_t[l] += moved_t[l];
      if (c_h != nullptr) c_h[l] += moved_t[l] - moved_h[l];
    }
    for (const SavedCotangent& value : saved) PullSaved(lanes, value, c_y, c_t, c_h);
  }

  // The part w(theta) (y0 - z0) of a saved value; the rest is the base method's.
  void PullSaved(int lanes, const SavedCotangent& value, double* c_y, double* c_t,
                 double* c_h) const {
    const int64_t count = n_ * lanes;
    const double weight = Weight(value.theta);
    for (int64_t i = 0; i < count; ++i) {
      c_y[i] = std::fma(weight, value.c[i], c_y[i]);
      c_y[count + i] = std::fma(-weight, value.c[i], c_y[count + i]);
    }
    if (c_t == nullptr && c_h == nullptr) return;
    for (int64_t e = 0; e < n_; ++e) {
      const double apart = (step_.y[e] - step_.y[n_ + e]) * (coupling_ - 1) / step_.h;
      for (int l = 0; l < lanes; ++l) {
        const double moved = value.c[e * lanes + l] * apart;
        if (c_t != nullptr) c_t[l] -= moved;
        if (c_h != nullptr) c_h[l] = std::fma(-value.theta, moved, c_h[l]);
      }
    }
  }

  const double coupling_;
  const int base_stages_;
  const int64_t n_, m_;
  const int width_;
  const Replay first_, second_;
  const std::unique_ptr<Stepper> stepper_;
  StepRecord step_, forth_, back_;
  const double* d_y_ = nullptr;
  const double* d_t_ = nullptr;
  const double* d_h_ = nullptr;
  double d_t1_[kMaxLanes] = {}, d_back_[kMaxLanes] = {};
  std::vector<double> end_, other_, whole_;  // [n][W]
  int64_t evaluations_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StepReplay>> MakeCoupledReplay(const Scheme& scheme,
                                                              const VectorField& field,
                                                              const ReplayUse& use) {
  ASSIGN_OR_RETURN(Replay first, MakeStepReplay(scheme.method, field, use));
  ASSIGN_OR_RETURN(Replay second, MakeStepReplay(scheme.method, field, use));
  ASSIGN_OR_RETURN(std::unique_ptr<Stepper> stepper, MakeCoupledStepper(scheme, field, 1));
  return std::make_unique<CoupledReplay>(*scheme.coupling, GetMethodInfo(scheme.method).stages,
                                         std::move(first), std::move(second), std::move(stepper),
                                         field.num_params());
}

}  // namespace costate::reversible

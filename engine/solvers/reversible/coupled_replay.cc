// Derivatives of the steps of the reversible construction, made of those of its base method.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/kernel.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/reversible/coupled.h"
#include "engine/solvers/reversible/coupled_transpose.h"

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
        transpose_(coupling, n_, width_),
        end_(n_ * width_),
        other_(n_ * width_) {}

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
    const double weight = transpose_.Weight(theta);
    for (int64_t e = 0; e < n_; ++e) {
      const double apart = Apart(e);
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
    for (int64_t e = 0; e < n_; ++e) slope[e] += Apart(e);
  }

 private:
  double Apart(int64_t e) const { return transpose_.Apart({step_.y, &step_.h}, 1, e, 0); }

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
  void Pull(int columns, const StepRecord& step, const double* params, const double* c_y1,
            absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
            double* c_h) {
    Load(step, params);
    const auto pull = [&](StepReplay& replay, const StepRecord& increment,
                          absl::Span<const SavedCotangent> values, double* c, double* t,
                          double* h) {
      if (columns == 1) {
        replay.Vjp(increment, params, c, values, c, c_p, t, h);
      } else {
        replay.VjpBlock(increment, params, c, values, c, c_p, t, h);
      }
    };
    transpose_.Run(
        columns, {step_.y, &step_.h}, c_y1, saved, {c_y, c_t, c_h},
        [&](double* c, double* t, double* h) { pull(*first_, forth_, saved, c, t, h); },
        [&](double* c, double* t, double* h) { pull(*second_, back_, {}, c, t, h); });
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
  CoupledTranspose<true> transpose_;
  std::vector<double> end_, other_;  // [n][W]
  int64_t evaluations_ = 0;
};

class CoupledLaneReplay final : public LaneReplay {
 public:
  CoupledLaneReplay(double coupling, int base_stages, std::unique_ptr<LaneReplay> first,
                    std::unique_ptr<LaneReplay> second, int64_t num_states)
      : base_stages_(base_stages),
        width_(first->lanes()),
        n_(num_states),
        first_(std::move(first)),
        second_(std::move(second)),
        transpose_(coupling, num_states, width_) {}

  int lanes() const override { return width_; }

  void Vjp(const LaneSteps& steps, const double* params, const double* c_y1,
           absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
           double* c_h) override {
    Load(steps);
    transpose_.Run(
        width_, {steps_.y, steps_.h}, c_y1, saved, {c_y, c_t, c_h},
        [&](double* c, double* t, double* h) {
          first_->Vjp(forth_, params, c, saved, c, c_p, t, h);
        },
        [&](double* c, double* t, double* h) { second_->Vjp(back_, params, c, {}, c, c_p, t, h); });
  }

  void StartVjp(int lane, double /*t0*/, const double* /*y0*/, const double* /*params*/,
                double* c_carried, double* /*c_p*/, double* /*c_t*/) override {
    for (int64_t e = 0; e < n_; ++e) {
      c_carried[e * width_ + lane] += c_carried[(n_ + e) * width_ + lane];
    }
  }

  void Slope(int lane, double theta, double* slope) override {
    first_->Slope(lane, theta, slope);
    for (int64_t e = 0; e < n_; ++e) {
      slope[e] += transpose_.Apart({steps_.y, steps_.h}, width_, e, lane);
    }
  }

  int64_t rhs_evaluations() const override {
    return first_->rhs_evaluations() + second_->rhs_evaluations();
  }
  int64_t vjp_evaluations() const override {
    return first_->vjp_evaluations() + second_->vjp_evaluations();
  }

 private:
  void Load(const LaneSteps& steps) {
    const int64_t count = n_ * width_;
    steps_ = steps;
    for (int l = 0; l < width_; ++l) h_back_[l] = -steps.h[l];
    const double* second = steps.stages + base_stages_ * count;
    forth_ = steps;
    forth_.y = steps.y + count;
    back_ = {.t = steps.t_next,
             .h = h_back_,
             .t_next = steps.t,
             .y = second + base_stages_ * count,
             .stages = second};
  }

  const int base_stages_, width_;
  const int64_t n_;
  const std::unique_ptr<LaneReplay> first_, second_;
  CoupledTranspose<false> transpose_;
  LaneSteps steps_, forth_, back_;
  double h_back_[kMaxLanes] = {};
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

absl::StatusOr<std::unique_ptr<LaneReplay>> MakeCoupledLaneReplay(const Scheme& scheme,
                                                                  const VectorField& field) {
  ASSIGN_OR_RETURN(std::unique_ptr<LaneReplay> first, MakeLaneReplay(scheme.method, field));
  ASSIGN_OR_RETURN(std::unique_ptr<LaneReplay> second, MakeLaneReplay(scheme.method, field));
  return std::make_unique<CoupledLaneReplay>(*scheme.coupling, GetMethodInfo(scheme.method).stages,
                                             std::move(first), std::move(second),
                                             field.num_states());
}

}  // namespace costate::reversible

// Steps of the reversible construction, there and back.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/solvers/reversible/coupled.h"

namespace costate::reversible {
namespace {

using Base = std::unique_ptr<Stepper>;

class CoupledStepper final : public Stepper {
 public:
  CoupledStepper(double coupling, int base_stages, Base first, Base second, int64_t num_states)
      : coupling_(coupling),
        base_stages_(base_stages),
        width_(first->lanes()),
        n_(num_states),
        count_(num_states * width_),
        first_(std::move(first)),
        second_(std::move(second)),
        carried_(2 * count_),
        next_(2 * count_),
        stages_(CoupledStages(base_stages) * count_) {}

  int lanes() const override { return width_; }
  const double* y() const override { return carried_.data(); }
  const double* y_new() const override { return next_.data(); }
  const double* stages() const override {
    if (!collected_) Collect();
    return stages_.data();
  }
  int64_t rhs_evaluations(int lane) const override {
    return first_->rhs_evaluations(lane) + second_->rhs_evaluations(lane);
  }

  void Reset(int lane, double t, const double* y, const double* p,
             const double* /*derivative*/) override {
    Place(lane, t, y, y, p);
  }
  void Resume(int lane, double t, const double* carried, const double* p) override {
    Place(lane, t, carried, carried + n_, p);
  }

  void MoveTo(const double* t, const double* carried) override {
    std::copy_n(t, width_, t_);
    std::copy_n(t, width_, t_next_);
    std::copy_n(carried, 2 * count_, carried_.data());
  }

  void Step(const double* t_next) override {
    std::copy_n(t_next, width_, t_next_);
    double* y_new = next_.data();
    double* z_new = next_.data() + count_;
    first_->MoveTo(t_, z());
    first_->Step(t_next_);
    const double* forth = first_->y_new();
    for (int64_t i = 0; i < count_; ++i) {
      y_new[i] = std::fma(coupling_, carried_[i] - z()[i], forth[i]);
    }
    second_->MoveTo(t_next_, y_new);
    second_->Step(t_);
    const double* back = second_->y_new();
    for (int64_t i = 0; i < count_; ++i) z_new[i] = z()[i] - (back[i] - y_new[i]);
    collected_ = false;
  }

  double SquaredError(const double* atol, double rtol, double* out) const override {
    return second_->SquaredError(atol, rtol, out);
  }
  // Not finite wherever the way to it was not.
  void CheckFinite(double* out) const override { second_->CheckFinite(out); }
  int64_t WorstElement(int lane, const double* atol, double rtol) const override {
    const double* end = first_->y_new();
    for (int64_t e = 0; e < n_; ++e) {
      if (!std::isfinite(end[e * width_ + lane])) return first_->WorstElement(lane, atol, rtol);
    }
    return second_->WorstElement(lane, atol, rtol);
  }

  void Advance(const bool* accept) override {
    for (int l = 0; l < width_; ++l) {
      if (!accept[l]) continue;
      t_[l] = t_next_[l];
      for (int64_t i = l; i < 2 * count_; i += width_) carried_[i] = next_[i];
    }
  }

  void Interpolate(int lane, double theta, double* y) override {
    if (theta == 0 || theta == 1) {
      const std::vector<double>& source = theta == 0 ? carried_ : next_;
      for (int64_t e = 0; e < n_; ++e) y[e] = source[e * width_ + lane];
      return;
    }
    first_->Interpolate(lane, theta, y);
    const double weight = std::fma(theta, coupling_ - 1, 1.0);
    for (int64_t e = 0; e < n_; ++e) {
      const int64_t i = e * width_ + lane;
      y[e] = std::fma(weight, carried_[i] - z()[i], y[e]);
    }
  }

 private:
  const double* z() const { return carried_.data() + count_; }

  void Place(int lane, double t, const double* y, const double* z, const double* p) {
    t_[lane] = t_next_[lane] = t;
    for (int64_t e = 0; e < n_; ++e) {
      carried_[e * width_ + lane] = y[e];
      carried_[count_ + e * width_ + lane] = z[e];
    }
    first_->Reset(lane, t, z, p, nullptr);
    second_->Reset(lane, t, y, p, nullptr);
  }

  void Collect() const {
    double* to = std::copy_n(first_->stages(), base_stages_ * count_, stages_.data());
    to = std::copy_n(second_->stages(), base_stages_ * count_, to);
    std::copy_n(next_.data(), count_, to);
    collected_ = true;
  }

  const double coupling_;
  const int base_stages_, width_;
  const int64_t n_, count_;
  const Base first_, second_;
  std::vector<double> carried_, next_;  // [2][n][W]
  double t_[kMaxLanes] = {}, t_next_[kMaxLanes] = {};
  mutable std::vector<double> stages_;  // [2 s + 1][n][W], once collected
  mutable bool collected_ = false;
};

class CoupledInverse final : public StepInverse {
 public:
  CoupledInverse(double coupling, int base_stages, Base first, Base second, int64_t num_states)
      : coupling_(coupling),
        base_stages_(base_stages),
        n_(num_states),
        count_(num_states * first->lanes()),
        first_(std::move(first)),
        second_(std::move(second)) {}

  int lanes() const override { return first_->lanes(); }

  void SetParams(int lane, const double* params) override {
    const std::vector<double> zero(n_);
    first_->Reset(lane, 0, zero.data(), params, nullptr);
    second_->Reset(lane, 0, zero.data(), params, nullptr);
  }

  bool Undo(const double* t, const double* t_next, const double* end, double* start,
            double* stages) override {
    const int64_t before = Count();
    double* kept_end = stages + 2 * base_stages_ * count_;
    std::copy_n(end, count_, kept_end);
    const double* y1 = kept_end;
    second_->MoveTo(t_next, y1);
    second_->Step(t);
    const double* back = second_->y_new();
    double* z0 = start + count_;
    for (int64_t i = 0; i < count_; ++i) z0[i] = end[count_ + i] + (back[i] - y1[i]);
    first_->MoveTo(t, z0);
    first_->Step(t_next);
    const double* forth = first_->y_new();
    for (int64_t i = 0; i < count_; ++i) start[i] = (y1[i] - forth[i]) / coupling_ + z0[i];
    std::copy_n(second_->stages(), base_stages_ * count_,
                std::copy_n(first_->stages(), base_stages_ * count_, stages));
    evaluations_ += Count() - before;
    return true;
  }
  int64_t rhs_evaluations() const override { return evaluations_; }

 private:
  int64_t Count() const { return first_->rhs_evaluations(0) + second_->rhs_evaluations(0); }

  const double coupling_;
  const int base_stages_;
  const int64_t n_, count_;
  const Base first_, second_;
  int64_t evaluations_ = 0;
};

template <typename T>
absl::StatusOr<std::unique_ptr<T>> MakePair(const Scheme& scheme, const VectorField& field,
                                            int lanes) {
  ASSIGN_OR_RETURN(Base first, MakeStepper(scheme.method, field, lanes));
  ASSIGN_OR_RETURN(Base second, MakeStepper(scheme.method, field, lanes));
  return std::make_unique<T>(*scheme.coupling, GetMethodInfo(scheme.method).stages,
                             std::move(first), std::move(second), field.num_states());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Stepper>> MakeCoupledStepper(const Scheme& scheme,
                                                            const VectorField& field, int lanes) {
  return MakePair<CoupledStepper>(scheme, field, lanes);
}

absl::StatusOr<std::unique_ptr<StepInverse>> MakeCoupledInverse(const Scheme& scheme,
                                                                const VectorField& field,
                                                                int lanes) {
  return MakePair<CoupledInverse>(scheme, field, lanes);
}

}  // namespace costate::reversible

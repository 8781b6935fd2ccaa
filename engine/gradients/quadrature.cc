// The continuous adjoint over dense output with the parameter integral by adaptive quadrature:
// lambda alone is solved for over an interval and kept, then lambda^T f_p is integrated there.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/continuous_adjoint.h"
#include "engine/gradients/quadrature_rules.h"
#include "engine/gradients/stop_check.h"

namespace costate {
namespace {

// mu += int lambda^T f_p dt by the Gauss-Kronrod pair (7, 15), panels halved until
// rms_j |K_j - G_j| / (atol + rtol |mu_j|) is within their share. A panel starts as a few backward
// steps: whatever lambda does is seen at that scale.
class AdaptiveIntegral {
 public:
  AdaptiveIntegral(ModelKernels* kernels, DenseStates* states, DenseStates* adjoints)
      : kernels_(kernels),
        states_(states),
        adjoints_(adjoints),
        y_(kernels->num_states()),
        lambda_(kernels->num_states()),
        c_y_(kernels->num_states()),
        c_p_(kernels->num_params()),
        kronrod_(kernels->num_params()),
        gauss_(kernels->num_params()),
        absolute_(kernels->num_params()) {}

  void SetTolerance(double rtol, double atol) {
    rtol_ = rtol;
    atol_ = atol;
  }

  absl::Status Add(StopCheck* stop, double* mu) {
    for (int64_t i = 0; i < adjoints_->num_steps(); i += kStepsPerPanel) {
      const int64_t end = std::min(i + kStepsPerPanel, adjoints_->num_steps());
      RETURN_IF_ERROR(AddPanel(adjoints_->time(i), adjoints_->time(end), 0, stop, mu));
    }
    return absl::OkStatus();
  }

 private:
  static constexpr int64_t kStepsPerPanel = 4;
  static constexpr int kMaxHalvings = 10;

  absl::Status AddPanel(double from, double to, int halvings, StopCheck* stop, double* mu) {
    RETURN_IF_ERROR(stop->Poll());
    Estimate(from, to);
    const double share = std::ldexp(1.0, -halvings);
    if (halvings == kMaxHalvings || !(Error(mu) > share)) {  // halves do not mend a NaN
      for (size_t j = 0; j < kronrod_.size(); ++j) mu[j] += kronrod_[j];
      return absl::OkStatus();
    }
    const double middle = from + 0.5 * (to - from);
    RETURN_IF_ERROR(AddPanel(from, middle, halvings + 1, stop, mu));
    return AddPanel(middle, to, halvings + 1, stop, mu);
  }

  void Estimate(double from, double to) {
    const double half = 0.5 * (to - from);
    std::fill(kronrod_.begin(), kronrod_.end(), 0.0);
    std::fill(gauss_.begin(), gauss_.end(), 0.0);
    std::fill(absolute_.begin(), absolute_.end(), 0.0);
    for (const KronrodNode& node : GaussKronrod15()) {
      const double t = from + half * (1 + node.x);
      adjoints_->Evaluate(t, lambda_.data());
      states_->Evaluate(t, y_.data());
      kernels_->Vjp(t, y_.data(), lambda_.data(), c_y_.data(), c_p_.data());
      for (size_t j = 0; j < c_p_.size(); ++j) {
        const double value = -half * c_p_[j];  // mu' = -f_p^T lambda
        kronrod_[j] += node.kronrod * value;
        gauss_[j] += node.gauss * value;
        absolute_[j] += node.kronrod * std::abs(value);
      }
    }
  }

  double Error(const double* mu) const {
    double sum = 0;
    for (size_t j = 0; j < kronrod_.size(); ++j) {
      const double scale = std::max(std::abs(mu[j]), std::abs(mu[j] + kronrod_[j]));
      const double rounding = 64 * std::numeric_limits<double>::epsilon() * absolute_[j];
      const double weight = std::max(atol_ + rtol_ * scale + rounding, 1e-300);
      const double ratio = (kronrod_[j] - gauss_[j]) / weight;
      sum += ratio * ratio;
    }
    return std::sqrt(sum / static_cast<double>(kronrod_.size()));
  }

  ModelKernels* const kernels_;
  DenseStates* const states_;
  DenseStates* const adjoints_;
  double rtol_ = 0, atol_ = 0;
  std::vector<double> y_, lambda_, c_y_, c_p_;
  std::vector<double> kronrod_, gauss_, absolute_;  // [m], of a panel
};

class Quadrature : public DenseAdjoint {
 public:
  Quadrature(const AdjointInput& input, ModelKernels kernels, BackwardSolve backward,
             std::unique_ptr<DenseStates> states)
      : DenseAdjoint(input, std::move(kernels), std::move(backward), std::move(states),
                     AdjointField::Parts::kLambda),
        stop_(input.stop) {}

 private:
  // Where the solve itself has no tolerance.
  static constexpr double kUncontrolledRtol = 1e-10;

  void Begin(double atol) override {
    atol_ = atol;
    backward_.Begin(std::vector<double>(n(), atol));
  }

  // What the forward states leave of the memory budget.
  absl::Status MakeAdjoints() {
    const int64_t rest = MemoryBudget(input_) - states_->bytes();
    ASSIGN_OR_RETURN(adjoints_,
                     DenseStates::Create(backward_.method(), field_, input_.problem.params,
                                         {.every = 0, .max_bytes = rest}));
    integral_ = std::make_unique<AdaptiveIntegral>(&kernels_, states_.get(), adjoints_.get());
    return absl::OkStatus();
  }

  absl::Status Carry(double from, double to, double* lambda, double* mu) override {
    if (adjoints_ == nullptr) RETURN_IF_ERROR(MakeAdjoints());
    integral_->SetTolerance(backward_.adaptive() ? backward_.rtol() : kUncontrolledRtol,
                            backward_.adaptive() ? atol_ : 0.0);
    lambda_.assign(lambda, lambda + n());
    RETURN_IF_ERROR(backward_.Run(field_, from, to, &lambda_, adjoints_.get()));
    peak_bytes_ = std::max(peak_bytes_, states_->bytes() + adjoints_->bytes());
    std::copy_n(lambda_.data(), n(), lambda);
    return m() > 0 ? integral_->Add(&stop_, mu) : absl::OkStatus();
  }

  void AddStats(AdjointStats* stats) const override {
    DenseAdjoint::AddStats(stats);
    stats->peak_stored_bytes = std::max(stats->peak_stored_bytes, peak_bytes_);
  }

  StopCheck stop_;
  double atol_ = 0;
  std::unique_ptr<DenseStates> adjoints_;  // of the interval in hand
  std::unique_ptr<AdaptiveIntegral> integral_;
  std::vector<double> lambda_;
  int64_t peak_bytes_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<AdjointMethod>> MakeQuadrature(const AdjointInput& input) {
  ASSIGN_OR_RETURN(BackwardSolve backward, BackwardSolve::Create(input));
  ASSIGN_OR_RETURN(ModelKernels kernels,
                   ModelKernels::Create(*input.problem.field, input.problem.params));
  // The other half is for the adjoints of an interval, which may be the whole span.
  const int64_t share = input.adjoint.checkpoint_every > 0 ? 1 : 2;
  ASSIGN_OR_RETURN(std::unique_ptr<DenseStates> states,
                   MakeForwardStates(input, MemoryBudget(input) / share));
  return std::make_unique<Quadrature>(input, std::move(kernels), std::move(backward),
                                      std::move(states));
}

}  // namespace costate

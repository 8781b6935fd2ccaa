// The continuous adjoint over dense output with the parameter integral by Gauss-Legendre nodes in
// each backward step: lambda alone is solved for, and nothing of it is stored.
#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/continuous_adjoint.h"
#include "engine/gradients/quadrature_rules.h"
#include "engine/gradients/step_interpolant.h"
#include "engine/gradients/stop_check.h"

namespace costate {
namespace {

// Adds int lambda^T f_p dt of every accepted backward step. A step is cut where forward steps meet:
// there y(t) is less smooth, and where it moves fast these are short even if lambda's are not.
class GaussSum : public StepCompanion {
 public:
  GaussSum(ModelKernels* kernels, DenseStates* states, StepInterpolant interpolant,
           absl::Span<const QuadratureNode> nodes, const StopCheck& stop)
      : kernels_(kernels),
        states_(states),
        interpolant_(std::move(interpolant)),
        nodes_(nodes),
        stop_(stop),
        y_(kernels->num_states()),
        lambda_(kernels->num_states()),
        c_y_(kernels->num_states()),
        c_p_(kernels->num_params()) {}

  void SetTarget(double* mu) { mu_ = mu; }

  double TrialError(const StepRecord& /*step*/, const double* /*y_new*/) override { return 0; }
  absl::Status Accept(const StepRecord& step, const double* y_new,
                      absl::Span<const double> /*saved_theta*/) override {
    interpolant_.Load(step, y_new);
    absl::Status stopped;
    states_->ForEachPiece(step.t, step.t_next, [this, &stopped](double from, double to) {
      if (stopped.ok()) stopped = stop_.Poll();
      if (stopped.ok()) AddPiece(from, to);
    });
    return stopped;
  }

 private:
  void AddPiece(double from, double to) {
    const double half = 0.5 * (to - from);
    for (const QuadratureNode& node : nodes_) {
      const double t = from + half * (1 + node.x);
      interpolant_.Evaluate(t, lambda_.data());
      states_->Evaluate(t, y_.data());
      kernels_->Vjp(t, y_.data(), lambda_.data(), c_y_.data(), c_p_.data());
      const double weight = -half * node.w;  // mu' = -f_p^T lambda
      for (size_t j = 0; j < c_p_.size(); ++j) mu_[j] += weight * c_p_[j];
    }
  }

  ModelKernels* const kernels_;
  DenseStates* const states_;
  StepInterpolant interpolant_;
  const absl::Span<const QuadratureNode> nodes_;
  StopCheck stop_;
  std::vector<double> y_, lambda_, c_y_, c_p_;
  double* mu_ = nullptr;
};

class Gauss : public DenseAdjoint {
 public:
  Gauss(const AdjointInput& input, ModelKernels kernels, BackwardSolve backward,
        std::unique_ptr<DenseStates> states)
      : DenseAdjoint(input, std::move(kernels), std::move(backward), std::move(states),
                     AdjointField::Parts::kLambda) {}

  absl::Status Init() {
    ASSIGN_OR_RETURN(StepInterpolant interpolant,
                     StepInterpolant::Create(backward_.method(), field_, input_.problem.params));
    // Order 2 q of the sum over steps, above that of lambda itself.
    const int q = GetMethodInfo(backward_.method()).order / 2 + 1;
    sum_ = std::make_unique<GaussSum>(&kernels_, states_.get(), std::move(interpolant),
                                      GaussLegendre(q), StopCheck(input_.stop));
    return absl::OkStatus();
  }

 private:
  void Begin(double atol) override { backward_.Begin(std::vector<double>(n(), atol)); }

  absl::Status Carry(double from, double to, double* lambda, double* mu) override {
    sum_->SetTarget(mu);
    lambda_.assign(lambda, lambda + n());
    RETURN_IF_ERROR(backward_.Run(field_, from, to, &lambda_, m() > 0 ? sum_.get() : nullptr));
    std::copy_n(lambda_.data(), n(), lambda);
    return absl::OkStatus();
  }

  std::unique_ptr<GaussSum> sum_;
  std::vector<double> lambda_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<AdjointMethod>> MakeGauss(const AdjointInput& input) {
  ASSIGN_OR_RETURN(BackwardSolve backward, BackwardSolve::Create(input));
  ASSIGN_OR_RETURN(ModelKernels kernels,
                   ModelKernels::Create(*input.problem.field, input.problem.params));
  ASSIGN_OR_RETURN(std::unique_ptr<DenseStates> states,
                   MakeForwardStates(input, MemoryBudget(input)));
  auto gauss =
      std::make_unique<Gauss>(input, std::move(kernels), std::move(backward), std::move(states));
  RETURN_IF_ERROR(gauss->Init());
  return gauss;
}

}  // namespace costate

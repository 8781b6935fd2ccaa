// The continuous adjoint over dense output with the parameter integral as a part of the solve.
#include <algorithm>
#include <limits>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/continuous_adjoint.h"

namespace costate {
namespace {

class Interpolating : public DenseAdjoint {
 public:
  Interpolating(const AdjointInput& input, ModelKernels kernels, BackwardSolve backward,
                std::unique_ptr<DenseStates> states)
      : DenseAdjoint(input, std::move(kernels), std::move(backward), std::move(states),
                     AdjointField::Parts::kLambdaMu) {}

 private:
  void Begin(double atol) override {
    std::vector<double> tolerances(n() + m(), atol);
    if (input_.adjoint.seminorm) {
      std::fill(tolerances.begin() + n(), tolerances.end(),
                std::numeric_limits<double>::infinity());
    }
    backward_.Begin(std::move(tolerances));
  }

  absl::Status Carry(double from, double to, double* lambda, double* mu) override {
    system_.assign(lambda, lambda + n());
    system_.insert(system_.end(), mu, mu + m());
    RETURN_IF_ERROR(backward_.Run(field_, from, to, &system_));
    std::copy_n(system_.data(), n(), lambda);
    std::copy_n(system_.data() + n(), m(), mu);
    return absl::OkStatus();
  }

  std::vector<double> system_;  // lambda, mu
};

}  // namespace

absl::StatusOr<std::unique_ptr<AdjointMethod>> MakeInterpolating(const AdjointInput& input) {
  ASSIGN_OR_RETURN(BackwardSolve backward, BackwardSolve::Create(input));
  ASSIGN_OR_RETURN(ModelKernels kernels,
                   ModelKernels::Create(*input.problem.field, input.problem.params));
  ASSIGN_OR_RETURN(std::unique_ptr<DenseStates> states,
                   MakeForwardStates(input, MemoryBudget(input)));
  return std::make_unique<Interpolating>(input, std::move(kernels), std::move(backward),
                                         std::move(states));
}

}  // namespace costate

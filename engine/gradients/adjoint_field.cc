#include "engine/gradients/adjoint_field.h"

#include "absl/strings/str_cat.h"

namespace costate {

AdjointField::AdjointField(Parts parts, const VectorField& model, ModelKernels* kernels,
                           DenseStates* states)
    : has_state_(parts == Parts::kStateLambdaMu),
      has_mu_(parts != Parts::kLambda),
      model_(model),
      n_(model.num_states()),
      m_(model.num_params()),
      work_{has_state_,
            has_mu_,
            kernels,
            states,
            std::vector<double>(n_),
            std::vector<double>(has_mu_ ? 0 : m_)} {}

absl::StatusOr<Kernel> AdjointField::Get(MapKernel kind, int lanes) const {
  if (kind != MapKernel::kValue || lanes != 1) {
    return absl::UnimplementedError("the adjoint equations have values only, in one lane");
  }
  return Kernel(&Evaluate, &work_, nullptr, 1, 0);
}

void AdjointField::Evaluate(const void* context, const double* const* in, double* const* out,
                            double* /*scratch*/) {
  // The one object `context` was made from is not const.
  Work& work = *const_cast<Work*>(static_cast<const Work*>(context));
  const int64_t n = work.kernels->num_states();
  const double t = in[0][0];
  const double* y = work.y.data();
  const double* lambda = in[1];
  double* d_lambda = out[0];
  if (work.has_state) {
    y = in[1];
    lambda += n;
    d_lambda += n;
    work.kernels->Value(t, y, out[0]);
  } else {
    work.states->Evaluate(t, work.y.data());
  }
  double* d_mu = work.has_mu ? d_lambda + n : work.c_p.data();
  work.kernels->Vjp(t, y, lambda, d_lambda, d_mu);
  const int64_t count = n + (work.has_mu ? work.kernels->num_params() : 0);
  for (int64_t i = 0; i < count; ++i) d_lambda[i] = -d_lambda[i];
}

std::string AdjointField::StateName(int64_t state) const {
  if (has_state_ && state < n_) {
    return absl::StrCat(model_.StateName(state), ", solved backwards,");
  }
  state -= lambda_offset();
  if (state < n_) return absl::StrCat("the adjoint of ", model_.StateName(state));
  return absl::StrCat("the integral of parameter element ", state - n_);
}

}  // namespace costate

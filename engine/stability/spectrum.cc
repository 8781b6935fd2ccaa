#include "engine/stability/spectrum.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <Eigen/Dense>
#include <Eigen/Eigenvalues>

#include "engine/base/status_macros.h"
#include "engine/stability/poll.h"

namespace costate::stability {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

ArnoldiOptions OptionsFor(int64_t num_eigenvalues) {
  ArnoldiOptions options;
  options.largest = num_eigenvalues;
  return options;
}

void SortByModulus(std::vector<Complex>* values) {
  std::stable_sort(values->begin(), values->end(),
                   [](Complex a, Complex b) { return std::abs(a) > std::abs(b); });
}

}  // namespace

bool TakesWholeJacobian(int64_t n, int64_t num_eigenvalues) {
  return n <= kMaxDenseStates || n <= ArnoldiDimension(n, OptionsFor(num_eigenvalues));
}

SpectrumSolver::SpectrumSolver(const VectorField& field, int64_t num_eigenvalues)
    : field_(field),
      n_(field.num_states()),
      options_(OptionsFor(num_eigenvalues)),
      dense_(TakesWholeJacobian(n_, num_eigenvalues)) {}

absl::StatusOr<std::unique_ptr<SpectrumSolver>> SpectrumSolver::Create(const VectorField& field,
                                                                       int64_t num_eigenvalues) {
  std::unique_ptr<SpectrumSolver> solver(new SpectrumSolver(field, num_eigenvalues));
  const int lanes = solver->dense_ && solver->n_ > 1 ? field.simd_lanes() : 1;
  ASSIGN_OR_RETURN(solver->kernel_, field.Get(MapKernel::kTangentBlock, lanes));
  solver->d_y_.resize(solver->n_ * lanes);
  solver->d_value_.resize(solver->n_ * lanes);
  solver->zeros_.resize(std::max<int64_t>(1, field.num_params()) * lanes);
  solver->scratch_.resize(solver->kernel_.scratch_size());
  return solver;
}

void SpectrumSolver::Product() {
  const double* inputs[] = {&t_, y_, params_, zeros_.data(), d_y_.data(), zeros_.data()};
  double* outputs[] = {d_value_.data()};
  kernel_(inputs, outputs, scratch_.data());
}

absl::StatusOr<Spectrum> SpectrumSolver::Solve(double t, absl::Span<const double> y,
                                               absl::Span<const double> params,
                                               const StopSource& stop) {
  t_ = t;
  y_ = y.data();
  params_ = params.data();
  if (n_ == 0) return Spectrum{};
  return dense_ ? SolveDense(stop) : SolveOuter(stop);
}

absl::StatusOr<Spectrum> SpectrumSolver::SolveDense(const StopSource& stop) {
  const int lanes = kernel_.lanes();
  Eigen::MatrixXd jacobian(n_, n_);
  for (int64_t first = 0; first < n_; first += lanes) {
    RETURN_IF_ERROR(Poll(stop, "a Jacobian was computed"));
    const int64_t count = std::min<int64_t>(lanes, n_ - first);
    std::fill(d_y_.begin(), d_y_.end(), 0.0);
    for (int64_t c = 0; c < count; ++c) d_y_[(first + c) * lanes + c] = 1;
    Product();
    for (int64_t c = 0; c < count; ++c) {
      for (int64_t i = 0; i < n_; ++i) jacobian(i, first + c) = d_value_[i * lanes + c];
    }
  }
  Spectrum spectrum;
  spectrum.eigenvalues.assign(n_, {kNaN, kNaN});
  if (!jacobian.allFinite()) return spectrum;
  const Eigen::EigenSolver<Eigen::MatrixXd> solver(jacobian, false);
  if (solver.info() != Eigen::Success) return spectrum;
  for (int64_t i = 0; i < n_; ++i) spectrum.eigenvalues[i] = solver.eigenvalues()[i];
  SortByModulus(&spectrum.eigenvalues);
  return spectrum;
}

absl::StatusOr<Spectrum> SpectrumSolver::SolveOuter(const StopSource& stop) {
  const auto multiply = [this](const double* v, double* jv) {
    std::copy(v, v + n_, d_y_.begin());
    Product();
    std::copy(d_value_.begin(), d_value_.end(), jv);
  };
  absl::StatusOr<RitzValues> found =
      FindOuterEigenvalues(multiply, n_, options_, start_.empty() ? nullptr : start_.data(), stop);
  Spectrum spectrum;
  spectrum.complete = false;
  if (absl::IsInternal(found.status())) {
    spectrum.converged = false;
    spectrum.eigenvalues.assign(options_.largest, {kNaN, kNaN});
    return spectrum;
  }
  RETURN_IF_ERROR(found.status());
  spectrum.converged = found->converged;
  spectrum.eigenvalues = std::move(found->values);
  start_ = std::move(found->start);
  return spectrum;
}

}  // namespace costate::stability

// Eigenvalues of df/dy at points of a trajectory.
#ifndef COSTATE_ENGINE_STABILITY_SPECTRUM_H_
#define COSTATE_ENGINE_STABILITY_SPECTRUM_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/stop_source.h"
#include "engine/solvers/vector_field.h"
#include "engine/stability/arnoldi.h"

namespace costate::stability {

// Largest system whose Jacobian is taken as a whole.
inline constexpr int64_t kMaxDenseStates = 200;

struct Spectrum {
  // Larger modulus first, per unit of time. All n of them (dense), else the outer ones. NaN, one
  // for each, where the Jacobian is not finite.
  std::vector<Complex> eigenvalues;
  bool complete = true;   // all eigenvalues are there
  bool converged = true;  // false: some of the outer ones are not settled
};

// Thread-safety: one thread.
class SpectrumSolver {
 public:
  // `field` outlives the solver. `num_eigenvalues` are wanted of a large system.
  static absl::StatusOr<std::unique_ptr<SpectrumSolver>> Create(const VectorField& field,
                                                                int64_t num_eigenvalues);

  // y is [n], params [m]. Large systems start from what the call before found.
  absl::StatusOr<Spectrum> Solve(double t, absl::Span<const double> y,
                                 absl::Span<const double> params, const StopSource& stop);

  bool dense() const { return dense_; }

 private:
  SpectrumSolver(const VectorField& field, int64_t num_eigenvalues);
  absl::StatusOr<Spectrum> SolveDense(const StopSource& stop);
  absl::StatusOr<Spectrum> SolveOuter(const StopSource& stop);
  // d_y_ -> d_value_, in all lanes.
  void Product();

  const VectorField& field_;
  const int64_t n_;
  ArnoldiOptions options_;
  const bool dense_;
  Kernel kernel_;  // kTangentBlock
  double t_ = 0;
  const double* y_ = nullptr;
  const double* params_ = nullptr;
  std::vector<double> d_y_, d_value_;  // [n][W]
  std::vector<double> zeros_;          // [max(1, m)][W]
  std::vector<double> scratch_;
  std::vector<double> start_;
};

// Whether the Jacobian of n states is taken as a whole, for so many eigenvalues.
bool TakesWholeJacobian(int64_t n, int64_t num_eigenvalues);

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_SPECTRUM_H_

// The spectral radius of df/dy along a solve, by power iteration.
#ifndef COSTATE_ENGINE_GRADIENTS_SPECTRAL_RADIUS_H_
#define COSTATE_ENGINE_GRADIENTS_SPECTRAL_RADIUS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/kernel.h"
#include "engine/solvers/problem.h"

namespace costate {

// Directions are kept from call to call, in all lanes of one kernel call, and the growth factors of
// the lanes averaged geometrically, so that a rotating pair of eigenvalues averages out too. They
// start from fixed random signs: the estimates are the same in every run. Thread-safety: one
// thread.
class SpectralRadius {
 public:
  // What does not depend on the trajectory.
  struct Workspace {
    Kernel kernel;
    std::vector<double> product;  // [n][W]
    std::vector<double> zero;     // [max(1, m)][W]
    std::vector<double> scratch;
  };

  // `problem` outlives the object; B is 1. A workspace of the same field in *shared is used, or put
  // there; null: it is the object's own.
  static absl::StatusOr<std::unique_ptr<SpectralRadius>> Create(
      const Problem& problem, std::shared_ptr<Workspace>* shared = nullptr);

  // One product with df/dy at (t, y), some more at the first call. y is [n].
  double Estimate(double t, const double* y);

  int64_t jvp_evaluations() const { return evaluations_; }

 private:
  SpectralRadius(const Problem& problem, std::shared_ptr<Workspace> workspace);
  void Scatter(int lane);
  double Iterate(double t, const double* y);

  const Problem& problem_;
  const std::shared_ptr<Workspace> workspace_;
  const int lanes_;
  const int64_t n_;
  std::vector<double> direction_;  // [n][W]
  int64_t evaluations_ = 0;
  uint64_t random_ = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_SPECTRAL_RADIUS_H_

// How many steps of a solve were near the limit of the method's stability.
#ifndef COSTATE_ENGINE_GRADIENTS_STIFFNESS_H_
#define COSTATE_ENGINE_GRADIENTS_STIFFNESS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/kernel.h"
#include "engine/solvers/integrate.h"
#include "engine/solvers/problem.h"

namespace costate {

// Estimates the spectral radius of df/dy along the solve by power iteration, one product a step:
// directions are kept from step to step, in all lanes of one kernel call, and the growth factors of
// the lanes averaged geometrically, so that a rotating pair of eigenvalues averages out too. Only
// looks; the steps and bits of the solve stay. Thread-safety: one thread.
class StiffnessCompanion : public StepCompanion {
 public:
  // `problem` outlives the companion; B is 1. `near` is a share of the method's stability limit.
  static absl::StatusOr<std::unique_ptr<StiffnessCompanion>> Create(const Problem& problem,
                                                                    Method method, double near);

  double TrialError(const StepRecord& step, const double* y_new) override;
  absl::Status Accept(const StepRecord& step, const double* y_new,
                      absl::Span<const double> saved_theta) override;

  // Share of accepted steps with h |lambda| > near * limit. NaN without steps or limit.
  double share() const;
  int64_t jvp_evaluations() const { return evaluations_; }

 private:
  StiffnessCompanion(const Problem& problem, double bound, Kernel kernel);
  void Scatter(int lane);
  double Iterate(const StepRecord& step);

  const Problem& problem_;
  const double bound_;  // on h |lambda|
  const Kernel kernel_;
  const int lanes_;
  const int64_t n_;
  std::vector<double> direction_;  // [n][W]
  std::vector<double> product_;    // [n][W]
  std::vector<double> zero_;       // [max(1, m)][W]
  std::vector<double> scratch_;
  int64_t evaluations_ = 0;
  int64_t steps_ = 0;
  int64_t near_ = 0;
  uint64_t random_ = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_STIFFNESS_H_

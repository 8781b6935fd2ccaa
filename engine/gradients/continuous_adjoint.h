// What the continuous adjoints share: the walk from t1 to t0 with the jumps of lambda at the save
// times (numerics: Pontryagin; Cao, Li, Petzold and Serban 2003, SIAM J. Sci. Comput. 24(3)).
//
//   lambda' = -f_y^T lambda,  lambda(t1) = terminal cotangent, + c_k at save time k
//   dL/dy0 = lambda(t0),  dL/dp = int lambda^T f_p dt,  dL/dt0 = -lambda(t0) . f(t0, y0),
//   dL/dt1 = terminal . f(t1, y1),  dL/d(times[k]) = c_k . f(times[k], y)
//
// Absolute tolerances of lambda and of the parameter integral count per unit of the largest
// element of the cotangent, so a gradient scales with its loss.
#ifndef COSTATE_ENGINE_GRADIENTS_CONTINUOUS_ADJOINT_H_
#define COSTATE_ENGINE_GRADIENTS_CONTINUOUS_ADJOINT_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradients/adjoint.h"
#include "engine/gradients/adjoint_field.h"
#include "engine/gradients/backward_solve.h"
#include "engine/gradients/dense_states.h"
#include "engine/gradients/model_kernels.h"

namespace costate {

// Cotangents are pulled back one after another. Thread-safety: one thread.
class ContinuousAdjoint : public AdjointMethod {
 public:
  absl::StatusOr<Trajectory> Solve() final;
  absl::StatusOr<std::vector<AdjointResult>> PullBack(
      absl::Span<const StateCotangents> cotangents) final;
  AdjointStats stats() const final;

 protected:
  // `input` refers to things that outlive the method.
  ContinuousAdjoint(const AdjointInput& input, ModelKernels kernels, BackwardSolve backward)
      : input_(input), kernels_(std::move(kernels)), backward_(std::move(backward)) {}

  // Rides with the forward solve.
  virtual StepCompanion* companion() = 0;
  // After the forward solve.
  virtual absl::Status Keep(const Trajectory& /*trajectory*/) { return absl::OkStatus(); }

  // A new walk from t1; adjoints have absolute tolerance `atol`.
  virtual void Begin(double atol) = 0;
  // Whether y(t) is to be had without solving up to t.
  virtual bool Knows(double t) const = 0;
  // Whether to stop at t where lambda does not jump.
  virtual bool StopsAt(double /*t*/) const { return false; }
  // y(t) at the time the walk has reached, or at any time that is known; [n], until the next call.
  virtual const double* State(double t) = 0;
  // lambda [n] and mu [m] from one time to the next.
  virtual absl::Status Carry(double from, double to, double* lambda, double* mu) = 0;
  // The same where both are 0 and `to` is known.
  virtual void Skip(double /*to*/) {}
  virtual void AddStats(AdjointStats* stats) const = 0;

  int64_t n() const { return kernels_.num_states(); }
  int64_t m() const { return kernels_.num_params(); }

  const AdjointInput input_;
  ModelKernels kernels_;
  BackwardSolve backward_;

 private:
  absl::Status Walk(const StateCotangents& cotangent, AdjointResult* result);
  absl::Status Advance(double from, double to, AdjointResult* result);

  std::vector<double> slope_;  // [n]
};

// Those that look y(t) up in the forward solve.
class DenseAdjoint : public ContinuousAdjoint {
 public:
  absl::Span<const double> terminal_state() const final { return states_->last_state(); }

 protected:
  DenseAdjoint(const AdjointInput& input, ModelKernels kernels, BackwardSolve backward,
               std::unique_ptr<DenseStates> states, AdjointField::Parts parts);

  StepCompanion* companion() final { return states_.get(); }
  bool Knows(double /*t*/) const final { return true; }
  const double* State(double t) final;
  void AddStats(AdjointStats* stats) const override;

  const std::unique_ptr<DenseStates> states_;
  AdjointField field_;

 private:
  std::vector<double> state_;  // [n]
};

// `input` refers to things that outlive the method. INVALID_ARGUMENT for tolerances with a
// backward method that estimates no error.
absl::StatusOr<std::unique_ptr<AdjointMethod>> MakeBacksolve(const AdjointInput& input);
absl::StatusOr<std::unique_ptr<AdjointMethod>> MakeInterpolating(const AdjointInput& input);
absl::StatusOr<std::unique_ptr<AdjointMethod>> MakeQuadrature(const AdjointInput& input);
absl::StatusOr<std::unique_ptr<AdjointMethod>> MakeGauss(const AdjointInput& input);

// The bytes a method may hold.
int64_t MemoryBudget(const AdjointInput& input);
// The dense output of the forward solve of `input`, within `max_bytes`.
absl::StatusOr<std::unique_ptr<DenseStates>> MakeForwardStates(const AdjointInput& input,
                                                               int64_t max_bytes);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_CONTINUOUS_ADJOINT_H_

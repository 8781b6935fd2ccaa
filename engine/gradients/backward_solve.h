// Solves of adjoint equations from one time to an earlier one, interval after interval: the
// tolerances, the step size carried from interval to interval, the budget, and how a solve that
// fails is told.
#ifndef COSTATE_ENGINE_GRADIENTS_BACKWARD_SOLVE_H_
#define COSTATE_ENGINE_GRADIENTS_BACKWARD_SOLVE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/gradients/adjoint.h"
#include "engine/solvers/integrate.h"
#include "engine/solvers/problem.h"

namespace costate {

// FAILED_PRECONDITION: a solve backwards that did not reach its end, with the sentence that says
// why. Its reason is read back by BackwardEnd.
absl::Status BackwardFailure(const Termination& termination);
// The reason (kMaxSteps, kStepUnderflow or kNonFinite) of a status made by BackwardFailure.
std::optional<Termination::Reason> BackwardEnd(const absl::Status& status);

// Thread-safety: one thread.
class BackwardSolve {
 public:
  // `input` refers to things that outlive the object. Backwards, steps are chosen by error control
  // if the forward solve's were or backward tolerances are given; else they are the fixed ones or
  // the grid of the forward solve. INVALID_ARGUMENT for error control with a method without error
  // estimate.
  static absl::StatusOr<BackwardSolve> Create(const AdjointInput& input);

  Method method() const { return options_.method; }
  bool adaptive() const { return options_.control.kind == StepControl::Kind::kAdaptive; }
  double rtol() const { return rtol_; }
  // Of adjoints, per unit of cotangent.
  double atol() const { return atol_; }

  // A new run with absolute tolerances `atol`, one for each element of the system; infinite: out
  // of step control.
  void Begin(std::vector<double> atol);

  // Solves `field` from one time to the next, `state` in place. Errors: BackwardFailure; CANCELLED
  // and the like as AdjointMethod::PullBack; those of `companion`, which may be null.
  absl::Status Run(const VectorField& field, double from, double to, std::vector<double>* state,
                   StepCompanion* companion = nullptr);

  // Adds steps.
  void AddStats(AdjointStats* stats) const;

 private:
  explicit BackwardSolve(const AdjointInput& input) : input_(input) {}
  void SetGrid(double from, double to);

  const AdjointInput input_;
  SolveOptions options_;
  double rtol_ = 0, atol_ = 0;
  int64_t steps_left_ = 0;  // of this run
  int64_t accepted_ = 0, rejected_ = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_BACKWARD_SOLVE_H_

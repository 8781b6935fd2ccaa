// A trajectory as a function of what it is differentiated by: solves at moved parameters, initial
// values and times. What differences and checks are made of.
#ifndef COSTATE_ENGINE_SHIFTED_SOLVE_H_
#define COSTATE_ENGINE_SHIFTED_SOLVE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradient_pass.h"
#include "engine/gradients/loss.h"
#include "engine/solvers/problem.h"

namespace costate {

// `input`, but with times, parameters and initial values of its trajectory alone, moved by `shift`
// [q]: what PassInput::wrt says. Initial values that were not given follow their expression.
absl::StatusOr<BoundSimulation> ShiftBound(const PassInput& input, absl::Span<const double> shift);

// Thread-safety: one thread.
class ShiftedSolve {
 public:
  // Solves with `options`, which are `input`'s or like them; on a grid, its ends move with t0 and
  // t1. What `input` refers to outlives the object.
  ShiftedSolve(const PassInput& input, SolveOptions options);

  // With saved values, outputs and terminal values of the moved trajectory. `shift` is [q], or
  // empty for none. `companions` ride along.
  absl::StatusOr<PassPrimal> At(absl::Span<const double> shift,
                                const std::vector<StepCompanion*>& companions = {});

  // The loss there; NaN where the solve did not reach the end.
  absl::StatusOr<double> LossAt(const Loss& loss, absl::Span<const double> shift);

  int64_t rhs_evaluations() const { return evaluations_; }  // so far

 private:
  const PassInput& input_;
  const SolveOptions options_;
  int64_t evaluations_ = 0;
};

// The parameters [m] at a shift.
std::vector<double> ShiftParams(const PassInput& input, absl::Span<const double> shift);

// On which side the columns may move so that all save times stay within the span: 0 both, -1 or +1
// in units of the shift. A save time at t0 keeps t0 from moving inwards, one at t1 likewise.
int FreeSide(const PassInput& input, int64_t column);

}  // namespace costate

#endif  // COSTATE_ENGINE_SHIFTED_SOLVE_H_

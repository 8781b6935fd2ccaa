// The seam of gradients in reverse: one forward solve that keeps what its method needs, then
// cotangents of the saved states pulled back to initial state, parameters and times.
//
// Adding a method:
//   1. one file in gradients/ that implements AdjointMethod. A discrete adjoint needs only a
//      StepStore (step_store.h): the ways to get a step back are what such methods differ in
//   2. GradientMethod in method.h   3. MakeAdjointMethod: the switch the compiler then points at
//   4. GRADIENT_METHOD_<NAME> on the wire
//   5. nothing for the suites: tests run over AllGradientMethods()
#ifndef COSTATE_ENGINE_GRADIENTS_ADJOINT_H_
#define COSTATE_ENGINE_GRADIENTS_ADJOINT_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/limits.h"
#include "engine/base/stop_source.h"
#include "engine/gradients/method.h"
#include "engine/solvers/integrate.h"
#include "engine/solvers/problem.h"

namespace costate {

// What a reverse-mode method may use, and how it solves backwards. Members without meaning for a
// method are not looked at; the door refuses them first.
struct AdjointOptions {
  // Bytes of trajectory held at once: states, stages, step times and checkpoints, but not the
  // saved values that are returned. Kept: what does not fit is refused with RESOURCE_EXHAUSTED, or
  // goes to disk.
  int64_t memory_budget = limits::kMaxRecordingBytes;

  // kCheckpointed: states held at once, the initial one among them and the last two besides, >= 1;
  // 0: as many as memory and disk hold. Step times, 8 bytes each, are all held.
  int64_t checkpoints = 0;
  // kSegmented: K >= 1 parts of the span of the same length in time; 0: 10. Held are their first
  // states, the step times, and one part with its stages.
  int64_t segments = 0;

  // kCheckpointed: where checkpoints beyond the budget go, in a file that no one else sees, of at
  // most so many bytes. Empty, or less than a state: nowhere.
  std::string scratch_directory = {};
  int64_t max_disk_bytes = 0;

  // Continuous adjoints: the solve backwards. Its steps are chosen by error control if those of the
  // forward solve were or one of its tolerances is set, else they are the fixed ones or the grid of
  // the forward solve; max_steps holds for it too.
  std::optional<Method> backward_method = {};  // unset: that of the forward solve
  std::optional<double> backward_rtol = {};    // unset: that of the forward solve
  // Of adjoints, per unit of the largest element of a cotangent, so that gradients scale with their
  // loss; of a state solved backwards, in its own units. Unset: the smallest of the forward
  // solve's, and for states each its own.
  std::optional<double> backward_atol = {};
  // kBacksolve, kInterpolating: leave the parameter integral out of step control (Kidger, Chen and
  // Lyons 2021, arXiv 2009.09457).
  bool seminorm = false;
  // kInterpolating, kQuadrature, kGauss: keep every k-th step's state and recompute the others, k
  // >= 1; 0: all, or powers of two as far as the budget asks for. The bits do not depend on it.
  // kReversible: keep every k-th state and get the others back; 1 is backprop in other words; 0: as
  // few as bound what rounding does to them.
  int64_t checkpoint_every = 0;
};

// Of all cotangents pulled back together.
struct AdjointStats {
  int64_t replayed_steps = 0;    // steps pulled back
  int64_t recomputed_steps = 0;  // forward steps taken again to get there
  int64_t rhs_evaluations = 0;
  int64_t vjp_evaluations = 0;    // kernel calls
  int64_t peak_stored_bytes = 0;  // as AdjointOptions::memory_budget counts, measured
  int64_t disk_bytes = 0;         // largest size on disk
  int64_t backward_steps = 0;     // accepted by a solve backwards
  int64_t backward_rejected = 0;
  // Largest difference of a state solved backwards or reconstructed from the stored one, in
  // tolerances: rms over elements of difference / (atol + rtol |y|). NaN: none was.
  double reconstruction_error = std::numeric_limits<double>::quiet_NaN();
};

// Cotangents of the states a solve returned.
struct StateCotangents {
  absl::Span<const double> times;     // [K], monotone along the solve; fixed numbers
  absl::Span<const double> saved;     // [K, n]
  absl::Span<const double> terminal;  // [n] at t1, which moves with t1; or empty
};

// t0 and t1 move the outer ends of the first and the last step; the inner grid points stay. A
// value saved at a fixed time inside such a step moves as its dense output does: for a time equal
// to t0 that is -f(t0, y0) per unit of t0.
struct AdjointResult {
  std::vector<double> initial_state;  // [n], dL/dy(t0)
  std::vector<double> params;         // [m], through the right-hand side only
  double t0 = 0;                      // at fixed y(t0)
  double t1 = 0;
  std::vector<double> times;  // [K], dL/d(times[k]); empty unless wanted
};

// Thread-safety: one thread.
class AdjointMethod {
 public:
  virtual ~AdjointMethod() = default;

  // The forward solve; once, and first. The same steps and bits as Integrate without hooks. Errors
  // are those of Integrate, and RESOURCE_EXHAUSTED over the memory budget.
  virtual absl::StatusOr<Trajectory> Solve() = 0;

  // [n] at the end of the last accepted step.
  virtual absl::Span<const double> terminal_state() const = 0;

  // Pulls back V >= 1 cotangents, whose `times` are the same V times over: one result each. The
  // solve reached its end. Any number of times; the bits of a result do not depend on V.
  // CANCELLED, DEADLINE_EXCEEDED or UNAVAILABLE (draining) when the work is stopped, polled each
  // step; DEADLINE_EXCEEDED past the deadline, looked at now and then. INVALID_ARGUMENT for sizes
  // that do not fit.
  virtual absl::StatusOr<std::vector<AdjointResult>> PullBack(
      absl::Span<const StateCotangents> cotangents) = 0;

  // Of all calls so far: counts add up, sizes and errors are the largest.
  virtual AdjointStats stats() const = 0;
};

// What a method works on. `problem` and `options` outlive it; B is 1.
struct AdjointInput {
  const Problem& problem;
  const SolveOptions& options;
  const AdjointOptions& adjoint;
  std::vector<StepCompanion*> companions = {};  // of the forward solve
  const StopSource* stop = &kNeverStops;        // of solve and reverse passes; may change between
  bool want_times = false;                      // fill AdjointResult::times
};

// `method` is of one of the adjoint families.
absl::StatusOr<std::unique_ptr<AdjointMethod>> MakeAdjointMethod(GradientMethod method,
                                                                 const AdjointInput& input);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_ADJOINT_H_

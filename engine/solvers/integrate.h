// The driver: from problem and options to trajectories.
//
//   ASSIGN_OR_RETURN(std::vector<Trajectory> sol, Integrate(problem, options));
#ifndef COSTATE_ENGINE_SOLVERS_INTEGRATE_H_
#define COSTATE_ENGINE_SOLVERS_INTEGRATE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/cancellation.h"
#include "engine/solvers/problem.h"
#include "engine/solvers/stepper.h"

namespace costate {

// The accepted steps of one trajectory, enough to replay each.
struct Recording {
  Scheme scheme = Method::kTsit5;
  int64_t num_states = 0;
  std::vector<double> times;   // [N + 1], t0 first
  std::vector<double> states;  // [N + 1, carried, n]
  std::vector<double> stages;  // [N, s, n]

  int64_t num_steps() const { return static_cast<int64_t>(times.size()) - 1; }
  StepRecord step(int64_t i) const;
  int64_t bytes() const;
};

// Rides along with the solve of a single trajectory (B = 1, W = 1). Sees every tried step; may
// add an error of its own, and is told which steps were accepted. Recording and forward tangents
// are companions.
class StepCompanion {
 public:
  virtual ~StepCompanion() = default;
  // Called once, before the first step, with finite and with bad initial states alike; y0 is what
  // the first step starts from, [carried][n], y first. So is y_new below.
  virtual absl::Status Begin(double /*t0*/, const double* /*y0*/) { return absl::OkStatus(); }
  // The weighted error of what the companion carries, judged like the state's own: the step is
  // accepted when both are <= 1, and the next step follows the larger. 0 for none. Not judged
  // with fixed steps and grids.
  virtual double TrialError(const StepRecord& step, const double* y_new) = 0;
  // The step tried last was accepted; the values saved in (t, t_next] lie at `saved_theta`, in
  // order, with repetitions. A value saved at t0 belongs to no step and is not reported.
  virtual absl::Status Accept(const StepRecord& step, const double* y_new,
                              absl::Span<const double> saved_theta) = 0;
};

// An accepted step of one lane, as the stepper holds it.
struct LaneStep {
  double t = 0, t_next = 0;
  int lanes = 1;                   // W: element i of an array stands at i * W
  const double* y = nullptr;       // [carried][n] at t
  const double* y_new = nullptr;   // [carried][n] at t_next
  const double* stages = nullptr;  // [stages][n]
};

// Is told of the accepted steps of every trajectory, in lanes. An error ends the solve.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  // y0 is what the first step starts from, [carried][n].
  virtual absl::Status Begin(int64_t trajectory, double t0, const double* y0) = 0;
  virtual absl::Status Accept(int64_t trajectory, const LaneStep& step) = 0;
};

struct IntegrateHooks {
  const Cancellation* cancellation = nullptr;   // polled each step
  SaveSink* sink = nullptr;                     // if set, Trajectory::times and states stay empty
  std::vector<StepCompanion*> companions = {};  // B must be 1
  StepObserver* observer = nullptr;
};

// Below the engine's door: sizes and ranges of problem and options are assumed valid
// (ValidateSolve). An early end of a trajectory is in its Termination, not a status.
// A trajectory's bits do not depend on B, lanes, hooks or thread. Trajectories run in lanes with
// steps of their own; a lane that ends is refilled.
// RESOURCE_EXHAUSTED when saved values would pass limits::kMaxSavedBytes.
absl::StatusOr<std::vector<Trajectory>> Integrate(const Problem& problem,
                                                  const SolveOptions& options,
                                                  const IntegrateHooks& hooks = {});

// Checks meaning: finite spans, sizes, ranges, method against step control. Field paths are those
// of the wire (t0, t1, save.times, control.rtol, ...).
absl::Status ValidateSolve(const Problem& problem, const SolveOptions& options);

// Keeps every accepted step. RESOURCE_EXHAUSTED from the solve past `max_bytes`.
class Recorder : public StepCompanion {
 public:
  Recorder(const Scheme& scheme, int64_t num_states, int64_t max_bytes);
  absl::Status Begin(double t0, const double* y0) override;
  double TrialError(const StepRecord& step, const double* y_new) override;
  absl::Status Accept(const StepRecord& step, const double* y_new,
                      absl::Span<const double> saved_theta) override;
  // Accept, for a step in a lane.
  absl::Status AcceptLane(const LaneStep& step);
  const Recording& recording() const { return recording_; }
  Recording Take() &&;

 private:
  Recording recording_;
  int64_t max_bytes_;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_INTEGRATE_H_

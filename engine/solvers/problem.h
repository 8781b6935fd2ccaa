// The nouns of a solve: problem, options, trajectory. Defined once, used by every method.
//
// Mathematical names: t time; y state, n = num_states elements; p parameters, m elements; h step;
// B number of trajectories. All arrays are row-major.
#ifndef COSTATE_ENGINE_SOLVERS_PROBLEM_H_
#define COSTATE_ENGINE_SOLVERS_PROBLEM_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/base/cancellation.h"
#include "engine/base/limits.h"
#include "engine/solvers/vector_field.h"

namespace costate {

enum class Method {
  kEuler,
  kMidpoint,
  kHeun,
  kRalston2,
  kRalston3,
  kBosh3,
  kRk4,
  kTsit5,
  kDopri5,
  kDopri8,
  kEes25,
  kEes27,
  kAlf,
  kReversibleHeun,
  kLeapfrogMidpoint,
};

// A one-step method as it is run.
struct Scheme {
  Scheme(Method m) : method(m) {}  // NOLINT: a method alone is a scheme
  Scheme(Method m, std::optional<double> coupling, double eta)
      : method(m), coupling(coupling), eta(eta) {}

  Method method;
  // Set: the construction of McCallum and Foster (arXiv 2410.11648) makes a Runge-Kutta method
  // reversible, with coupling lambda in (0, 1]; see reversible/coupled.h.
  std::optional<double> coupling;
  // kAlf: damping in (0, 1], not 1/2; 1: none.
  double eta = 1;
};

// y' = f(t, y, p) from t0 to t1 (t1 < t0 integrates backwards), for B trajectories. Spans must
// outlive the call.
struct Problem {
  const VectorField* field = nullptr;
  int64_t num_trajectories = 1;     // B
  absl::Span<const double> t0;      // [B] or [1], shared
  absl::Span<const double> t1;      // [B] or [1], shared
  absl::Span<const double> y0;      // [B, n]
  absl::Span<const double> params;  // [B, m] or [m], shared
};

// Which of the values passed on the way are kept.
struct SaveAt {
  enum class Kind {
    kEnd,    // the state at t1 only
    kTimes,  // at `times`, by dense output
    kSteps,  // the state at t0 and after every `every`-th accepted step, and at t1
  };
  Kind kind = Kind::kEnd;
  std::vector<double> times;  // within [t0, t1], monotone in the direction of integration; shared
  int64_t every = 1;          // >= 1
};

// How steps are chosen.
struct StepControl {
  enum class Kind {
    kAdaptive,  // error control by the method's embedded estimate
    kFixed,     // steps of `fixed_step`, the last one shortened to end at t1
    kGrid,      // exactly the step times of `grid`
  };
  // PID controller on the scaled error e (Soderlind 2003, "Digital filters in adaptive
  // time-stepping"): the next step is h * clamp(safety * e_n^-b1 * e_{n-1}^b2 * e_{n-2}^-b3).
  enum class Controller { kI, kPI, kPID };

  Kind kind = Kind::kAdaptive;
  Controller controller = Controller::kPI;

  // Adaptive. A step is accepted when rms_i(err_i / (atol_i + rtol * max(|y0_i|, |y1_i|))) <= 1.
  double rtol = 1e-6;                 // >= 0
  std::vector<double> atol = {1e-9};  // [1], shared, or [n]; >= 0, not both zero with rtol
  // Unset: the customary values of the controller for the method's order; see step_controller.h.
  std::optional<double> beta1, beta2, beta3;
  double safety = 0.9;                 // (0, 1]
  double min_factor = 0.2;             // (0, 1)
  double max_factor = 10.0;            // > 1
  std::optional<double> initial_step;  // > 0; unset: Hairer, Norsett, Wanner I, II.4
  // >= 0. A step refused at this size, or at 16 ulp(t) if that is more, ends the solve.
  double min_step = 0;
  std::optional<double> max_step;  // > 0; unset: |t1 - t0|

  std::optional<double> fixed_step;  // kFixed: > 0
  std::vector<double> grid;          // kGrid: t0 first, t1 last, strictly monotone; shared
};

struct SolveOptions {
  Method method = Method::kTsit5;
  std::optional<double> coupling;  // see Scheme
  double eta = 1;                  // see Scheme
  StepControl control;
  SaveAt save;
  int64_t max_steps = limits::kDefaultMaxSteps;           // accepted + rejected, per trajectory
  absl::Duration wall_budget = absl::InfiniteDuration();  // of the whole call
  bool return_grid = false;  // keep the accepted step times of each trajectory
  // Widest lane count to use; 0: field->simd_lanes() when B is at least that, else 1.
  int lanes = 0;

  Scheme scheme() const { return {method, coupling, eta}; }
};

struct Termination {
  enum class Reason {
    kReachedEnd,
    kMaxSteps,
    kStepUnderflow,  // the controller asked for a step below the minimum
    kNonFinite,      // the state or its derivative became NaN or infinite
    kWallBudget,
    kCancelled,
    kDeadlineExceeded,
    kShuttingDown,
  };
  Reason reason = Reason::kReachedEnd;
  double t = 0;              // reached
  int64_t step = 0;          // accepted steps until then
  int64_t state_index = -1;  // element of y at fault, -1 if none
  std::string detail;        // one sentence with the figures and what to try; empty at the end
};

struct SolveStats {
  int64_t accepted_steps = 0;
  int64_t rejected_steps = 0;
  int64_t rhs_evaluations = 0;  // dense output included
};

struct Trajectory {
  std::vector<double> times;   // [k]; kTimes: always all of SaveAt::times
  std::vector<double> states;  // [k, n]; NaN at times that were not reached
  int64_t num_reached = 0;     // saved values before the first NaN row
  Termination termination;
  SolveStats stats;
  std::vector<double> grid;  // accepted step times with t0; only with return_grid
};

// Receives saved values as they are made, from the solving thread, in order for each trajectory.
// An error cancels the whole solve and becomes its status.
class SaveSink {
 public:
  virtual ~SaveSink() = default;
  virtual absl::Status Save(int64_t trajectory, double t, absl::Span<const double> y) = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_PROBLEM_H_

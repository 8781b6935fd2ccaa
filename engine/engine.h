// The engine's one door: models in, trajectories and gradients out. Checks meaning, then
// delegates; below it, code assumes valid input.
//
//   Engine engine(std::move(options));
//   ASSIGN_OR_RETURN(std::shared_ptr<const Model> model, engine.Compile(ir));
//   ASSIGN_OR_RETURN(SolveResult result, engine.Solve(request));
#ifndef COSTATE_ENGINE_ENGINE_H_
#define COSTATE_ENGINE_ENGINE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/base/cancellation.h"
#include "engine/base/limits.h"
#include "engine/base/named_array.h"
#include "engine/gradients/adjoint.h"
#include "engine/gradients/forward.h"
#include "engine/gradients/loss.h"
#include "engine/gradients/method.h"
#include "engine/gradients/report.h"
#include "engine/model/evaluator.h"
#include "engine/model/model.h"
#include "engine/solvers/problem.h"
#include "engine/solvers/vector_field.h"

namespace costate {

class DerivedCode;
class KeptSolve;
struct StabilityRequest;  // analyze_stability.h
struct StabilityResult;

// A verified model with its maps. Kernels are built at first use and shared by all holders. A
// model may outlive the engine that made it.
// Thread-safety: immutable from outside; all members may be called from any thread.
class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelIr& ir() const = 0;
  virtual const std::string& resource_name() const = 0;  // "models/<32 hex digits>"
  virtual const VectorField& rhs() const = 0;
  // n values from (t0, -, p); its num_states() is 0.
  virtual const DifferentiableMap& init() const = 0;
  virtual const DifferentiableMap& outputs() const = 0;
  // What was compiled from this model on demand: see derived_code.h.
  virtual const DerivedCode& derived() const = 0;
};

// Common to all requests that integrate. Times may be batched like any value: [1] or [B]. All
// batch axes must agree.
//
// Meaning is checked here and nowhere below. Errors are INVALID_ARGUMENT with a field path in the
// words of the wire: t0, t1, params[i].name, params[i].array, initial_state[i]..., options....
//
// Arrays replace elements of p, or of the initial state, by the name of their tensor; they have its
// shape, or [B, shape]. Values of a parameter outside its declared bounds are refused.
struct Simulation {
  std::shared_ptr<const Model> model;
  std::vector<double> t0 = {0};
  std::vector<double> t1;                 // required
  std::vector<NamedArray> params;         // the others keep the model's defaults
  std::vector<NamedArray> initial_state;  // the others follow the model's init map
  SolveOptions options;
  bool method_auto = true;  // choose options.method, which is then ignored
};

// Time spent on a request, by what it was spent on.
struct EngineTiming {
  absl::Duration compile;  // derivatives of the model and kernels, where not cached
  absl::Duration engine;   // everything else between call and return
};

// What was in force.
struct Resolution {
  // With defaults filled in: betas by controller and order, the controller's bounds, max_step
  // where all trajectories share one span, lanes. `initial_step` stays unset where it is found
  // from the derivatives at t0.
  SolveOptions options;
  std::string method_reason;  // why options.method was chosen; empty if asked for by name
  bool batched = false;       // a batch axis was given (B = 1 included)
};

struct SolveRequest {
  Simulation simulation;
  bool want_outputs = true;
};

// B trajectories with states [k, n], and for each its outputs [k, num_outputs]: NaN at times that
// were not reached; without outputs wanted, empty. An output that is not finite at a finite state
// is given as the model computes it.
struct SolveResult {
  std::vector<Trajectory> trajectories;
  std::vector<std::vector<double>> outputs;
  Resolution resolution;
  EngineTiming timing;
};

// Receives rows as they are made instead of having them collected. `outputs` is empty unless
// wanted. An error stops the solve and becomes its status.
class SolveSink {
 public:
  virtual ~SolveSink() = default;
  // Once, before the first row.
  virtual absl::Status Begin(const Resolution& resolution, int64_t num_trajectories) = 0;
  virtual absl::Status Save(int64_t trajectory, double t, absl::Span<const double> y,
                            absl::Span<const double> outputs) = 0;
};

// What to differentiate with respect to: a parameter tensor, a state tensor (its initial value),
// or "t0", "t1". Where a parameter or state has one of those two names, the name is ambiguous and
// refused; without names in the request, every parameter is meant, whatever it is called.
//
// The initial state is init(t0, p) where it is not given, so parameters and t0 act through it too;
// given entries do not depend on them. The derivative to a state is that to a shift of its initial
// value, with the parameters held.
struct WrtEntry {
  enum class Kind { kParam, kInitialState, kT0, kT1 };
  Kind kind = Kind::kParam;
  std::string name;
  int64_t offset = 0;  // of the first element in p or y
  int64_t size = 1;
  Shape shape;
};

// Differences of solves, for checks.
struct DifferenceOptions {
  // On the steps of the plain solve, for all evaluations; false: each takes its own.
  // kComplexStep has no other way.
  bool frozen_grid = false;
  // Relative to a column's size, > 0; unset: from the measured noise of the loss (More and Wild
  // 2012, "Estimating derivatives of noisy simulations").
  std::optional<double> step;
};

struct GradientOptions {
  GradientMethod method = GradientMethod::kAuto;
  TangentControl tangent_control = TangentControl::kFull;  // forward only
  AdjointOptions adjoint = {};                             // methods in reverse only
  bool want_times = false;                                 // dL/d(save times) too
  DifferenceOptions difference = {};  // kFiniteDifference and kComplexStep only
  ReportOptions report = {};
};

struct GradientStats {
  SolveStats solve;
  AdjointStats adjoint;   // methods in reverse
  TangentStats tangents;  // forward
};

struct GradientRequest {
  Simulation simulation = {};  // SaveAt is replaced by the loss's times
  Loss loss = {};
  std::vector<std::string> wrt = {};  // empty: every parameter
  GradientOptions gradient = {};
};

// Per trajectory. When the solve ended early, or the loss is NaN, loss and gradient are NaN.
struct GradientResult {
  struct PerTrajectory {
    double loss = 0;
    std::vector<double> gradient;  // [sum of wrt sizes], in the order of wrt
    std::vector<double> times;     // [K], dL/d(saved.times[k]); with want_times
    SavedValues saved;             // of the same pass
    Termination termination;
    GradientStats stats;
    std::vector<double> grid;              // with options.return_grid
    std::optional<GradientReport> report;  // of those that GradientOptions::report asks for
  };
  std::vector<WrtEntry> wrt;
  std::vector<PerTrajectory> trajectories;
  GradientMethod method = GradientMethod::kForward;  // in force
  std::string method_reason;  // why `auto` chose it; empty if asked for by name
  TangentControl tangent_control = TangentControl::kFull;
  Resolution resolution;
  EngineTiming timing;
};

// A solve that later calls differentiate, each with losses of its own: see kept_solve.h.
struct KeepRequest {
  Simulation simulation = {};         // SaveAt kTimes or kEnd
  std::vector<std::string> wrt = {};  // empty: every parameter
  GradientOptions gradient = {};      // not by differences; its report is not looked at
};

// Several cotangents of saved values and outputs in one call: V of them, over one trajectory.
struct VjpRequest {
  Simulation simulation = {};
  std::vector<Loss> cotangents = {};  // each of Linear and Terminal terms
  std::vector<std::string> wrt = {};
  GradientOptions gradient = {};
};
struct VjpResult {
  std::vector<WrtEntry> wrt;
  std::vector<double> gradients;         // [V, sum of wrt sizes]
  std::vector<double> values;            // [V], the functionals themselves
  GradientResult::PerTrajectory primal;  // loss and gradient unused
  GradientMethod method = GradientMethod::kForward;
  std::string method_reason;
  TangentControl tangent_control = TangentControl::kFull;
  Resolution resolution;
  EngineTiming timing;
};

// Several tangents: V directions in the space of wrt. Not batched. A value saved at one of `times`
// stays at that time when t0 or t1 moves; the one of kEnd moves with t1.
struct JvpRequest {
  Simulation simulation = {};  // SaveAt kTimes or kEnd
  std::vector<std::string> wrt = {};
  std::vector<double> directions = {};  // [V, sum of wrt sizes]
  TangentControl tangent_control = TangentControl::kFull;
};
struct JvpResult {
  std::vector<WrtEntry> wrt;
  SavedValues saved;
  std::vector<double> states;   // [V, K, n], NaN where not reached
  std::vector<double> outputs;  // [V, K, num_outputs]
  Termination termination;
  GradientStats stats;
  TangentControl tangent_control = TangentControl::kFull;
  std::vector<double> grid;
  Resolution resolution;
  EngineTiming timing;
};

// dy/dq and d(outputs)/dq for every element q of wrt: the Jvp of the identity, laid out as
// states [K, n, C] and outputs [K, num_outputs, C].
struct SensitivityRequest {
  Simulation simulation = {};
  std::vector<std::string> wrt = {};
  TangentControl tangent_control = TangentControl::kFull;
};
using SensitivityResult = JvpResult;  // with the layout above

// Products with the Hessian of a loss on the steps of the plain solve, or with its Gauss-Newton
// part J' H J (J the derivative of the saved values, H the second derivative of the loss by them).
struct HvpRequest {
  Simulation simulation = {};  // not batched
  Loss loss = {};
  std::vector<std::string> wrt = {};
  std::vector<double> vectors = {};  // [V, sum of wrt sizes]
  bool gauss_newton = false;
};
struct HvpResult {
  std::vector<WrtEntry> wrt;
  std::vector<double> products;          // [V, sum of wrt sizes], NaN where not reached
  GradientResult::PerTrajectory primal;  // loss and gradient of the same steps
  Resolution resolution;
  EngineTiming timing;
};

// Several gradient methods against each other.
struct CheckRequest {
  GradientRequest gradient = {};             // not batched; its method is not looked at
  std::vector<GradientMethod> methods = {};  // empty: forward, backprop, gauss, finite_difference
};
struct CheckResult {
  struct Row {
    GradientMethod method = GradientMethod::kForward;
    GradientResult::PerTrajectory result;
    double relative_difference = 0;  // |p*(g - g of the first row)| / |p*(g of the first row)|
    // The same of the derivatives by save times, unscaled; 0 where they are not wanted.
    double time_relative_difference = 0;
    double cost_in_solves = 0;  // by evaluations, against a plain solve
  };
  std::vector<WrtEntry> wrt;
  std::vector<Row> rows;    // in the order asked for
  bool with_times = false;  // GradientOptions::want_times
  Resolution resolution;
  EngineTiming timing;
};

struct EngineOptions {
  std::unique_ptr<Evaluator> evaluator;  // required
  int64_t max_cached_models = 1024;      // compiled models kept by name, least recently used out
};

// Thread-safety: all members may be called from any thread.
class Engine {
 public:
  explicit Engine(EngineOptions options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // The same IR gives the same Model object while it is cached. INVALID_ARGUMENT if it does not
  // verify.
  absl::StatusOr<std::shared_ptr<const Model>> Compile(ModelIr ir);

  // With a sink, rows go there and trajectories and outputs stay empty of them.
  absl::StatusOr<SolveResult> Solve(const SolveRequest& request,
                                    const Cancellation* cancellation = nullptr,
                                    SolveSink* sink = nullptr);
  absl::StatusOr<GradientResult> Differentiate(const GradientRequest& request,
                                               const Cancellation* cancellation = nullptr);
  absl::StatusOr<std::unique_ptr<KeptSolve>> Keep(const KeepRequest& request,
                                                  const Cancellation* cancellation = nullptr);
  absl::StatusOr<VjpResult> ComputeVjp(const VjpRequest& request,
                                       const Cancellation* cancellation = nullptr);
  absl::StatusOr<JvpResult> ComputeJvp(const JvpRequest& request,
                                       const Cancellation* cancellation = nullptr);
  absl::StatusOr<SensitivityResult> ComputeSensitivities(
      const SensitivityRequest& request, const Cancellation* cancellation = nullptr);
  absl::StatusOr<HvpResult> ComputeHvp(const HvpRequest& request,
                                       const Cancellation* cancellation = nullptr);
  absl::StatusOr<CheckResult> CheckGradient(const CheckRequest& request,
                                            const Cancellation* cancellation = nullptr);
  // Regions of schemes need no model: stability/region.h.
  absl::StatusOr<StabilityResult> AnalyzeStability(const StabilityRequest& request,
                                                   const Cancellation* cancellation = nullptr);

  // Work of a request in element operations of the right-hand side, without running it: the
  // measure of admission. Steps are known for fixed steps and grids; an adaptive solve is taken to
  // need 1,000, or max_steps if that is less, since its default bound says nothing of the cost.
  static double EstimateCost(const Simulation& simulation, int64_t num_columns);

  const Evaluator& evaluator() const;
  int64_t num_cached_models() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_ENGINE_H_

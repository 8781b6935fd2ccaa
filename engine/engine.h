// The engine's one door: models in, trajectories and gradients out. Checks meaning, then
// delegates; below it, code assumes valid input.
//
//   Engine engine(std::move(options));
//   ASSIGN_OR_RETURN(std::shared_ptr<const Model> model, engine.Compile(ir));
//   ASSIGN_OR_RETURN(SolveResult result, engine.Solve(request));
#ifndef COSTATE_ENGINE_ENGINE_H_
#define COSTATE_ENGINE_ENGINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/cancellation.h"
#include "engine/gradients/discrete_adjoint.h"
#include "engine/gradients/forward.h"
#include "engine/gradients/loss.h"
#include "engine/model/evaluator.h"
#include "engine/model/model.h"
#include "engine/solvers/problem.h"
#include "engine/solvers/vector_field.h"

namespace costate {

// A verified model with its maps. Kernels are built at first use and shared by all holders.
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
};

// A replacement for some elements of p, or of the initial state, by the name of its tensor.
// `values` is row-major: the tensor's shape, or with a leading batch axis [B, shape].
struct NamedArray {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<double> values;
};

// Common to all requests that integrate. Times may be batched like any value: [1] or [B].
struct Simulation {
  std::shared_ptr<const Model> model;
  std::vector<double> t0 = {0};
  std::vector<double> t1;                 // required
  std::vector<NamedArray> params;         // the others keep the model's defaults
  std::vector<NamedArray> initial_state;  // the others follow the model's init map
  SolveOptions options;                   // Method unset is resolved by the door
  bool method_auto = true;                // choose options.method
};

struct SolveRequest {
  Simulation simulation;
  bool want_outputs = true;
};

// B trajectories, each with states [k, n] and outputs [k, num_outputs].
struct SolveResult {
  std::vector<Trajectory> trajectories;
  std::vector<std::vector<double>> outputs;
  SolveOptions options;  // every option in force
  int lanes = 1;
  absl::Duration engine_time;
};

// Streams rows instead of collecting them.
class SolveSink {
 public:
  virtual ~SolveSink() = default;
  virtual absl::Status Save(int64_t trajectory, double t, absl::Span<const double> y,
                            absl::Span<const double> outputs) = 0;
};

enum class GradientMethod { kAuto, kForward, kBackprop };

// What to differentiate with respect to: a parameter tensor, a state tensor (its initial value),
// or "t0", "t1". Names are unique across kinds in a model; one that collides is refused there.
struct WrtEntry {
  enum class Kind { kParam, kInitialState, kT0, kT1 };
  Kind kind = Kind::kParam;
  std::string name;
  int64_t offset = 0;  // of the first element in p or y
  int64_t size = 1;
  Shape shape;
};

struct GradientOptions {
  GradientMethod method = GradientMethod::kAuto;
  TangentControl tangent_control = TangentControl::kFull;  // forward only
};

struct GradientStats {
  SolveStats solve;
  AdjointStats adjoint;   // backprop
  TangentStats tangents;  // forward
  absl::Duration engine_time;
};

struct GradientRequest {
  Simulation simulation;  // SaveAt is replaced by the loss's times
  Loss loss;
  std::vector<std::string> wrt;  // empty: every parameter
  GradientOptions gradient;
};

// Per trajectory. When the solve ended early the loss and gradient are NaN.
struct GradientResult {
  struct PerTrajectory {
    double loss = 0;
    std::vector<double> gradient;  // [sum of wrt sizes], in the order of wrt
    SavedValues saved;             // of the same pass
    Termination termination;
    GradientStats stats;
    std::vector<double> grid;      // with options.return_grid
  };
  std::vector<WrtEntry> wrt;
  std::vector<PerTrajectory> trajectories;
  GradientMethod method;       // in force
  std::string method_reason;   // why `auto` chose it; empty if asked for by name
  TangentControl tangent_control;
  SolveOptions options;
};

// Several cotangents of saved values and outputs in one call: V of them, over one trajectory.
struct VjpRequest {
  Simulation simulation;
  std::vector<Loss> cotangents;  // each of Linear and Terminal terms
  std::vector<std::string> wrt;
  GradientOptions gradient;
};
struct VjpResult {
  std::vector<WrtEntry> wrt;
  std::vector<double> gradients;  // [V, sum of wrt sizes]
  GradientResult::PerTrajectory primal;  // loss and gradient unused
  GradientMethod method;
  std::string method_reason;
  SolveOptions options;
};

// Several tangents: V directions in the space of wrt.
struct JvpRequest {
  Simulation simulation;            // SaveAt kTimes or kEnd
  std::vector<std::string> wrt;
  std::vector<double> directions;   // [V, sum of wrt sizes]
  TangentControl tangent_control = TangentControl::kFull;
};
struct JvpResult {
  std::vector<WrtEntry> wrt;
  SavedValues saved;
  std::vector<double> states;   // [V, K, n]
  std::vector<double> outputs;  // [V, K, num_outputs]
  Termination termination;
  GradientStats stats;
  TangentControl tangent_control;
  SolveOptions options;
  std::vector<double> grid;
};

// dy/dq and d(outputs)/dq for every element q of wrt: the Jvp of the identity, laid out as
// states [K, n, C] and outputs [K, num_outputs, C].
struct SensitivityRequest {
  Simulation simulation;
  std::vector<std::string> wrt;
  TangentControl tangent_control = TangentControl::kFull;
};
using SensitivityResult = JvpResult;  // with the layout above

struct EngineOptions {
  std::unique_ptr<Evaluator> evaluator;  // required
  int64_t max_cached_models = 1024;      // compiled models kept by name, least recently used out
};

// Thread-safety: all members may be called from any thread.
class Engine {
 public:
  explicit Engine(EngineOptions options);
  ~Engine();

  // The same IR gives the same Model object while it is cached. INVALID_ARGUMENT if it does not
  // verify.
  absl::StatusOr<std::shared_ptr<const Model>> Compile(ModelIr ir);

  absl::StatusOr<SolveResult> Solve(const SolveRequest& request,
                                    const Cancellation* cancellation = nullptr,
                                    SolveSink* sink = nullptr);
  absl::StatusOr<GradientResult> Differentiate(const GradientRequest& request,
                                               const Cancellation* cancellation = nullptr);
  absl::StatusOr<VjpResult> ComputeVjp(const VjpRequest& request,
                                       const Cancellation* cancellation = nullptr);
  absl::StatusOr<JvpResult> ComputeJvp(const JvpRequest& request,
                                       const Cancellation* cancellation = nullptr);
  absl::StatusOr<SensitivityResult> ComputeSensitivities(
      const SensitivityRequest& request, const Cancellation* cancellation = nullptr);

  // Work of a request in right-hand-side element operations, without running it: the measure of
  // admission. Steps are guessed from the options (max_steps when nothing is known).
  static double EstimateCost(const Simulation& simulation, int64_t num_columns);

  const Evaluator& evaluator() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_ENGINE_H_

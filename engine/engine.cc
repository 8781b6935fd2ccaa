#include "engine/engine.h"

#include <algorithm>
#include <cmath>
#include <list>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "engine/analyze_stability.h"
#include "engine/base/status_macros.h"
#include "engine/check_gradient.h"
#include "engine/differentiate.h"
#include "engine/hvp.h"
#include "engine/kept_solve.h"
#include "engine/model_maps.h"
#include "engine/products.h"
#include "engine/solve.h"
#include "engine/solvers/stepper.h"
#include "engine/tensor_index.h"

namespace costate {
namespace {

constexpr double kGuessedSteps = 1000;  // of an adaptive solve
constexpr double kTangentLanes = 4;     // columns that cost as much as one more right-hand side

// Multiplications and additions of a function, roughly: elements written, products counted out.
double ElementOperations(const Function& function) {
  double operations = 0;
  for (const Instruction& instruction : function.instructions) {
    double work = static_cast<double>(NumElements(instruction.shape));
    if (instruction.op == Op::kMatmul) {
      const Shape& left = function.instructions[instruction.operands[0]].shape;
      const bool transposed = left.size() == 2 && instruction.attributes[0] == 1;
      work *= static_cast<double>(transposed ? left.front() : left.back());
    }
    operations += work;
  }
  return operations;
}

double ExpectedSteps(const Simulation& simulation) {
  const StepControl& control = simulation.options.control;
  double steps = kGuessedSteps;
  if (control.kind == StepControl::Kind::kGrid) steps = static_cast<double>(control.grid.size());
  if (control.kind == StepControl::Kind::kFixed && control.fixed_step.has_value() &&
      !simulation.t0.empty() && !simulation.t1.empty()) {
    steps = std::ceil(std::fabs(simulation.t1[0] - simulation.t0[0]) / *control.fixed_step);
  }
  const double bound = static_cast<double>(simulation.options.max_steps);
  return std::isfinite(steps) ? std::min(steps, bound) : bound;
}

}  // namespace

// Models by name, least recently used out.
class Engine::Impl {
 public:
  explicit Impl(EngineOptions options)
      : evaluator_(std::move(options.evaluator)),
        capacity_(static_cast<size_t>(std::max<int64_t>(1, options.max_cached_models))) {}

  absl::StatusOr<std::shared_ptr<const Model>> Compile(ModelIr ir) {
    RETURN_IF_ERROR(VerifyModel(ir));
    std::string name = ModelResourceName(ir);
    if (std::shared_ptr<const Model> cached = Find(name); cached != nullptr) return cached;
    std::string key = name;
    return Insert(std::move(key), MakeModel(std::move(ir), std::move(name), evaluator_));
  }

  const Evaluator& evaluator() const { return *evaluator_; }

  int64_t size() const {
    absl::MutexLock lock(&mutex_);
    return static_cast<int64_t>(models_.size());
  }

 private:
  using Entries = std::list<std::shared_ptr<const Model>>;  // most recent first

  std::shared_ptr<const Model> Find(const std::string& name) {
    absl::MutexLock lock(&mutex_);
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) return nullptr;
    models_.splice(models_.begin(), models_, found->second);
    return models_.front();
  }

  // Another thread may have inserted the same model meanwhile; the first one stays.
  std::shared_ptr<const Model> Insert(std::string name, std::shared_ptr<const Model> model) {
    absl::MutexLock lock(&mutex_);
    const auto found = by_name_.find(name);
    if (found != by_name_.end()) return *found->second;
    models_.push_front(std::move(model));
    by_name_[std::move(name)] = models_.begin();
    if (models_.size() > capacity_) {
      by_name_.erase(models_.back()->resource_name());
      models_.pop_back();
    }
    return models_.front();
  }

  const std::shared_ptr<Evaluator> evaluator_;
  const size_t capacity_;
  mutable absl::Mutex mutex_;
  Entries models_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, Entries::iterator> by_name_ ABSL_GUARDED_BY(mutex_);
};

Engine::Engine(EngineOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Engine::~Engine() = default;

absl::StatusOr<std::shared_ptr<const Model>> Engine::Compile(ModelIr ir) {
  return impl_->Compile(std::move(ir));
}

absl::StatusOr<SolveResult> Engine::Solve(const SolveRequest& request,
                                          const Cancellation* cancellation, SolveSink* sink) {
  return SolveSimulation(request, cancellation, sink);
}

absl::StatusOr<GradientResult> Engine::Differentiate(const GradientRequest& request,
                                                     const Cancellation* cancellation) {
  return DifferentiateSimulation(request, cancellation);
}

absl::StatusOr<std::unique_ptr<KeptSolve>> Engine::Keep(const KeepRequest& request,
                                                        const Cancellation* cancellation) {
  return KeepSimulation(request, cancellation);
}

absl::StatusOr<VjpResult> Engine::ComputeVjp(const VjpRequest& request,
                                             const Cancellation* cancellation) {
  return VjpOfSimulation(request, cancellation);
}

absl::StatusOr<JvpResult> Engine::ComputeJvp(const JvpRequest& request,
                                             const Cancellation* cancellation) {
  return JvpOfSimulation(request, cancellation);
}

absl::StatusOr<SensitivityResult> Engine::ComputeSensitivities(const SensitivityRequest& request,
                                                               const Cancellation* cancellation) {
  return SensitivitiesOfSimulation(request, cancellation);
}

absl::StatusOr<HvpResult> Engine::ComputeHvp(const HvpRequest& request,
                                             const Cancellation* cancellation) {
  return HvpOfSimulation(request, cancellation);
}

absl::StatusOr<CheckResult> Engine::CheckGradient(const CheckRequest& request,
                                                  const Cancellation* cancellation) {
  return CheckGradientOfSimulation(request, cancellation);
}

absl::StatusOr<StabilityResult> Engine::AnalyzeStability(const StabilityRequest& request,
                                                         const Cancellation* cancellation) {
  return AnalyzeStabilityOfSimulation(request, cancellation);
}

double Engine::EstimateCost(const Simulation& simulation, int64_t num_columns) {
  if (simulation.model == nullptr) return 0;
  const ModelIr& ir = simulation.model->ir();
  const Scheme scheme =
      simulation.method_auto ? Scheme(Method::kTsit5) : simulation.options.scheme();
  const double stages = GetMethodInfo(scheme).stages;
  const double evaluations = static_cast<double>(ExpectBatch(simulation).trajectories) *
                             ExpectedSteps(simulation) * stages;
  const double per_evaluation =
      ElementOperations(ir.rhs) + stages * static_cast<double>(ir.num_states());
  return evaluations * per_evaluation *
         (1 + std::ceil(static_cast<double>(num_columns) / kTangentLanes));
}

const Evaluator& Engine::evaluator() const { return impl_->evaluator(); }

int64_t Engine::num_cached_models() const { return impl_->size(); }

}  // namespace costate

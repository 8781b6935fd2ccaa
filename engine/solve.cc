#include "engine/solve.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/bind.h"
#include "engine/map_rows.h"
#include "engine/resolve_options.h"
#include "engine/solvers/integrate.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Adds outputs to the driver's rows and hands them on.
class OutputSink : public SaveSink {
 public:
  static absl::StatusOr<OutputSink> Create(const BoundSimulation& bound, bool want_outputs,
                                           SolveSink& sink) {
    OutputSink made(bound, sink);
    const DifferentiableMap& map = bound.model->outputs();
    if (want_outputs && map.num_values() > 0) {
      ASSIGN_OR_RETURN(made.kernel_, map.Get(MapKernel::kValue, 1));
      made.outputs_.resize(map.num_values());
      made.scratch_.resize(made.kernel_.scratch_size());
    }
    return made;
  }

  absl::Status Save(int64_t trajectory, double t, absl::Span<const double> y) override {
    if (!outputs_.empty()) {
      const double* p = bound_.one(trajectory).params.data();
      const double* inputs[] = {&t, y.data(), p};
      double* outputs[] = {outputs_.data()};
      kernel_(inputs, outputs, scratch_.data());
    }
    return sink_.Save(trajectory, t, y, outputs_);
  }

 private:
  OutputSink(const BoundSimulation& bound, SolveSink& sink) : bound_(bound), sink_(sink) {}

  const BoundSimulation& bound_;
  SolveSink& sink_;
  Kernel kernel_;
  std::vector<double> outputs_;
  std::vector<double> scratch_;
};

absl::StatusOr<std::vector<Trajectory>> RunSolve(const BoundSimulation& bound,
                                                 const SolveOptions& options, bool want_outputs,
                                                 const Cancellation* cancellation,
                                                 SolveSink* sink) {
  IntegrateHooks hooks;
  hooks.cancellation = cancellation;
  if (sink == nullptr) return Integrate(bound.all(), options, hooks);
  ASSIGN_OR_RETURN(OutputSink adapter, OutputSink::Create(bound, want_outputs, *sink));
  hooks.sink = &adapter;
  return Integrate(bound.all(), options, hooks);
}

// Of the kernel the outputs need; 0 for none.
int OutputLanes(const SolveRequest& request, const SolveOptions& options, bool streams) {
  const DifferentiableMap& map = request.simulation.model->outputs();
  if (!request.want_outputs || map.num_values() == 0) return 0;
  const int64_t many = std::numeric_limits<int64_t>::max();
  switch (options.save.kind) {
    case SaveAt::Kind::kEnd:
      return 1;
    case SaveAt::Kind::kTimes:
      return streams ? 1 : RowLanes(map, static_cast<int64_t>(options.save.times.size()));
    case SaveAt::Kind::kSteps:
      return streams ? 1 : RowLanes(map, many);
  }
  return 0;
}

absl::Status CheckOutputRoom(const std::vector<Trajectory>& trajectories, int64_t num_outputs) {
  double rows = 0;
  for (const Trajectory& trajectory : trajectories) rows += trajectory.times.size();
  if (8.0 * rows * num_outputs <= static_cast<double>(limits::kMaxSavedBytes)) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      absl::StrCat(num_outputs, " outputs at ", rows, " saved times pass the limit of ",
                   limits::kMaxSavedBytes, " bytes; save fewer times, or stream"));
}

// Outputs of all trajectories. Those that the wall budget leaves out are NaN, and their
// trajectories say so.
absl::Status AddOutputs(const BoundSimulation& bound, const Cancellation* cancellation,
                        absl::Time deadline, SolveResult* result) {
  const Model& model = *bound.model;
  RETURN_IF_ERROR(CheckOutputRoom(result->trajectories, model.outputs().num_values()));
  for (size_t b = 0; b < result->trajectories.size(); ++b) {
    Trajectory& trajectory = result->trajectories[b];
    const absl::Duration budget =
        deadline == absl::InfiniteFuture() ? absl::InfiniteDuration() : deadline - absl::Now();
    const absl::Status status = EvaluateOutputs(model, trajectory, bound.one(b).params,
                                                cancellation, &result->outputs[b], budget);
    if (!absl::IsAborted(status)) {
      RETURN_IF_ERROR(status);
      continue;
    }
    Termination& end = trajectory.termination;
    if (end.reason == Termination::Reason::kReachedEnd) {
      end.reason = Termination::Reason::kWallBudget;
    }
    absl::StrAppend(&end.detail, end.detail.empty() ? "" : "; ", status.message());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status EvaluateOutputs(const Model& model, const Trajectory& trajectory,
                             absl::Span<const double> params, const Cancellation* cancellation,
                             std::vector<double>* outputs, absl::Duration budget) {
  MapPoints points;
  points.rows = trajectory.num_reached;
  points.t = trajectory.times.data();
  points.y = trajectory.states.data();
  points.p = params.data();
  points.cancellation = cancellation;
  points.budget = budget;
  outputs->assign(trajectory.times.size() * model.outputs().num_values(), kNaN);
  absl::Status status = EvaluateRows(model.outputs(), points, outputs->data());
  const bool cancelled = cancellation != nullptr && cancellation->cancelled();
  if (cancelled && trajectory.termination.reason != Termination::Reason::kReachedEnd) {
    return absl::OkStatus();  // the trajectory says that it was cut short
  }
  return status;
}

absl::Status CheckTrajectory(const Trajectory& trajectory, int64_t num_states) {
  const int64_t rows = static_cast<int64_t>(trajectory.times.size());
  const bool fits = static_cast<int64_t>(trajectory.states.size()) == rows * num_states &&
                    trajectory.num_reached >= 0 && trajectory.num_reached <= rows;
  if (!fits) return absl::InternalError("the solver returned arrays that do not fit each other");
  const auto end = trajectory.states.begin() + trajectory.num_reached * num_states;
  const bool finite =
      std::all_of(trajectory.states.begin(), end, [](double x) { return std::isfinite(x); });
  if (!finite) return absl::InternalError("the solver returned a reached state that is not finite");
  return absl::OkStatus();
}

absl::StatusOr<SolveResult> SolveSimulation(const SolveRequest& request,
                                            const Cancellation* cancellation, SolveSink* sink) {
  const absl::Time start = absl::Now();
  ASSIGN_OR_RETURN(const BoundSimulation bound, Bind(request.simulation, cancellation));
  ASSIGN_OR_RETURN(ResolvedOptions resolved, ResolveOptions(request.simulation, bound));
  const Model& model = *bound.model;
  const int lanes = resolved.resolution.options.lanes;
  ASSIGN_OR_RETURN(const absl::Duration prepared,
                   PrepareKernels({{&model.rhs(), MapKernel::kValue, lanes},
                                   {&model.rhs(), MapKernel::kValue, 1},
                                   {&model.outputs(), MapKernel::kValue,
                                    OutputLanes(request, resolved.options, sink != nullptr)}},
                                  cancellation));
  const absl::Duration compile = bound.compile + prepared;
  if (sink != nullptr) {
    RETURN_IF_ERROR(sink->Begin(resolved.resolution, bound.num_trajectories));
  }
  SolveResult result;
  // A quarter more for the outputs of what was reached when the solve itself spent the budget.
  const absl::Time deadline = absl::Now() + 1.25 * resolved.options.wall_budget;
  ASSIGN_OR_RETURN(result.trajectories,
                   RunSolve(bound, resolved.options, request.want_outputs, cancellation, sink));
  if (sink == nullptr) {
    for (const Trajectory& trajectory : result.trajectories) {
      RETURN_IF_ERROR(CheckTrajectory(trajectory, model.rhs().num_states()));
    }
    result.outputs.resize(result.trajectories.size());
    if (request.want_outputs) {
      RETURN_IF_ERROR(AddOutputs(bound, cancellation, deadline, &result));
    }
  }
  result.resolution = std::move(resolved.resolution);
  result.timing.compile = compile;
  result.timing.engine = absl::Now() - start - compile;
  return result;
}

}  // namespace costate

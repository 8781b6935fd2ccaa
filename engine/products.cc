#include "engine/products.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/bind.h"
#include "engine/differentiate.h"
#include "engine/gradient_pass.h"
#include "engine/map_rows.h"
#include "engine/resolve_options.h"
#include "engine/solve.h"
#include "engine/solved_pass.h"
#include "engine/tangent_pass.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

absl::StatusOr<BoundSimulation> BindOne(const Simulation& simulation,
                                        const Cancellation* cancellation) {
  ASSIGN_OR_RETURN(BoundSimulation bound, Bind(simulation, cancellation));
  if (!bound.batched) return bound;
  return FieldError("simulation", absl::StrCat("a batch of ", bound.num_trajectories),
                    "one trajectory without batch axes");
}

std::vector<const Loss*> Pointers(const std::vector<Loss>& losses) {
  std::vector<const Loss*> pointers;
  for (const Loss& loss : losses) pointers.push_back(&loss);
  return pointers;
}

// One pass, then all cotangents pulled back together.
absl::Status RunVjp(const VjpRequest& request, const PassInput& input, VjpResult* result) {
  const std::unique_ptr<GradientPass> pass = MakeGradientPass(result->method, input);
  RETURN_IF_ERROR(pass->Solve());
  RETURN_IF_ERROR(PullBackSolved(request.cotangents, input, pass.get(), result));
  PassPrimal& primal = pass->primal();
  result->primal.loss = kNaN;
  result->primal.saved = std::move(primal.values);
  result->primal.termination = std::move(primal.termination);
  result->primal.stats = primal.stats;
  result->primal.grid = std::move(primal.grid);
  return absl::OkStatus();
}

// What ComputeJvp and ComputeSensitivities share: tangents as [K, n, V] and [K, k, V].
struct Tangents {
  TangentPass pass;
  std::vector<double> outputs;
};

absl::Status CheckDirections(const std::vector<double>& directions, int64_t columns) {
  if (directions.empty() || directions.size() % columns != 0) {
    return FieldError("directions", absl::StrCat(directions.size(), " values"),
                      absl::StrCat("rows of ", columns, " values, one for each element of wrt"));
  }
  for (size_t i = 0; i < directions.size(); ++i) {
    if (std::isfinite(directions[i])) continue;
    return FieldError(absl::StrCat("directions[", i, "]"), absl::StrCat(directions[i]),
                      "a finite number");
  }
  return absl::OkStatus();
}

// Tangents of the outputs, with the explicit dependence on p; at t1, which moves, also on t.
absl::Status PushOutputs(const PassInput& input, int64_t num_directions,
                         absl::Span<const double> directions, Tangents* tangents) {
  const DifferentiableMap& map = input.bound->model->outputs();
  const SavedValues& values = tangents->pass.primal.values;
  const Problem problem = input.bound->one(input.trajectory);
  const int64_t k = map.num_values();
  tangents->outputs.assign(values.times.size() * k * num_directions, kNaN);
  if (k == 0) return absl::OkStatus();
  int64_t reached = 0;
  const int64_t n = map.num_states();
  while (reached < static_cast<int64_t>(values.times.size()) &&
         !std::isnan(values.states[reached * n])) {
    ++reached;
  }
  const std::vector<double> params = ParamTangents(input, num_directions, directions);
  std::vector<double> t1;
  if (input.options->save.kind == SaveAt::Kind::kEnd) {
    t1 = TimeTangents(input, WrtEntry::Kind::kT1, num_directions, directions);
  }
  const MapPoints rows = {
      .rows = reached,
      .t = values.times.data(),
      .y = values.states.data(),
      .p = problem.params.data(),
      .cancellation = input.stop->cancellation,
      // A quarter more, as in a solve, for what was reached.
      .budget = input.stop->deadline - absl::Now() + 0.25 * input.options->wall_budget};
  const absl::Status status =
      PushRows(map, rows, num_directions, t1.empty() ? nullptr : t1.data(),
               tangents->pass.states.data(), params.data(), tangents->outputs.data());
  Termination& end = tangents->pass.primal.termination;
  const bool reached_end = end.reason == Termination::Reason::kReachedEnd;
  if (absl::IsAborted(status)) {
    if (reached_end) {
      end.reason = Termination::Reason::kWallBudget;
      end.detail = std::string(status.message());
    }
    return absl::OkStatus();
  }
  const Cancellation* cancellation = input.stop->cancellation;
  const bool cancelled = cancellation != nullptr && cancellation->cancelled();
  // A trajectory that was cut short says so itself.
  return cancelled && !reached_end ? absl::OkStatus() : status;
}

// [rows, V] to [V, rows].
std::vector<double> DirectionsFirst(const std::vector<double>& tangents, int64_t num_directions) {
  const int64_t rows = static_cast<int64_t>(tangents.size()) / num_directions;
  std::vector<double> moved(tangents.size());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t v = 0; v < num_directions; ++v) {
      moved[v * rows + row] = tangents[row * num_directions + v];
    }
  }
  return moved;
}

// Fills all of `result` but its tangents, which it returns. Without directions: unit ones.
absl::StatusOr<Tangents> RunJvp(const JvpRequest& request, bool unit_directions,
                                const Cancellation* cancellation, JvpResult* result) {
  const absl::Time start = absl::Now();
  const StopSource stop = {cancellation, DeadlineOf(request.simulation.options)};
  ASSIGN_OR_RETURN(const BoundSimulation bound, BindOne(request.simulation, cancellation));
  ASSIGN_OR_RETURN(result->wrt, ResolveWrt(bound.model->ir(), request.wrt));
  RETURN_IF_ERROR(CheckSpans(bound, result->wrt));
  if (request.simulation.options.save.kind == SaveAt::Kind::kSteps) {
    return FieldError("options.save", "every_steps", "times or the end");
  }
  ASSIGN_OR_RETURN(ResolvedOptions resolved, ResolveOptions(request.simulation, bound));
  const int64_t columns = NumColumns(result->wrt);
  PassInput input;
  input.bound = &bound;
  input.options = &resolved.options;
  input.wrt = &result->wrt;
  input.control = request.tangent_control;
  input.stop = &stop;
  if (unit_directions) {
    RETURN_IF_ERROR(CheckTangentRoom(input, columns));
  } else {
    RETURN_IF_ERROR(CheckDirections(request.directions, columns));
  }
  const std::vector<double> directions =
      unit_directions ? UnitDirections(columns) : request.directions;
  const int64_t count = static_cast<int64_t>(directions.size()) / columns;
  ASSIGN_OR_RETURN(
      result->timing.compile,
      PrepareGradientKernels(bound, GradientMethod::kForward,
                             static_cast<int64_t>(resolved.options.save.times.size())));
  Tangents tangents;
  ASSIGN_OR_RETURN(tangents.pass, SolveInDirections(input, count, directions));
  RETURN_IF_ERROR(PushOutputs(input, count, directions, &tangents));
  PassPrimal& primal = tangents.pass.primal;
  result->saved = std::move(primal.values);
  result->termination = std::move(primal.termination);
  result->stats = primal.stats;
  result->grid = std::move(primal.grid);
  result->tangent_control = request.tangent_control;
  result->resolution = std::move(resolved.resolution);
  result->timing.engine = absl::Now() - start - result->timing.compile;
  return tangents;
}

}  // namespace

absl::StatusOr<VjpResult> VjpOfSimulation(const VjpRequest& request,
                                          const Cancellation* cancellation) {
  const absl::Time start = absl::Now();
  const StopSource stop = {cancellation, DeadlineOf(request.simulation.options)};
  ASSIGN_OR_RETURN(const BoundSimulation bound, BindOne(request.simulation, cancellation));
  VjpResult result;
  ASSIGN_OR_RETURN(result.wrt, ResolveWrt(bound.model->ir(), request.wrt));
  RETURN_IF_ERROR(CheckSpans(bound, result.wrt));
  RETURN_IF_ERROR(ValidateCotangents(request.cotangents, bound));
  RETURN_IF_ERROR(CheckGradientRoom(static_cast<int64_t>(request.cotangents.size()), "cotangents",
                                    NumColumns(result.wrt)));
  ASSIGN_OR_RETURN(
      ResolvedOptions resolved,
      ResolveOptions(request.simulation, bound,
                     SaveAtLossTimes(Pointers(request.cotangents), bound.t1[0] < bound.t0[0])));
  RETURN_IF_ERROR(CheckSavedRoom(bound, resolved.options.save));
  result.method = ChooseGradientMethod(request.gradient, bound, resolved.options,
                                       NumColumns(result.wrt), &result.method_reason);
  RETURN_IF_ERROR(CheckGradientOptions(request.gradient, result.method, resolved.options.scheme()));
  result.tangent_control = request.gradient.tangent_control;
  ASSIGN_OR_RETURN(result.timing.compile,
                   PrepareGradientKernels(bound, result.method,
                                          static_cast<int64_t>(resolved.options.save.times.size()),
                                          static_cast<int64_t>(request.cotangents.size())));
  PassInput input;
  input.bound = &bound;
  input.options = &resolved.options;
  input.wrt = &result.wrt;
  input.control = result.tangent_control;
  input.difference = &request.gradient.difference;
  input.adjoint = &request.gradient.adjoint;
  input.stop = &stop;
  RETURN_IF_ERROR(RunVjp(request, input, &result));
  result.resolution = std::move(resolved.resolution);
  result.timing.engine = absl::Now() - start - result.timing.compile;
  return result;
}

absl::StatusOr<JvpResult> JvpOfSimulation(const JvpRequest& request,
                                          const Cancellation* cancellation) {
  JvpResult result;
  ASSIGN_OR_RETURN(const Tangents tangents, RunJvp(request, false, cancellation, &result));
  const int64_t count = static_cast<int64_t>(request.directions.size()) / NumColumns(result.wrt);
  result.states = DirectionsFirst(tangents.pass.states, count);
  result.outputs = DirectionsFirst(tangents.outputs, count);
  return result;
}

absl::StatusOr<SensitivityResult> SensitivitiesOfSimulation(const SensitivityRequest& request,
                                                            const Cancellation* cancellation) {
  const JvpRequest as_jvp = {.simulation = request.simulation,
                             .wrt = request.wrt,
                             .directions = {},
                             .tangent_control = request.tangent_control};
  JvpResult result;
  ASSIGN_OR_RETURN(Tangents tangents, RunJvp(as_jvp, true, cancellation, &result));
  result.states = std::move(tangents.pass.states);
  result.outputs = std::move(tangents.outputs);
  return result;
}

}  // namespace costate

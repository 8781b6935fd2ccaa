#include "engine/pass_values.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/status_macros.h"
#include "engine/gradients/backward_solve.h"
#include "engine/map_rows.h"
#include "engine/solve.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

SolveOptions WithBudget(const PassInput& input) {
  SolveOptions options = *input.options;
  if (input.stop->deadline != absl::InfiniteFuture()) {
    options.wall_budget = std::max(input.stop->deadline - absl::Now(), absl::Nanoseconds(1));
  }
  return options;
}

absl::Status FillPrimal(const PassInput& input, Trajectory trajectory,
                        absl::Span<const double> terminal_state, PassPrimal* primal) {
  const Model& model = *input.bound->model;
  const Problem problem = input.bound->one(input.trajectory);
  RETURN_IF_ERROR(CheckTrajectory(trajectory, model.rhs().num_states()));
  SavedValues& values = primal->values;
  RETURN_IF_ERROR(EvaluateOutputs(model, trajectory, problem.params, input.stop->cancellation,
                                  &values.outputs));
  values.times = std::move(trajectory.times);
  values.states = std::move(trajectory.states);
  values.terminal_state.assign(model.rhs().num_states(), kNaN);
  values.terminal_output.assign(model.outputs().num_values(), kNaN);
  if (!terminal_state.empty()) {
    values.terminal_state.assign(terminal_state.begin(), terminal_state.end());
    const MapPoints end = {.rows = 1,
                           .t = problem.t1.data(),
                           .y = values.terminal_state.data(),
                           .p = problem.params.data()};
    RETURN_IF_ERROR(EvaluateRows(model.outputs(), end, values.terminal_output.data()));
  }
  primal->termination = std::move(trajectory.termination);
  primal->stats.solve = trajectory.stats;
  primal->grid = std::move(trajectory.grid);
  return absl::OkStatus();
}

absl::StatusOr<StateLoss> PullBackOutputs(const PassInput& input, const SavedValues& values,
                                          const Cotangents& cotangents) {
  const Model& model = *input.bound->model;
  const Problem problem = input.bound->one(input.trajectory);
  StateLoss loss;
  loss.saved = cotangents.states;
  loss.saved.resize(values.states.size());
  loss.terminal = cotangents.terminal_state;
  loss.terminal.resize(values.terminal_state.size());
  loss.params = cotangents.params;
  loss.params.resize(problem.params.size());
  if (input.want_times) loss.times = cotangents.times;
  if (!cotangents.outputs.empty()) {
    const MapPoints rows = {.rows = static_cast<int64_t>(values.times.size()),
                            .t = values.times.data(),
                            .y = values.states.data(),
                            .p = problem.params.data(),
                            .cancellation = input.stop->cancellation};
    if (input.want_times) loss.times.resize(values.times.size());
    RETURN_IF_ERROR(TransposeRows(model.outputs(), rows, cotangents.outputs.data(),
                                  input.want_times ? loss.times.data() : nullptr, loss.saved.data(),
                                  loss.params.data()));
  }
  if (!cotangents.terminal_output.empty()) {
    const MapPoints end = {.rows = 1,
                           .t = problem.t1.data(),
                           .y = values.terminal_state.data(),
                           .p = problem.params.data()};
    RETURN_IF_ERROR(TransposeRows(model.outputs(), end, cotangents.terminal_output.data(), &loss.t1,
                                  loss.terminal.data(), loss.params.data()));
  }
  return loss;
}

absl::Status EndEarly(const PassInput& input, const absl::Status& status, PassPrimal* primal) {
  Termination& end = primal->termination;
  const Cancellation::Reason fired = input.stop->cancellation == nullptr
                                         ? Cancellation::Reason::kNone
                                         : input.stop->cancellation->reason();
  switch (fired) {
    case Cancellation::Reason::kClientCancelled:
      end.reason = Termination::Reason::kCancelled;
      break;
    case Cancellation::Reason::kDeadlineExceeded:
      end.reason = Termination::Reason::kDeadlineExceeded;
      break;
    case Cancellation::Reason::kShuttingDown:
      end.reason = Termination::Reason::kShuttingDown;
      break;
    case Cancellation::Reason::kNone:
      if (const std::optional<Termination::Reason> reason = BackwardEnd(status)) {
        end.reason = *reason;  // of a solve backwards
        break;
      }
      if (!absl::IsDeadlineExceeded(status)) return status;
      end.reason = Termination::Reason::kWallBudget;
      break;
  }
  end.detail = absl::StrCat(status.message(), "; the saved values are complete");
  return absl::OkStatus();
}

}  // namespace costate

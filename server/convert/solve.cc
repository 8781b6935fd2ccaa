#include "server/convert/solve.h"

#include "server/convert/array.h"
#include "server/convert/layout.h"
#include "server/convert/options.h"

namespace costate {
namespace {

// Cancelled calls have a status instead of a result; were one to be converted, it has no reason.
v1::Termination::Reason ReasonToProto(Termination::Reason reason) {
  switch (reason) {
    case Termination::Reason::kReachedEnd:
      return v1::Termination::REASON_REACHED_END;
    case Termination::Reason::kMaxSteps:
      return v1::Termination::REASON_MAX_STEPS;
    case Termination::Reason::kStepUnderflow:
      return v1::Termination::REASON_STEP_UNDERFLOW;
    case Termination::Reason::kNonFinite:
      return v1::Termination::REASON_NON_FINITE;
    case Termination::Reason::kWallBudget:
      return v1::Termination::REASON_WALL_BUDGET;
    case Termination::Reason::kCancelled:
    case Termination::Reason::kDeadlineExceeded:
    case Termination::Reason::kShuttingDown:
      break;
  }
  return v1::Termination::REASON_UNSPECIFIED;
}

// The declared tensor of "y[3]".
std::string_view TensorOf(std::string_view element) { return element.substr(0, element.find('[')); }

// Empty once kMaxQuotedEquations others were quoted.
std::string QuoteEquation(const ModelInWords& words, const std::string& state) {
  const auto known = words.equations.find(state);
  if (known != words.equations.end()) return known->second;
  if (words.equations.size() >= kMaxQuotedEquations) return "";
  return words.equations[state] = EquationOf(words.text, state);
}

// Appends to one array after the other and frees what was copied.
void MoveDoubles(std::vector<double>* values, std::string* data) {
  AppendDoubles(*values, data);
  std::vector<double>().swap(*values);
}

}  // namespace

void TerminationToProto(const Termination& termination, const ModelInWords& words,
                        v1::Termination* proto) {
  proto->set_reason(ReasonToProto(termination.reason));
  proto->set_t(termination.t);
  proto->set_step(termination.step);
  proto->set_detail(termination.detail);
  if (termination.state_index < 0) return;
  const std::string state = ElementName(words.model.ir().states, termination.state_index);
  proto->set_expression(QuoteEquation(words, std::string(TensorOf(state))));
  proto->set_state(state);
}

void SolveStatsToProto(const SolveStats& stats, v1::SolveStats* proto) {
  proto->set_accepted_steps(stats.accepted_steps);
  proto->set_rejected_steps(stats.rejected_steps);
  proto->set_rhs_evaluations(stats.rhs_evaluations);
}

void GridToProto(const std::vector<double>& grid, v1::StepGrid* proto) {
  ArrayToProto(grid, {static_cast<int64_t>(grid.size())}, proto->mutable_times());
}

void SolveResultToProto(SolveResult&& result, const ModelInWords& words, const SolveParts& parts,
                        v1::SolveResponse* proto) {
  const ModelIr& ir = words.model.ir();
  int64_t rows = 0;
  for (const Trajectory& trajectory : result.trajectories) {
    rows += static_cast<int64_t>(trajectory.times.size());
  }
  const int64_t n = ir.num_states();
  const int64_t k = ir.num_outputs();
  std::string* times = proto->mutable_times()->mutable_data();
  times->reserve(rows * sizeof(double));
  if (parts.states) proto->mutable_states()->mutable_data()->reserve(rows * n * sizeof(double));
  if (parts.outputs) proto->mutable_outputs()->mutable_data()->reserve(rows * k * sizeof(double));
  int64_t row = 0;
  proto->mutable_row_start()->Reserve(static_cast<int>(result.trajectories.size()) + 1);
  for (size_t b = 0; b < result.trajectories.size(); ++b) {
    Trajectory& trajectory = result.trajectories[b];
    proto->add_row_start(row);
    row += static_cast<int64_t>(trajectory.times.size());
    MoveDoubles(&trajectory.times, times);
    if (parts.states) MoveDoubles(&trajectory.states, proto->mutable_states()->mutable_data());
    if (parts.outputs) MoveDoubles(&result.outputs[b], proto->mutable_outputs()->mutable_data());
    TerminationToProto(trajectory.termination, words, proto->add_terminations());
    SolveStatsToProto(trajectory.stats, proto->add_stats());
    if (result.resolution.options.return_grid) GridToProto(trajectory.grid, proto->add_grids());
  }
  proto->add_row_start(row);
  proto->mutable_times()->add_shape(rows);
  if (parts.states) {
    proto->mutable_states()->add_shape(rows);
    proto->mutable_states()->add_shape(n);
    LayoutToProto(ir.states, proto->mutable_state_layout());
  }
  if (parts.outputs) {
    proto->mutable_outputs()->add_shape(rows);
    proto->mutable_outputs()->add_shape(k);
    LayoutToProto(ir.outputs, proto->mutable_output_layout());
  }
  SolveOptionsToProto(result.resolution.options, proto->mutable_options());
  proto->set_batched(result.resolution.batched);
}

}  // namespace costate

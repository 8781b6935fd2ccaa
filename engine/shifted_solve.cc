#include "engine/shifted_solve.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/map_rows.h"
#include "engine/pass_values.h"
#include "engine/solvers/integrate.h"

namespace costate {
namespace {

// Keeps the state at the end of the last accepted step.
class LastState : public StepCompanion {
 public:
  explicit LastState(int64_t n) : n_(n) {}
  absl::Status Begin(double /*t0*/, const double* y0) override {
    state.assign(y0, y0 + n_);
    return absl::OkStatus();
  }
  double TrialError(const StepRecord& /*step*/, const double* /*y_new*/) override { return 0; }
  absl::Status Accept(const StepRecord& /*step*/, const double* y_new,
                      absl::Span<const double> /*saved_theta*/) override {
    state.assign(y_new, y_new + n_);
    return absl::OkStatus();
  }

  std::vector<double> state;

 private:
  const int64_t n_;
};

// to[offset + j] += shift of each entry of `kind`.
void AddShift(const std::vector<WrtEntry>& wrt, WrtEntry::Kind kind, absl::Span<const double> shift,
              double* to) {
  ForEachEntry(wrt, [&](const WrtEntry& entry, int64_t column) {
    if (entry.kind != kind || shift.empty()) return;
    for (int64_t j = 0; j < entry.size; ++j) to[entry.offset + j] += shift[column + j];
  });
}

}  // namespace

std::vector<double> ShiftParams(const PassInput& input, absl::Span<const double> shift) {
  const Problem problem = input.bound->one(input.trajectory);
  std::vector<double> params(problem.params.begin(), problem.params.end());
  AddShift(*input.wrt, WrtEntry::Kind::kParam, shift, params.data());
  return params;
}

absl::StatusOr<BoundSimulation> ShiftBound(const PassInput& input, absl::Span<const double> shift) {
  const BoundSimulation& from = *input.bound;
  const Problem problem = from.one(input.trajectory);
  BoundSimulation bound;
  bound.model = from.model;
  bound.given = from.given;
  bound.t0 = {problem.t0[0]};
  bound.t1 = {problem.t1[0]};
  bound.y0.assign(problem.y0.begin(), problem.y0.end());
  bound.params = ShiftParams(input, shift);
  if (shift.empty()) return bound;
  AddShift(*input.wrt, WrtEntry::Kind::kT0, shift, bound.t0.data());
  AddShift(*input.wrt, WrtEntry::Kind::kT1, shift, bound.t1.data());
  std::vector<double> init(bound.y0.size());
  const MapPoints start = {.rows = 1, .t = bound.t0.data(), .p = bound.params.data()};
  RETURN_IF_ERROR(EvaluateRows(from.model->init(), start, init.data()));
  for (size_t i = 0; i < init.size(); ++i) {
    if (!bound.given[i]) bound.y0[i] = init[i];
  }
  AddShift(*input.wrt, WrtEntry::Kind::kInitialState, shift, bound.y0.data());
  return bound;
}

ShiftedSolve::ShiftedSolve(const PassInput& input, SolveOptions options)
    : input_(input), options_(std::move(options)) {}

absl::StatusOr<PassPrimal> ShiftedSolve::At(absl::Span<const double> shift,
                                            const std::vector<StepCompanion*>& companions) {
  ASSIGN_OR_RETURN(const BoundSimulation bound, ShiftBound(input_, shift));
  SolveOptions options = options_;
  PassInput moved = input_;
  moved.bound = &bound;
  moved.trajectory = 0;
  moved.options = &options;
  options = WithBudget(moved);
  options.lanes = 1;
  if (options.control.kind == StepControl::Kind::kGrid) {
    options.control.grid.front() = bound.t0[0];
    options.control.grid.back() = bound.t1[0];
  }
  LastState last(bound.model->rhs().num_states());
  IntegrateHooks hooks;
  hooks.cancellation = input_.stop->cancellation;
  hooks.companions = companions;
  hooks.companions.push_back(&last);
  ASSIGN_OR_RETURN(std::vector<Trajectory> trajectories, Integrate(bound.one(0), options, hooks));
  evaluations_ += trajectories[0].stats.rhs_evaluations;
  const bool reached = trajectories[0].termination.reason == Termination::Reason::kReachedEnd;
  PassPrimal primal;
  RETURN_IF_ERROR(FillPrimal(moved, std::move(trajectories[0]),
                             reached ? absl::MakeConstSpan(last.state) : absl::Span<const double>(),
                             &primal));
  return primal;
}

absl::StatusOr<double> ShiftedSolve::LossAt(const Loss& loss, absl::Span<const double> shift) {
  ASSIGN_OR_RETURN(const PassPrimal primal, At(shift));
  if (!primal.reached()) return std::numeric_limits<double>::quiet_NaN();
  return EvaluateLoss(loss, primal.values, ShiftParams(input_, shift)).value;
}

int FreeSide(const PassInput& input, int64_t column) {
  const SaveAt& save = input.options->save;
  if (save.kind != SaveAt::Kind::kTimes || save.times.empty()) return 0;
  const Problem problem = input.bound->one(input.trajectory);
  const double t0 = problem.t0[0], t1 = problem.t1[0];
  const int forwards = t1 >= t0 ? 1 : -1;
  int side = 0;
  ForEachEntry(*input.wrt, [&](const WrtEntry& entry, int64_t first) {
    if (column < first || column >= first + entry.size) return;
    if (entry.kind == WrtEntry::Kind::kT0 && save.times.front() == t0) side = -forwards;
    if (entry.kind == WrtEntry::Kind::kT1 && save.times.back() == t1) side = forwards;
  });
  return side;
}

}  // namespace costate

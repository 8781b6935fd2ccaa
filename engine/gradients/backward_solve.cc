#include "engine/gradients/backward_solve.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"

namespace costate {
namespace {

using Reason = Termination::Reason;

constexpr char kEndPayload[] = "costate.backward_end";

absl::Status AsStatus(const Termination& termination) {
  switch (termination.reason) {
    case Reason::kReachedEnd:
      return absl::OkStatus();
    case Reason::kMaxSteps:
    case Reason::kStepUnderflow:
    case Reason::kNonFinite:
      return BackwardFailure(termination);
    case Reason::kWallBudget:
      return absl::DeadlineExceededError("wall budget spent during the reverse pass");
    case Reason::kDeadlineExceeded:
      return absl::DeadlineExceededError("deadline passed during the reverse pass");
    case Reason::kShuttingDown:
      return absl::UnavailableError("shutting down during the reverse pass");
    case Reason::kCancelled:
      break;
  }
  return absl::CancelledError("cancelled during the reverse pass");
}

absl::Status OutOfSteps(double t, int64_t max_steps) {
  Termination end;
  end.reason = Reason::kMaxSteps;
  end.t = t;
  end.detail = absl::StrCat("its ", max_steps, " steps reached t = ", t,
                            "; allow more steps, or loosen the tolerances");
  return BackwardFailure(end);
}

// The two steps accepted last.
class LastSteps : public StepCompanion {
 public:
  double TrialError(const StepRecord& /*step*/, const double* /*y_new*/) override { return 0; }
  absl::Status Accept(const StepRecord& step, const double* /*y_new*/,
                      absl::Span<const double> /*saved_theta*/) override {
    before_ = last_;
    last_ = std::abs(step.h);
    return absl::OkStatus();
  }
  double longer() const { return std::max(last_, before_); }

 private:
  double last_ = 0, before_ = 0;
};

}  // namespace

absl::Status BackwardFailure(const Termination& termination) {
  absl::Status status = absl::FailedPreconditionError(
      absl::StrCat("the solve backwards failed: ", termination.detail));
  status.SetPayload(kEndPayload, absl::Cord(absl::StrCat(static_cast<int>(termination.reason))));
  return status;
}

std::optional<Termination::Reason> BackwardEnd(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kEndPayload);
  if (!payload.has_value()) return std::nullopt;
  for (const Reason reason : {Reason::kMaxSteps, Reason::kStepUnderflow}) {
    if (*payload == absl::StrCat(static_cast<int>(reason))) return reason;
  }
  return Reason::kNonFinite;
}

absl::StatusOr<BackwardSolve> BackwardSolve::Create(const AdjointInput& input) {
  const StepControl& forward = input.options.control;
  const AdjointOptions& adjoint = input.adjoint;
  BackwardSolve solve(input);
  SolveOptions& options = solve.options_;
  options.method = adjoint.backward_method.value_or(input.options.method);
  options.lanes = 1;
  StepControl& control = options.control = forward;
  if (adjoint.backward_rtol.has_value() || adjoint.backward_atol.has_value()) {
    control.kind = StepControl::Kind::kAdaptive;
  }
  if (options.method != input.options.method) {
    control.beta1 = control.beta2 = control.beta3 = std::nullopt;
  }
  solve.rtol_ = control.rtol = adjoint.backward_rtol.value_or(forward.rtol);
  solve.atol_ =
      adjoint.backward_atol.value_or(*std::min_element(forward.atol.begin(), forward.atol.end()));
  const MethodInfo& info = GetMethodInfo(options.method);
  if (solve.adaptive() && info.error_order == 0) {
    return FieldError("backward_method", info.name,
                      "a method with an error estimate, for tolerances need one");
  }
  return solve;
}

void BackwardSolve::Begin(std::vector<double> atol) {
  steps_left_ = input_.options.max_steps;
  StepControl& control = options_.control;
  control.initial_step.reset();
  // The norm is a mean over all elements; this makes it one over those that are controlled.
  const double all = static_cast<double>(atol.size());
  const double controlled = static_cast<double>(
      std::count_if(atol.begin(), atol.end(), [](double a) { return std::isfinite(a); }));
  const double share = controlled < all ? std::sqrt(controlled / all) : 1.0;
  control.rtol = rtol_ * share;
  for (double& a : atol) a *= share;
  control.atol = std::move(atol);
}

// The part of the forward grid between the two times, reversed.
void BackwardSolve::SetGrid(double from, double to) {
  const std::vector<double>& forward = input_.options.control.grid;
  const bool ascends = from > to;
  const auto earlier = [ascends](double a, double b) { return ascends ? a < b : a > b; };
  const auto first = std::upper_bound(forward.begin(), forward.end(), to, earlier);
  const auto last = std::lower_bound(first, forward.end(), from, earlier);
  std::vector<double>& grid = options_.control.grid;
  grid.assign(1, from);
  grid.insert(grid.end(), std::make_reverse_iterator(last), std::make_reverse_iterator(first));
  grid.push_back(to);
}

absl::Status BackwardSolve::Run(const VectorField& field, double from, double to,
                                std::vector<double>* state, StepCompanion* companion) {
  if (steps_left_ <= 0) return OutOfSteps(from, input_.options.max_steps);
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&from, 1);
  problem.t1 = absl::MakeConstSpan(&to, 1);
  problem.y0 = *state;
  problem.params = input_.problem.params;
  if (options_.control.kind == StepControl::Kind::kGrid) SetGrid(from, to);
  options_.max_steps = steps_left_;
  if (input_.stop->deadline != absl::InfiniteFuture()) {
    options_.wall_budget = std::max(input_.stop->deadline - absl::Now(), absl::Nanoseconds(1));
  }
  LastSteps last_steps;
  IntegrateHooks hooks;
  hooks.cancellation = input_.stop->cancellation;
  hooks.companions = {&last_steps};
  if (companion != nullptr) hooks.companions.push_back(companion);
  ASSIGN_OR_RETURN(std::vector<Trajectory> trajectories, Integrate(problem, options_, hooks));
  const Trajectory& trajectory = trajectories[0];
  accepted_ += trajectory.stats.accepted_steps;
  rejected_ += trajectory.stats.rejected_steps;
  steps_left_ -= trajectory.stats.accepted_steps + trajectory.stats.rejected_steps;
  RETURN_IF_ERROR(AsStatus(trajectory.termination));
  // An interval crossed in one step says nothing against a longer one.
  const bool cut = trajectory.stats.accepted_steps == 1 && trajectory.stats.rejected_steps == 0;
  const double before = cut ? options_.control.initial_step.value_or(0.0) : 0.0;
  options_.control.initial_step = std::max(last_steps.longer(), before);
  state->assign(trajectory.states.begin(), trajectory.states.end());
  return absl::OkStatus();
}

void BackwardSolve::AddStats(AdjointStats* stats) const {
  stats->backward_steps += accepted_;
  stats->backward_rejected += rejected_;
}

}  // namespace costate

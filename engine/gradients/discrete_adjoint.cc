#include "engine/gradients/discrete_adjoint.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/stepper.h"

namespace costate {
namespace {

constexpr int64_t kStepsBetweenClockReads = 64;

absl::Status StoppedStatus(Cancellation::Reason reason) {
  switch (reason) {
    case Cancellation::Reason::kDeadlineExceeded:
      return absl::DeadlineExceededError("deadline passed during the reverse pass");
    case Cancellation::Reason::kShuttingDown:
      return absl::UnavailableError("shutting down during the reverse pass");
    case Cancellation::Reason::kClientCancelled:
    case Cancellation::Reason::kNone:
      break;
  }
  return absl::CancelledError("cancelled during the reverse pass");
}

absl::Status CheckSizes(const VectorField& field, absl::Span<const double> params,
                        const Recording& recording, const StateCotangents& cotangents) {
  const size_t n = static_cast<size_t>(field.num_states());
  const bool fits = recording.num_states == field.num_states() && !recording.times.empty() &&
                    params.size() == static_cast<size_t>(field.num_params()) &&
                    cotangents.saved.size() == cotangents.times.size() * n &&
                    (cotangents.terminal.empty() || cotangents.terminal.size() == n);
  return fits ? absl::OkStatus()
              : absl::InvalidArgumentError("cotangents do not fit the recorded trajectory");
}

// Walks a recording from its end to its start with lambda = dL/dy at the current grid point.
class ReverseSweep {
 public:
  ReverseSweep(absl::Span<const double> params, const Recording& recording,
               const StateCotangents& cotangents, StepReplay& replay)
      : params_(params),
        recording_(recording),
        cotangents_(cotangents),
        replay_(replay),
        n_(recording.num_states),
        backwards_(recording.times.back() < recording.times.front()),
        remaining_(static_cast<int64_t>(cotangents.times.size())) {
    result_.params.assign(params.size(), 0.0);
    result_.initial_state.assign(n_, 0.0);
    std::copy(cotangents.terminal.begin(), cotangents.terminal.end(),
              result_.initial_state.begin());
  }

  // From the last step to the first.
  absl::Status Run(const Cancellation* cancellation, absl::Time deadline) {
    const bool bounded = deadline != absl::InfiniteFuture();
    for (int64_t i = recording_.num_steps() - 1; i >= 0; --i) {
      if (cancellation != nullptr && cancellation->cancelled()) {
        return StoppedStatus(cancellation->reason());
      }
      if (bounded && i % kStepsBetweenClockReads == 0 && absl::Now() > deadline) {
        return absl::DeadlineExceededError("wall budget spent during the reverse pass");
      }
      Step(i);
    }
    while (remaining_ > 0) AddToLambda(SavedRow(--remaining_));  // a recording without steps
    return absl::OkStatus();
  }

  AdjointResult Take() && {
    result_.stats.replayed_steps = recording_.num_steps();
    result_.stats.rhs_evaluations = replay_.rhs_evaluations();
    result_.stats.vjp_evaluations = replay_.vjp_evaluations();
    result_.stats.stored_bytes = recording_.bytes();
    return std::move(result_);
  }

 private:
  double* lambda() { return result_.initial_state.data(); }
  bool After(double a, double b) const { return backwards_ ? a < b : a > b; }
  const double* SavedRow(int64_t row) const { return cotangents_.saved.data() + row * n_; }

  void AddToLambda(const double* c) {
    for (int64_t i = 0; i < n_; ++i) lambda()[i] += c[i];
  }

  // Collects what was saved in (t_i, t_{i+1}], and at t0 with the first step. A value saved at an
  // inner grid point is the state there; one at t0 or t1 is a value of the dense output, since
  // these ends move and it does not.
  void CollectSaved(int64_t i, const StepRecord& step) {
    const double end = step.t_next;
    const bool last = i + 1 == recording_.num_steps();
    saved_.clear();
    while (remaining_ > 0 && (i == 0 || After(cotangents_.times[remaining_ - 1], step.t))) {
      const double t = cotangents_.times[--remaining_];
      const double* c = SavedRow(remaining_);
      if (std::all_of(c, c + n_, [](double x) { return x == 0; })) continue;
      if (t == end && !last) {
        AddToLambda(c);
      } else {
        saved_.push_back({t == end ? 1.0 : std::min((t - step.t) / step.h, 1.0), c});
      }
    }
  }

  void Step(int64_t i) {
    const StepRecord step = recording_.step(i);
    CollectSaved(i, step);
    const bool last = i + 1 == recording_.num_steps();
    double c_t = 0;
    double c_h = 0;
    replay_.Vjp(step, params_.data(), lambda(), saved_, lambda(), result_.params.data(),
                i == 0 ? &c_t : nullptr, i == 0 || last ? &c_h : nullptr);
    if (last) result_.t1 = c_h;
    if (i == 0) result_.t0 = c_t - c_h;  // the first step's end stays where it is
  }

  const absl::Span<const double> params_;
  const Recording& recording_;
  const StateCotangents& cotangents_;
  StepReplay& replay_;
  const int64_t n_;
  const bool backwards_;
  int64_t remaining_;  // rows of cotangents_ not yet used
  std::vector<StepReplay::SavedCotangent> saved_;
  AdjointResult result_;
};

}  // namespace

absl::StatusOr<AdjointResult> DiscreteAdjoint(
    const VectorField& field, absl::Span<const double> params, const Recording& recording,
    const StateCotangents& cotangents, const Cancellation* cancellation, absl::Time deadline) {
  RETURN_IF_ERROR(CheckSizes(field, params, recording, cotangents));
  ASSIGN_OR_RETURN(std::unique_ptr<StepReplay> replay,
                   MakeStepReplay(recording.method, field, {.tangents = false}));
  ReverseSweep sweep(params, recording, cotangents, *replay);
  RETURN_IF_ERROR(sweep.Run(cancellation, deadline));
  return std::move(sweep).Take();
}

}  // namespace costate

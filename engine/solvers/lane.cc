#include "engine/solvers/lane.h"

#include "absl/strings/str_cat.h"
#include "engine/solvers/stop_watch.h"

namespace costate {
namespace {

// Steps of size h that cover `span`; a rest within rounding of a whole step is no step of its own.
int64_t CountFixedSteps(double span, double h) {
  const double quotient = span / h;
  const double slack = std::max(1e-9, quotient * 0x1p-50);
  const double steps = std::ceil(quotient - slack);
  return static_cast<int64_t>(std::clamp(steps, 1.0, 1e18));
}

}  // namespace

void Lane::Begin(int64_t index, double start, double end, const SolveOptions& options) {
  *this = Lane();
  trajectory = index;
  t0 = t = start;
  t1 = end;
  direction = end >= start ? 1 : -1;
  max_step = options.control.max_step.value_or(std::abs(end - start));
  if (options.control.kind == StepControl::Kind::kFixed) {
    num_fixed_steps = CountFixedSteps(std::abs(end - start), *options.control.fixed_step);
  }
  cursor = SaveCursor(&options.save, start, end);
  termination = ReachedEnd();
}

Termination Lane::Refused(bool finite, double error, int64_t element, const std::string& name,
                          bool adaptive) const {
  Termination result = ReachedEnd();
  result.reason = finite ? Termination::Reason::kStepUnderflow : Termination::Reason::kNonFinite;
  result.state_index = element;
  if (!adaptive) {
    result.detail = absl::StrCat(name, " is not finite after the step from t = ", t,
                                 "; try a smaller fixed step or adaptive steps");
  } else if (!finite) {
    result.detail = absl::StrCat(name, " or its derivative is not finite beyond t = ", t,
                                 " for any step down to ", std::abs(h),
                                 "; the solution may end there, or leave the model's domain");
  } else {
    result.detail = absl::StrCat(
        "at t = ", t, " the error control asks for a step of ", std::abs(h),
        ", below the minimum; ", name, " has the largest scaled error (", error, " overall)",
        "; the solution may have a singularity or a jump there, or the tolerances ask for more "
        "than double precision gives");
  }
  return result;
}

Termination Lane::OutOfSteps() const {
  Termination result = ReachedEnd();
  result.reason = Termination::Reason::kMaxSteps;
  result.detail = absl::StrCat(accepted, " accepted and ", rejected,
                               " rejected steps reached t = ", t, " on the way to ", t1,
                               "; allow more steps, loosen the tolerances, or use an implicit "
                               "method if the problem is stiff");
  return result;
}

Termination Lane::ReachedEnd() const {
  Termination result;
  result.t = t;
  result.step = accepted;
  return result;
}

Termination StopTermination(Termination::Reason reason, double t, int64_t step) {
  Termination result;
  result.reason = reason;
  result.t = t;
  result.step = step;
  switch (reason) {
    case Termination::Reason::kWallBudget:
      result.detail = absl::StrCat("the wall-clock budget was spent at t = ", t);
      break;
    case Termination::Reason::kCancelled:
      result.detail = absl::StrCat("cancelled at t = ", t);
      break;
    case Termination::Reason::kDeadlineExceeded:
      result.detail = absl::StrCat("the deadline passed at t = ", t);
      break;
    case Termination::Reason::kShuttingDown:
      result.detail = absl::StrCat("the server shut down at t = ", t);
      break;
    case Termination::Reason::kReachedEnd:
    case Termination::Reason::kMaxSteps:
    case Termination::Reason::kStepUnderflow:
    case Termination::Reason::kNonFinite:
      break;
  }
  return result;
}

}  // namespace costate

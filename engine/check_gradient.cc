#include "engine/check_gradient.h"

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/bind.h"
#include "engine/differentiate.h"
#include "engine/gradient_report.h"
#include "engine/shifted_solve.h"
#include "engine/tangent_pass.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<GradientMethod> MethodsOf(const CheckRequest& request) {
  if (!request.methods.empty()) return request.methods;
  const bool goes_back = GetMethodInfo(request.gradient.simulation.options.scheme()).carried > 1;
  return {GradientMethod::kForward, GradientMethod::kBackprop,
          goes_back ? GradientMethod::kReversible : GradientMethod::kGauss,
          GradientMethod::kFiniteDifference};
}

// What of the common choices one method has a use for.
GradientOptions OptionsFor(const GradientOptions& common, GradientMethod method) {
  GradientOptions options = common;
  options.method = method;
  options.report = {};
  const GradientFamily family = GetGradientMethodInfo(method).family;
  AdjointOptions& adjoint = options.adjoint;
  if (method != GradientMethod::kCheckpointed) adjoint.checkpoints = 0;
  if (method != GradientMethod::kSegmented) adjoint.segments = 0;
  if (family != GradientFamily::kContinuousAdjoint) {
    adjoint.backward_method.reset();
    adjoint.backward_rtol.reset();
    adjoint.backward_atol.reset();
    adjoint.seminorm = false;
  }
  if (method == GradientMethod::kGauss || method == GradientMethod::kQuadrature) {
    adjoint.seminorm = false;
  }
  if ((family != GradientFamily::kContinuousAdjoint || method == GradientMethod::kBacksolve) &&
      method != GradientMethod::kReversible) {
    adjoint.checkpoint_every = 0;
  }
  if (family != GradientFamily::kDifference) options.difference = {};
  return options;
}

// |p*x|
double ScaledNorm(const std::vector<double>& p, const std::vector<double>& x) {
  double sum = 0;
  for (size_t j = 0; j < x.size(); ++j) sum += p[j] * x[j] * p[j] * x[j];
  return std::sqrt(sum);
}

CheckResult::Row FailedRow(GradientMethod method, int64_t columns, const absl::Status& status) {
  CheckResult::Row row;
  row.method = method;
  row.result.loss = kNaN;
  row.result.gradient.assign(columns, kNaN);
  row.result.termination.reason = Termination::Reason::kNonFinite;
  row.result.termination.t = kNaN;
  row.result.termination.detail = absl::StrCat("not run: ", status.message());
  row.relative_difference = kNaN;
  row.time_relative_difference = kNaN;
  row.cost_in_solves = kNaN;
  return row;
}

// Of methods that are given one by one; the request itself is sound once one has run.
bool IsOfTheCall(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsUnavailable(status) || absl::IsInternal(status);
}

// |value| of every column, and the kernel calls of a plain solve.
struct Yardsticks {
  std::vector<double> sizes;
  double plain_calls = 1;
};
absl::StatusOr<Yardsticks> Measure(const GradientRequest& request, const std::vector<WrtEntry>& wrt,
                                   const StopSource& stop) {
  ASSIGN_OR_RETURN(const BoundSimulation bound, Bind(request.simulation, stop.cancellation));
  ASSIGN_OR_RETURN(const ResolvedOptions resolved,
                   ResolveOptions(request.simulation, bound,
                                  SaveAtLossTimes({&request.loss}, bound.t1[0] < bound.t0[0])));
  PassInput input;
  input.bound = &bound;
  input.options = &resolved.options;
  input.wrt = &wrt;
  input.stop = &stop;
  ShiftedSolve solve(input, resolved.options);
  RETURN_IF_ERROR(solve.At({}).status());
  return Yardsticks{ColumnSizes(input),
                    static_cast<double>(std::max<int64_t>(1, solve.rhs_evaluations()))};
}

// |p*(x - reference)| / |p*reference|. Two zeros agree.
double RelativeDifference(const std::vector<double>& p, std::vector<double> x,
                          const std::vector<double>& reference) {
  for (size_t j = 0; j < x.size(); ++j) x[j] -= reference[j];
  const double off = ScaledNorm(p, x);
  return off == 0 ? 0 : off / ScaledNorm(p, reference);
}

// Every row that ran against the first of them.
void Compare(const Yardsticks& yardsticks, CheckResult* result) {
  const size_t num_times =
      result->with_times ? result->resolution.options.save.times.size() : size_t{0};
  const std::vector<double> ones(num_times, 1.0);
  const GradientResult::PerTrajectory* reference = nullptr;
  for (CheckResult::Row& row : result->rows) {
    row.result.times.resize(num_times, kNaN);
    if (row.result.gradient.empty()) {
      row.result.gradient.assign(yardsticks.sizes.size(), kNaN);
      continue;
    }
    if (reference == nullptr) reference = &row.result;
    row.relative_difference =
        RelativeDifference(yardsticks.sizes, row.result.gradient, reference->gradient);
    row.time_relative_difference = RelativeDifference(ones, row.result.times, reference->times);
    row.cost_in_solves =
        static_cast<double>(KernelCalls(row.result.stats)) / yardsticks.plain_calls;
  }
}

}  // namespace

absl::StatusOr<CheckResult> CheckGradientOfSimulation(const CheckRequest& request,
                                                      const Cancellation* cancellation) {
  const absl::Time start = absl::Now();
  const StopSource stop = {cancellation, DeadlineOf(request.gradient.simulation.options)};
  CheckResult result;
  absl::Status first_error;
  bool ran = false;
  for (const GradientMethod method : MethodsOf(request)) {
    if (method == GradientMethod::kAuto) {
      return FieldError("methods", "the choice of the server", "methods by name");
    }
    GradientRequest one = request.gradient;
    one.gradient = OptionsFor(request.gradient.gradient, method);
    if (stop.deadline != absl::InfiniteFuture()) {
      one.simulation.options.wall_budget =
          std::max(stop.deadline - absl::Now(), absl::Nanoseconds(1));
    }
    absl::StatusOr<GradientResult> gradient = DifferentiateSimulation(one, cancellation);
    if (!gradient.ok()) {
      if (IsOfTheCall(gradient.status())) return gradient.status();
      if (first_error.ok()) first_error = gradient.status();
      result.rows.push_back(FailedRow(method, 0, gradient.status()));
      continue;
    }
    if (gradient->resolution.batched) {
      return FieldError("simulation", absl::StrCat("a batch of ", gradient->trajectories.size()),
                        "one trajectory without batch axes");
    }
    ran = true;
    result.wrt = std::move(gradient->wrt);
    result.resolution = std::move(gradient->resolution);
    result.timing.compile += gradient->timing.compile;
    result.rows.push_back({.method = method, .result = std::move(gradient->trajectories[0])});
  }
  if (!ran) return first_error;
  result.resolution.options.wall_budget = request.gradient.simulation.options.wall_budget;
  ASSIGN_OR_RETURN(const Yardsticks yardsticks, Measure(request.gradient, result.wrt, stop));
  result.with_times = request.gradient.gradient.want_times;
  Compare(yardsticks, &result);
  result.timing.engine = absl::Now() - start - result.timing.compile;
  return result;
}

}  // namespace costate

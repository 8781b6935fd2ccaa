#include "engine/differentiate.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/batch_pass.h"
#include "engine/gradient_pass.h"
#include "engine/gradient_report.h"
#include "engine/map_rows.h"
#include "engine/prepare_loss.h"
#include "engine/solve.h"
#include "engine/solved_pass.h"

namespace costate {
namespace {

// Without `report`: none.
absl::StatusOr<GradientResult::PerTrajectory> DifferentiateOne(const Loss& loss,
                                                               GradientMethod method,
                                                               const ReportOptions* report,
                                                               const PassInput& input) {
  std::unique_ptr<GradientChecks> checks;
  if (report != nullptr) {
    ASSIGN_OR_RETURN(checks, GradientChecks::Create({&loss, method, &input, report}));
  }
  const std::unique_ptr<GradientPass> pass =
      MakeGradientPass(method, checks == nullptr ? input : checks->input());
  RETURN_IF_ERROR(pass->Solve());
  LossValue value;
  ASSIGN_OR_RETURN(GradientResult::PerTrajectory result,
                   DifferentiateSolved(loss, input, pass.get(), &value));
  if (checks != nullptr) RETURN_IF_ERROR(checks->Run(*pass, value, &result));
  result.saved = std::move(pass->primal().values);
  result.grid = std::move(pass->primal().grid);
  return result;
}

// Every trajectory by the method of `result`; adds the time spent on kernels.
absl::Status DifferentiateAll(const Loss& loss, const ReportOptions& report, const PassInput& input,
                              GradientResult* result) {
  const BoundSimulation& bound = *input.bound;
  ASSIGN_OR_RETURN(const absl::Duration prepared,
                   PrepareGradientKernels(bound, result->method,
                                          static_cast<int64_t>(input.options->save.times.size())));
  result->timing.compile += prepared;
  const auto one = [&](int64_t trajectory, const ReportOptions* wanted) {
    PassInput mine = input;
    mine.trajectory = trajectory;
    return DifferentiateOne(loss, result->method, wanted, mine);
  };
  result->trajectories.assign(bound.num_trajectories, {});
  // A report looks at a trajectory by itself.
  std::vector<int64_t> others;
  for (int64_t b = 0; b < bound.num_trajectories; ++b) {
    if (!ReportsOn(report, b)) {
      others.push_back(b);
      continue;
    }
    ASSIGN_OR_RETURN(result->trajectories[b], one(b, &report));
  }
  const auto alone = [&](int64_t trajectory) { return one(trajectory, nullptr); };
  if (RunsInLanes(result->method, *input.adjoint, bound, static_cast<int64_t>(others.size()))) {
    const int wide = bound.model->rhs().simd_lanes();
    ASSIGN_OR_RETURN(const absl::Duration lanes,
                     PrepareKernels({{&bound.model->rhs(), MapKernel::kValue, wide},
                                     {&bound.model->rhs(), MapKernel::kVjp, wide}},
                                    input.stop->cancellation));
    result->timing.compile += lanes;
    return DifferentiateInLanes(result->method, loss, input, others, alone,
                                absl::MakeSpan(result->trajectories));
  }
  for (const int64_t b : others) {
    ASSIGN_OR_RETURN(result->trajectories[b], alone(b));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSavedRoom(const BoundSimulation& bound, const SaveAt& save) {
  const Model& model = *bound.model;
  const double values = static_cast<double>(model.rhs().num_states()) +
                        static_cast<double>(model.outputs().num_values());
  const double rows = static_cast<double>(bound.num_trajectories) *
                      static_cast<double>(std::max<size_t>(1, save.times.size()));
  if (8 * rows * values <= static_cast<double>(limits::kMaxSavedBytes)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(rows, " saved rows of ", values, " values pass the limit of ",
                   limits::kMaxSavedBytes, " bytes; use fewer trajectories or times"));
}

SaveAt SaveAtLossTimes(const std::vector<const Loss*>& losses, bool backwards) {
  SaveAt save;
  if (losses.size() == 1) {
    save.times = LossTimes(*losses[0], backwards);
  } else {
    Loss all;
    for (const Loss* loss : losses) {
      Linear times_only;
      times_only.times = LossTimes(*loss, backwards);
      all.terms.emplace_back(std::move(times_only));
    }
    save.times = LossTimes(all, backwards);
  }
  save.kind = save.times.empty() ? SaveAt::Kind::kEnd : SaveAt::Kind::kTimes;
  return save;
}

absl::StatusOr<absl::Duration> PrepareGradientKernels(const BoundSimulation& bound,
                                                      GradientMethod method, int64_t save_times,
                                                      int64_t num_cotangents) {
  const Model& model = *bound.model;
  const int wide = model.rhs().simd_lanes();
  const bool has_outputs = model.outputs().num_values() > 0;
  const int rows = has_outputs ? RowLanes(model.outputs(), save_times) : 0;
  const GradientFamily family = GetGradientMethodInfo(method).family;
  const bool tangents = family == GradientFamily::kTangent;
  const bool reverse = !tangents && family != GradientFamily::kDifference;
  const bool many = num_cotangents > 1;
  const absl::StatusOr<absl::Duration> prepared = PrepareKernels(
      {{&model.rhs(), MapKernel::kValue, 1},
       {&model.rhs(), MapKernel::kTangentBlock, tangents ? wide : 0},
       {&model.rhs(), MapKernel::kVjp, reverse && !many ? 1 : 0},
       {&model.rhs(), MapKernel::kCotangentBlock, reverse && many ? wide : 0},
       {&model.init(), MapKernel::kTangentBlock, tangents ? wide : 0},
       {&model.init(), MapKernel::kVjp, reverse ? 1 : 0},
       {&model.outputs(), MapKernel::kValue, rows},
       {&model.outputs(), MapKernel::kTangentBlock, tangents && has_outputs ? wide : 0},
       {&model.outputs(), MapKernel::kVjp, reverse ? rows : 0}});
  if (!prepared.ok()) return prepared;
  return bound.compile + *prepared;
}

absl::Time DeadlineOf(const SolveOptions& options) { return absl::Now() + options.wall_budget; }

absl::StatusOr<GradientResult> DifferentiateSimulation(const GradientRequest& request,
                                                       const Cancellation* cancellation) {
  const absl::Time start = absl::Now();
  const StopSource stop = {cancellation, DeadlineOf(request.simulation.options)};
  ASSIGN_OR_RETURN(BoundSimulation bound, Bind(request.simulation, cancellation));
  GradientResult result;
  ASSIGN_OR_RETURN(result.wrt, ResolveWrt(bound.model->ir(), request.wrt));
  RETURN_IF_ERROR(CheckSpans(bound, result.wrt));
  RETURN_IF_ERROR(ValidateLossForAll(request.loss, bound));
  ASSIGN_OR_RETURN(ResolvedOptions resolved,
                   ResolveOptions(request.simulation, bound,
                                  SaveAtLossTimes({&request.loss}, bound.t1[0] < bound.t0[0])));
  RETURN_IF_ERROR(CheckSavedRoom(bound, resolved.options.save));
  ASSIGN_OR_RETURN(const PreparedLoss prepared,
                   PrepareLoss(request.loss, &bound, &resolved.options));
  const int64_t columns = NumColumns(result.wrt);
  RETURN_IF_ERROR(CheckGradientRoom(bound.num_trajectories, "trajectories", columns));
  result.method = ChooseGradientMethod(request.gradient, bound, resolved.options, columns,
                                       &result.method_reason);
  RETURN_IF_ERROR(CheckGradientOptions(request.gradient, result.method, resolved.options.scheme()));
  result.tangent_control = request.gradient.tangent_control;
  result.timing.compile = prepared.compile;
  PassInput input;
  input.bound = &bound;
  input.options = &resolved.options;
  input.wrt = &result.wrt;
  input.control = result.tangent_control;
  input.adjoint = &request.gradient.adjoint;
  input.want_times = request.gradient.want_times;
  input.difference = &request.gradient.difference;
  input.stop = &stop;
  absl::Status status = DifferentiateAll(prepared.loss, request.gradient.report, input, &result);
  if (absl::IsResourceExhausted(status) && request.gradient.method == GradientMethod::kAuto &&
      result.method == GradientMethod::kBackprop) {
    // The same bits in less memory.
    result.method = GradientMethod::kCheckpointed;
    absl::StrAppend(&result.method_reason,
                    "; checkpointed in the end, since its steps did not fit in the memory budget");
    status = DifferentiateAll(prepared.loss, request.gradient.report, input, &result);
  }
  RETURN_IF_ERROR(status);
  for (GradientResult::PerTrajectory& one : result.trajectories) {
    prepared.Hide(&one.saved);
    prepared.Hide(&one.termination);
  }
  result.resolution = std::move(resolved.resolution);
  result.timing.engine = absl::Now() - start - result.timing.compile;
  return result;
}

}  // namespace costate

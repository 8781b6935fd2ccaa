#include "server/handlers/answer.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "server/convert/options.h"
#include "server/environment.h"

namespace costate {
namespace {

bool EndedByCancellation(const Termination& termination) {
  switch (termination.reason) {
    case Termination::Reason::kCancelled:
    case Termination::Reason::kDeadlineExceeded:
    case Termination::Reason::kShuttingDown:
      return true;
    case Termination::Reason::kReachedEnd:
    case Termination::Reason::kMaxSteps:
    case Termination::Reason::kStepUnderflow:
    case Termination::Reason::kNonFinite:
    case Termination::Reason::kWallBudget:
      return false;
  }
  return false;
}

void AddSolve(const SolveStats& stats, EngineWork::Pass* pass) {
  pass->accepted_steps += stats.accepted_steps;
  pass->rejected_steps += stats.rejected_steps;
  pass->rhs_evaluations += stats.rhs_evaluations;
}

void AddPasses(const GradientStats& stats, EngineWork* work) {
  AddSolve(stats.solve, &work->forward);
  work->backward.accepted_steps += stats.adjoint.backward_steps;
  work->backward.rejected_steps += stats.adjoint.backward_rejected;
  work->backward.rhs_evaluations += stats.adjoint.rhs_evaluations;
}

void AddTrajectory(const GradientResult::PerTrajectory& trajectory, EngineReport* report) {
  AddPasses(trajectory.stats, &report->work);
  report->cut_short |= EndedByCancellation(trajectory.termination);
}

void AddGradients(GradientMethod method, size_t count, EngineWork* work) {
  work->gradients[static_cast<size_t>(method)] += static_cast<int64_t>(count);
}

}  // namespace

EngineReport ReportOf(const SolveResult& result) {
  EngineReport report{result.timing};
  for (const Trajectory& trajectory : result.trajectories) {
    AddSolve(trajectory.stats, &report.work.forward);
    report.cut_short |= EndedByCancellation(trajectory.termination);
  }
  return report;
}

EngineReport ReportOf(const GradientResult& result) {
  EngineReport report{result.timing};
  for (const GradientResult::PerTrajectory& trajectory : result.trajectories) {
    AddTrajectory(trajectory, &report);
  }
  AddGradients(result.method, result.trajectories.size(), &report.work);
  return report;
}

EngineReport ReportOf(const VjpResult& result) {
  EngineReport report{result.timing};
  AddTrajectory(result.primal, &report);
  AddGradients(result.method, result.values.size(), &report.work);
  return report;
}

EngineReport ReportOf(const JvpResult& result) {
  EngineReport report{result.timing};
  AddPasses(result.stats, &report.work);
  report.cut_short = EndedByCancellation(result.termination);
  return report;
}

EngineReport ReportOf(const HvpResult& result) {
  EngineReport report{result.timing};
  AddTrajectory(result.primal, &report);
  return report;
}

EngineReport ReportOf(const CheckResult& result) {
  EngineReport report{result.timing};
  for (const CheckResult::Row& row : result.rows) {
    AddTrajectory(row.result, &report);
    AddGradients(row.method, 1, &report.work);
  }
  return report;
}

EngineReport ReportOf(const KeptSolve::Facts& facts) {
  EngineReport report{facts.timing};
  for (const GradientStats& stats : facts.stats) AddPasses(stats, &report.work);
  report.cut_short =
      std::any_of(facts.terminations.begin(), facts.terminations.end(), EndedByCancellation);
  return report;
}

EngineReport ReportOf(const StabilityResult& result) {
  EngineReport report{result.timing};
  AddSolve(result.stats, &report.work.forward);
  report.cut_short = EndedByCancellation(result.termination);
  return report;
}

EngineReport WithoutSolve(EngineReport report) {
  report.work.forward = {};
  return report;
}

absl::Status EndOfEngine(CallContext& call, const EngineReport& report) {
  call.record.compile += report.timing.compile;
  call.record.engine += report.timing.engine;
  call.record.work += report.work;
  return report.cut_short ? CancellationStatus(call.cancellation.reason()) : absl::OkStatus();
}

void TimingToProto(const CallContext& call, v1::Timing* timing) {
  *timing->mutable_queue() = DurationToProto(call.record.queue);
  *timing->mutable_compile() = DurationToProto(call.record.compile);
  *timing->mutable_engine() = DurationToProto(call.record.engine);
}

absl::Status CheckAnswerFits(const CallContext& call, double bytes, const char* advice) {
  const int64_t limit = call.environment.options().max_message_bytes;
  if (bytes <= static_cast<double>(limit)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the answer would have about ", static_cast<int64_t>(std::min(bytes, 1e18)),
                   " bytes, a message at most ", limit, "; ", advice));
}

}  // namespace costate

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/stop_source.h"
#include "engine/fit/fit.h"
#include "server/convert/fit.h"
#include "server/convert/job.h"
#include "server/environment.h"
#include "server/jobs/prepared_fit.h"
#include "server/jobs/runners.h"
#include "server/validate/fit.h"

namespace costate::jobs {
namespace {

constexpr char kField[] = "fit";

// A small fit is one task; else chunks of starts are followed by a task that summarises.
Chunks ChunksOf(int64_t starts, int64_t num_tasks) {
  return Chunks{starts, num_tasks == 1 ? 1 : num_tasks - 1};
}

void Count(const fit::StartProgress& progress, v1::FitSummary* summary) {
  summary->set_iterations(summary->iterations() + progress.iteration);
  if (progress.outcome == optimise::Outcome::kRunning) return;
  summary->set_starts_done(summary->starts_done() + 1);
  if (progress.outcome != optimise::Outcome::kDiverged) return;
  summary->set_starts_failed(summary->starts_failed() + 1);
}

// Tells the task's watchers how far its starts are.
class Reporter {
 public:
  Reporter(TaskContext& task, int64_t all_starts) : task_(task), all_starts_(all_starts) {}

  // Those that have ended are in the events already.
  void SkipEnded(const fit::Starts& starts) {
    for (const fit::StartProgress& progress : starts.progress()) {
      ended_.push_back(progress.outcome != optimise::Outcome::kRunning);
    }
  }

  void Report(const fit::Starts& starts) {
    const std::vector<fit::StartProgress> all = starts.progress();
    ended_.resize(all.size(), false);
    v1::FitProgress proto;
    proto.mutable_summary()->set_starts(all_starts_);
    for (const fit::StartProgress& progress : all) Count(progress, proto.mutable_summary());
    for (size_t i = 0; i < all.size(); ++i) {
      if (ended_[i]) continue;
      ended_[i] = all[i].outcome != optimise::Outcome::kRunning;
      FitProgressToProto(all[i], &proto);
      proto.set_best_objective(all[i].objective);
      task_.Report(proto, ended_[i]);
    }
  }

 private:
  TaskContext& task_;
  const int64_t all_starts_;
  std::vector<bool> ended_;
};

class FitRunnerImpl final : public JobRunner {
 public:
  absl::StatusOr<JobPlan> Plan(Environment& environment, const v1::JobSpec& spec,
                               const Cancellation& cancellation) override {
    RETURN_IF_ERROR(ValidateFitRequest(kField, spec.fit()));
    CallRecord record;
    CallContext call{environment, cancellation, record};
    ASSIGN_OR_RETURN(const PreparedFit fit, PrepareFit(call, kField, spec.fit()));
    RETURN_IF_ERROR(CheckResultFits(environment, static_cast<int64_t>(fit.result_bytes)));
    const Chunks chunks = ChooseChunks(fit, environment.memory().total());
    JobPlan plan;
    plan.num_tasks = chunks.count == 1 ? 1 : chunks.count + 1;
    plan.last_task_waits = chunks.count > 1;
    plan.cost = fit.cost_per_start * static_cast<double>(fit.options.starts);
    return plan;
  }

  absl::StatusOr<std::string> Run(TaskContext& task, const v1::JobSpec& spec) override {
    CallContext call{task.environment(), task.cancellation(), task.record()};
    ASSIGN_OR_RETURN(const PreparedFit fit, PrepareFit(call, kField, spec.fit()));
    StepMeter steps(task.environment().metrics(), *fit.objective);
    const bool only = task.num_tasks() == 1;
    if (!only && task.task() == task.num_tasks() - 1) return RunSummary(task, spec, fit);
    ASSIGN_OR_RETURN(std::vector<fit::StartResult> results, RunStarts(task, fit, &steps));
    if (only) return Summarise(task, spec, fit, std::move(results));
    return fit::SaveResults(results);
  }

  v1::FitSummary SummaryOf(const v1::JobSpec& spec, const TaskResult& result) override {
    v1::FitSummary summary;
    const auto results = fit::RestoreResults(result.bytes);
    if (!results.ok()) return summary;
    summary.set_starts(std::max<int64_t>(spec.fit().options().starts(), 1));
    for (const fit::StartResult& start : *results) {
      fit::StartProgress progress;
      progress.iteration = start.iterations;
      progress.outcome = start.outcome;
      Count(progress, &summary);
    }
    return summary;
  }

  absl::Status FillResult(const v1::JobSpec& spec, std::vector<TaskResult> results,
                          v1::JobResult* result) override {
    static_cast<void>(spec);
    if (!results.empty() && result->mutable_fit()->ParseFromString(results.back().bytes)) {
      return absl::OkStatus();
    }
    return absl::DataLossError("the result of a fit is damaged");
  }

 private:
  static absl::StatusOr<std::unique_ptr<fit::Starts>> MakeStarts(TaskContext& task,
                                                                 const PreparedFit& fit,
                                                                 const Chunks& chunks,
                                                                 Reporter* reporter) {
    const int64_t first = chunks.first(task.task()), count = chunks.length(task.task());
    if (task.restored().has_value()) {
      absl::StatusOr<std::unique_ptr<fit::Starts>> starts =
          fit::Starts::Restore(fit.objective, fit.options, first, count, *task.restored());
      if (starts.ok()) reporter->SkipEnded(**starts);
      // A state of another build: the starts begin anew.
      if (starts.ok() || starts.status().code() != absl::StatusCode::kDataLoss) return starts;
    }
    return fit::Starts::Create(fit.objective, fit.options, first, count);
  }

  static absl::StatusOr<std::vector<fit::StartResult>> RunStarts(TaskContext& task,
                                                                 const PreparedFit& fit,
                                                                 StepMeter* steps) {
    const Chunks chunks = ChunksOf(fit.options.starts, task.num_tasks());
    const double bytes =
        fit.bytes_per_start * static_cast<double>(chunks.length(task.task())) + fit.result_bytes;
    RETURN_IF_ERROR(task.TakeMemory(static_cast<int64_t>(bytes)));
    Reporter reporter(task, fit.options.starts);
    ASSIGN_OR_RETURN(const std::unique_ptr<fit::Starts> starts,
                     MakeStarts(task, fit, chunks, &reporter));
    const StopSource stop{&task.cancellation()};
    const auto save = [&starts] { return starts->Save(); };
    while (!starts->done()) {
      const absl::Status advanced = starts->Advance(stop, task.workers());
      if (!advanced.ok()) {
        RETURN_IF_ERROR(task.Checkpoint(save));
        return advanced;
      }
      reporter.Report(*starts);
      steps->Record();
      RETURN_IF_ERROR(task.Checkpoint(save));
    }
    for (const fit::StartResult& result : starts->results()) {
      task.environment().metrics().RecordFitStart(OutcomeName(result.outcome), result.iterations,
                                                  result.evaluations);
    }
    return starts->results();
  }

  static absl::StatusOr<std::string> RunSummary(TaskContext& task, const v1::JobSpec& spec,
                                                const PreparedFit& fit) {
    RETURN_IF_ERROR(task.TakeMemory(static_cast<int64_t>(2 * fit.result_bytes)));
    ASSIGN_OR_RETURN(const std::vector<TaskResult> tasks, task.results());
    std::vector<fit::StartResult> all;
    for (const TaskResult& part : tasks) {
      ASSIGN_OR_RETURN(std::vector<fit::StartResult> starts, fit::RestoreResults(part.bytes));
      for (fit::StartResult& start : starts) all.push_back(std::move(start));
    }
    return Summarise(task, spec, fit, std::move(all));
  }

  static absl::StatusOr<std::string> Summarise(TaskContext& task, const v1::JobSpec& spec,
                                               const PreparedFit& fit,
                                               std::vector<fit::StartResult> starts) {
    const StopSource stop{&task.cancellation()};
    ASSIGN_OR_RETURN(
        const fit::FitResult result,
        fit::Summarise(*fit.objective, fit.options, std::move(starts), stop, task.workers()));
    v1::FitResult proto;
    FitResultToProto(result, spec.fit(), &proto);
    LeaveOutTraces(MaxResultBytes(task.environment()), &proto);
    RETURN_IF_ERROR(
        CheckResultFits(task.environment(), static_cast<int64_t>(proto.ByteSizeLong())));
    return StableBytes(proto);
  }

  // Those of the last starts, as many as it takes.
  static void LeaveOutTraces(int64_t most, v1::FitResult* result) {
    int64_t bytes = static_cast<int64_t>(result->ByteSizeLong());
    for (int i = result->starts_size() - 1; i >= 0 && bytes > most; --i) {
      v1::FitStart* start = result->mutable_starts(i);
      bytes -= static_cast<int64_t>(start->trace().ByteSizeLong());
      start->clear_trace();
    }
  }

  static const char* OutcomeName(optimise::Outcome outcome) {
    switch (outcome) {
      case optimise::Outcome::kRunning:
        return "running";
      case optimise::Outcome::kConverged:
        return "converged";
      case optimise::Outcome::kMaxIterations:
        return "max_iterations";
      case optimise::Outcome::kDiverged:
        return "diverged";
      case optimise::Outcome::kStalled:
        return "stalled";
    }
    return "";
  }
};

}  // namespace

JobRunner* FitRunner() {
  static FitRunnerImpl runner;
  return &runner;
}

}  // namespace costate::jobs

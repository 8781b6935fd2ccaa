#include "engine/fit/evaluate_batch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/fit/reverse_batch.h"
#include "engine/fit/trajectory_batch.h"
#include "engine/map_rows.h"
#include "engine/solve.h"
#include "engine/tangent_pass.h"

namespace costate::fit {
namespace {

class Batch {
 public:
  Batch(const BoundFit& fit, const Bundle& bundle, absl::Span<ConditionTask* const> tasks,
        const StopSource& stop)
      : fit_(fit),
        bundle_(bundle),
        tasks_(tasks),
        stop_(stop),
        columns_(static_cast<int64_t>(bundle.targets.size())) {}

  absl::Status Run(optimise::Wanted wanted) {
    std::vector<TrajectoryRequest> requests;
    requests.reserve(tasks_.size());
    for (const ConditionTask* task : tasks_) requests.push_back({task->condition, task->point});
    ASSIGN_OR_RETURN(bound_, GatherTrajectories(fit_, bundle_, requests, stop_));
    const bool full = fit_.gradient.tangent_control == TangentControl::kFull;
    switch (wanted) {
      case optimise::Wanted::kValue:
        return Values();
      case optimise::Wanted::kResiduals:
        return full ? WithTangents(false) : WithPlainTangents();
      case optimise::Wanted::kGradient:
        if (fit_.method == GradientMethod::kForward && full) return WithTangents(true);
        return DifferentiateByPasses(fit_, bundle_, bound_, tasks_, stop_);
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Values() {
    ASSIGN_OR_RETURN(const std::vector<Trajectory> trajectories,
                     SolveTrajectories(bound_, bundle_.options, stop_));
    std::vector<double> outputs;
    for (size_t i = 0; i < tasks_.size(); ++i) {
      ConditionTask& task = *tasks_[i];
      task.failure = trajectories[i].termination.detail;
      task.stats = trajectories[i].stats;
      if (!ReachedEnd(trajectories[i].termination)) continue;
      RETURN_IF_ERROR(Outputs(i, trajectories[i], &outputs));
      task.value =
          EvaluateLikelihood(*task.condition, *task.point, View(trajectories[i].states, outputs));
    }
    return absl::OkStatus();
  }

  absl::Status WithTangents(bool gradient) {
    ASSIGN_OR_RETURN(const std::vector<TangentTrajectory> solved,
                     SolveWithColumns(bundle_, bound_, stop_));
    for (size_t i = 0; i < tasks_.size(); ++i) {
      tasks_[i]->failure = solved[i].trajectory.termination.detail;
      tasks_[i]->stats = solved[i].trajectory.stats;
      if (!ReachedEnd(solved[i].trajectory.termination)) continue;
      std::vector<double> outputs;
      RETURN_IF_ERROR(Outputs(i, solved[i].trajectory, &outputs));
      ChannelValues values = View(solved[i].trajectory.states, outputs);
      RETURN_IF_ERROR(Use(i, solved[i].trajectory.times, solved[i].tangents, gradient, &values));
    }
    return absl::OkStatus();
  }

  // On the steps of the plain solve, one trajectory after another.
  absl::Status WithPlainTangents() {
    for (size_t i = 0; i < tasks_.size(); ++i) {
      PassInput input;
      input.bound = &bound_;
      input.trajectory = static_cast<int64_t>(i);
      input.options = &bundle_.options;
      input.wrt = &bundle_.wrt;
      input.control = TangentControl::kPrimalOnly;
      input.stop = &stop_;
      ASSIGN_OR_RETURN(const TangentPass pass,
                       SolveInDirections(input, columns_, UnitDirections(columns_)));
      tasks_[i]->failure = pass.primal.termination.detail;
      tasks_[i]->stats = pass.primal.stats.solve;
      if (!pass.primal.reached()) continue;
      const SavedValues& saved = pass.primal.values;
      ChannelValues values = View(saved.states, saved.outputs);
      RETURN_IF_ERROR(Use(i, saved.times, pass.states, false, &values));
    }
    return absl::OkStatus();
  }

  // Fills a task's rows or gradient from values and tangents [K, n, C].
  absl::Status Use(size_t i, const std::vector<double>& times, const std::vector<double>& tangents,
                   bool gradient, ChannelValues* values) {
    RETURN_IF_ERROR(OutputTangents(i, times, tangents, *values));
    values->columns = columns_;
    values->state_tangents = tangents;
    values->output_tangents = output_tangents_;
    ConditionTask& task = *tasks_[i];
    if (gradient) {
      Contract(*values, &task);
      return absl::OkStatus();
    }
    task.value = FillLikelihoodRows(*task.condition, *task.point, *values, task.factor,
                                    task.expected, static_cast<int64_t>(fit_.elements.size()),
                                    task.residuals, task.jacobian);
    return absl::OkStatus();
  }

  void Contract(const ChannelValues& values, ConditionTask* task) {
    task->value = DifferentiateLikelihood(*task->condition, *task->point, values, &likelihood_);
    task->gradient.assign(columns_, 0.0);
    const auto add = [&](const std::vector<double>& cotangents, absl::Span<const double> tangents) {
      for (size_t row = 0; row < cotangents.size(); ++row) {
        if (cotangents[row] == 0) continue;
        const double* tangent = tangents.data() + row * columns_;
        for (int64_t q = 0; q < columns_; ++q) task->gradient[q] += cotangents[row] * tangent[q];
      }
    };
    add(likelihood_.cotangents.states, values.state_tangents);
    add(likelihood_.cotangents.outputs, values.output_tangents);
    task->gradient.insert(task->gradient.end(), likelihood_.nuisance.begin(),
                          likelihood_.nuisance.end());
  }

  absl::Status Outputs(size_t i, const Trajectory& trajectory, std::vector<double>* outputs) const {
    outputs->clear();
    if (!bundle_.needs_outputs) return absl::OkStatus();
    return EvaluateOutputs(*fit_.model, trajectory, bound_.one(static_cast<int64_t>(i)).params,
                           stop_.cancellation, outputs);
  }

  // d(outputs)/d(columns), [K, k, C], with the explicit dependence on parameters.
  absl::Status OutputTangents(size_t i, const std::vector<double>& times,
                              const std::vector<double>& tangents, const ChannelValues& values) {
    output_tangents_.clear();
    if (!bundle_.needs_outputs) return absl::OkStatus();
    const DifferentiableMap& map = fit_.model->outputs();
    if (directions_.empty()) {
      directions_.resize(map.num_params() * columns_);
      for (int64_t q = 0; q < columns_; ++q) {
        const TangentColumn& target = bundle_.targets[q];
        if (target.kind == TangentColumn::Kind::kParam)
          directions_[target.index * columns_ + q] = 1;
      }
    }
    output_tangents_.resize(times.size() * values.k * columns_);
    const MapPoints rows = {.rows = static_cast<int64_t>(times.size()),
                            .t = times.data(),
                            .y = values.states.data(),
                            .p = bound_.one(static_cast<int64_t>(i)).params.data(),
                            .cancellation = stop_.cancellation};
    return PushRows(map, rows, columns_, nullptr, tangents.data(), directions_.data(),
                    output_tangents_.data());
  }

  ChannelValues View(absl::Span<const double> states, absl::Span<const double> outputs) const {
    ChannelValues values;
    values.n = fit_.model->rhs().num_states();
    values.k = fit_.model->outputs().num_values();
    values.states = states;
    values.outputs = outputs;
    return values;
  }

  const BoundFit& fit_;
  const Bundle& bundle_;
  const absl::Span<ConditionTask* const> tasks_;
  const StopSource& stop_;
  const int64_t columns_;
  BoundSimulation bound_;
  LikelihoodGradient likelihood_;
  std::vector<double> directions_;       // [m, C], d(p)/d(columns)
  std::vector<double> output_tangents_;  // [K, k, C] of the task at hand
};

}  // namespace

absl::Status EvaluateBatch(const BoundFit& fit, const Bundle& bundle, optimise::Wanted wanted,
                           absl::Span<ConditionTask* const> tasks, const StopSource& stop) {
  const absl::Status status = Batch(fit, bundle, tasks, stop).Run(wanted);
  if (!absl::IsResourceExhausted(status) || tasks.size() == 1) return status;
  // What does not fit together may fit in parts, with the same bits.
  const size_t half = tasks.size() / 2;
  RETURN_IF_ERROR(EvaluateBatch(fit, bundle, wanted, tasks.first(half), stop));
  return EvaluateBatch(fit, bundle, wanted, tasks.subspan(half), stop);
}

}  // namespace costate::fit

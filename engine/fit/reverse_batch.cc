#include "engine/fit/reverse_batch.h"

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "engine/adjoint_columns.h"
#include "engine/base/status_macros.h"
#include "engine/batch_pass.h"
#include "engine/gradient_pass.h"
#include "engine/gradients/ensemble_adjoint.h"
#include "engine/pass_values.h"

namespace costate::fit {
namespace {

ChannelValues View(const SavedValues& saved, const BoundSimulation& bound) {
  ChannelValues values;
  values.n = bound.model->rhs().num_states();
  values.k = bound.model->outputs().num_values();
  values.states = saved.states;
  values.outputs = saved.outputs;
  return values;
}

class Passes {
 public:
  Passes(const BoundFit& fit, const Bundle& bundle, const BoundSimulation& bound,
         absl::Span<ConditionTask* const> tasks, const StopSource& stop)
      : fit_(fit), bound_(bound), tasks_(tasks) {
    input_.bound = &bound;
    input_.options = &bundle.options;
    input_.wrt = &bundle.wrt;
    input_.control = fit.gradient.tangent_control;
    input_.adjoint = &fit.gradient.adjoint;
    input_.difference = &fit.gradient.difference;
    input_.stop = &stop;
  }

  absl::Status Run() {
    const int64_t count = static_cast<int64_t>(tasks_.size());
    if (RunsInLanes(fit_.method, *input_.adjoint, bound_, count)) return InLanes();
    for (int64_t i = 0; i < count; ++i) RETURN_IF_ERROR(Alone(i));
    return absl::OkStatus();
  }

 private:
  PassInput InputOf(int64_t i) const {
    PassInput one = input_;
    one.trajectory = i;
    return one;
  }

  absl::Status Alone(int64_t i) {
    const absl::Status status = AloneBy(fit_.method, i);
    if (!absl::IsResourceExhausted(status) || !fit_.method_auto ||
        fit_.method != GradientMethod::kBackprop) {
      return status;
    }
    return AloneBy(GradientMethod::kCheckpointed, i);  // the same bits in less memory
  }

  absl::Status AloneBy(GradientMethod method, int64_t i) {
    ConditionTask& task = *tasks_[i];
    const std::unique_ptr<GradientPass> pass = MakeGradientPass(method, InputOf(i));
    RETURN_IF_ERROR(pass->Solve());
    task.failure = pass->primal().termination.detail;
    task.stats = pass->primal().stats.solve;
    if (!pass->primal().reached()) return absl::OkStatus();
    LikelihoodGradient likelihood;
    const double value = DifferentiateLikelihood(*task.condition, *task.point,
                                                 View(pass->primal().values, bound_), &likelihood);
    if (!std::isfinite(value)) return absl::OkStatus();
    PassGradients gradients;
    RETURN_IF_ERROR(pass->PullBack(absl::MakeConstSpan(&likelihood.cotangents, 1), &gradients));
    if (!pass->primal().reached()) return absl::OkStatus();
    task.value = value;
    task.gradient = std::move(gradients.values);
    task.gradient.insert(task.gradient.end(), likelihood.nuisance.begin(),
                         likelihood.nuisance.end());
    return absl::OkStatus();
  }

  absl::Status InLanes() {
    const SolveOptions options = WithBudget(input_);
    const Problem problem = bound_.all();
    AdjointInput input = {.problem = problem, .options = options, .adjoint = *input_.adjoint};
    input.stop = input_.stop;
    ASSIGN_OR_RETURN(const std::unique_ptr<EnsembleAdjoint> ensemble,
                     MakeEnsembleAdjoint(fit_.method, input));
    ASSIGN_OR_RETURN(std::vector<Trajectory> trajectories, ensemble->Solve());
    members_.assign(tasks_.size(), {});
    wanted_.assign(tasks_.size(), false);
    for (size_t i = 0; i < trajectories.size(); ++i) {
      RETURN_IF_ERROR(Take(static_cast<int64_t>(i), std::move(trajectories[i]), *ensemble));
    }
    std::vector<StateCotangents> cotangents;
    for (const Member& member : members_) {
      cotangents.push_back(
          {member.primal.values.times, member.state_loss.saved, member.state_loss.terminal});
    }
    absl::StatusOr<std::vector<AdjointResult>> adjoints = ensemble->PullBack(cotangents, wanted_);
    for (size_t i = 0; i < members_.size(); ++i) {
      if (!wanted_[i]) continue;
      RETURN_IF_ERROR(Finish(static_cast<int64_t>(i), &adjoints));
    }
    return absl::OkStatus();
  }

  absl::Status Take(int64_t i, Trajectory trajectory, const EnsembleAdjoint& ensemble) {
    const PassInput input = InputOf(i);
    Member& member = members_[i];
    absl::Span<const double> terminal;
    if (trajectory.termination.reason == Termination::Reason::kReachedEnd) {
      terminal = ensemble.terminal_state(i);
    }
    RETURN_IF_ERROR(FillPrimal(input, std::move(trajectory), terminal, &member.primal));
    ConditionTask& task = *tasks_[i];
    task.failure = member.primal.termination.detail;
    task.stats = member.primal.stats.solve;
    if (!member.primal.reached()) return absl::OkStatus();
    member.value = DifferentiateLikelihood(*task.condition, *task.point,
                                           View(member.primal.values, bound_), &member.likelihood);
    if (!std::isfinite(member.value)) return absl::OkStatus();
    absl::StatusOr<StateLoss> loss =
        PullBackOutputs(input, member.primal.values, member.likelihood.cotangents);
    if (!loss.ok()) return EndEarly(input, loss.status(), &member.primal);
    member.state_loss = *std::move(loss);
    wanted_[i] = true;
    return absl::OkStatus();
  }

  absl::Status Finish(int64_t i, absl::StatusOr<std::vector<AdjointResult>>* adjoints) {
    const PassInput input = InputOf(i);
    Member& member = members_[i];
    if (!adjoints->ok()) return EndEarly(input, adjoints->status(), &member.primal);
    ConditionTask& task = *tasks_[i];
    task.value = member.value;
    task.gradient.resize(NumColumns(*input_.wrt));
    RETURN_IF_ERROR(
        FillColumns(input, member.state_loss, &(**adjoints)[i], absl::MakeSpan(task.gradient), {}));
    task.gradient.insert(task.gradient.end(), member.likelihood.nuisance.begin(),
                         member.likelihood.nuisance.end());
    return absl::OkStatus();
  }

  // A trajectory between its solve and its gradient.
  struct Member {
    PassPrimal primal;
    double value = 0;
    LikelihoodGradient likelihood;
    StateLoss state_loss;
  };

  const BoundFit& fit_;
  const BoundSimulation& bound_;
  const absl::Span<ConditionTask* const> tasks_;
  PassInput input_;
  std::vector<Member> members_;
  std::vector<bool> wanted_;
};

}  // namespace

absl::Status DifferentiateByPasses(const BoundFit& fit, const Bundle& bundle,
                                   const BoundSimulation& bound,
                                   absl::Span<ConditionTask* const> tasks, const StopSource& stop) {
  return Passes(fit, bundle, bound, tasks, stop).Run();
}

}  // namespace costate::fit

#include "engine/batch_pass.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "engine/adjoint_columns.h"
#include "engine/base/status_macros.h"
#include "engine/gradients/ensemble_backprop.h"
#include "engine/pass_values.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kBlocksTogether = 4;  // so that lanes are refilled, and few stand idle at the end

// Trajectories [first, first + count).
Problem Slice(const Problem& all, int64_t first, int64_t count) {
  const int64_t n = all.field->num_states();
  const int64_t m = all.field->num_params();
  const bool shared = static_cast<int64_t>(all.params.size()) == m;
  Problem slice = all;
  slice.num_trajectories = count;
  if (all.t0.size() > 1) slice.t0 = all.t0.subspan(first, count);
  if (all.t1.size() > 1) slice.t1 = all.t1.subspan(first, count);
  slice.y0 = all.y0.subspan(first * n, count * n);
  if (!shared) slice.params = all.params.subspan(first * m, count * m);
  return slice;
}

// Some trajectories of the batch, from solve to gradients.
class Ensemble {
 public:
  Ensemble(const Loss& loss, const PassInput& input, int64_t first, int64_t count)
      : loss_(loss),
        input_(input),
        first_(first),
        problem_(Slice(input.bound->all(), first, count)),
        options_(WithBudget(input)),
        primals_(count),
        losses_(count),
        state_losses_(count),
        wanted_(count, false) {}

  absl::StatusOr<std::vector<GradientResult::PerTrajectory>> Run() {
    AdjointInput input = {.problem = problem_, .options = options_, .adjoint = *input_.adjoint};
    input.stop = input_.stop;
    input.want_times = input_.want_times;
    ASSIGN_OR_RETURN(const std::unique_ptr<EnsembleBackprop> backprop, MakeEnsembleBackprop(input));
    ASSIGN_OR_RETURN(std::vector<Trajectory> trajectories, backprop->Solve());
    for (size_t i = 0; i < trajectories.size(); ++i) {
      RETURN_IF_ERROR(
          TakeTrajectory(static_cast<int64_t>(i), std::move(trajectories[i]), *backprop));
    }
    return PullBack(*backprop);
  }

 private:
  PassInput InputOf(int64_t i) const {
    PassInput one = input_;
    one.trajectory = first_ + i;
    return one;
  }

  absl::Status TakeTrajectory(int64_t i, Trajectory trajectory, const EnsembleBackprop& backprop) {
    const PassInput input = InputOf(i);
    PassPrimal& primal = primals_[i];
    absl::Span<const double> terminal;
    if (trajectory.termination.reason == Termination::Reason::kReachedEnd) {
      terminal = backprop.terminal_state(i);
    }
    RETURN_IF_ERROR(FillPrimal(input, std::move(trajectory), terminal, &primal));
    losses_[i] = kNaN;
    if (!primal.reached()) return absl::OkStatus();
    const LossValue value =
        EvaluateLoss(loss_, primal.values, input.bound->one(input.trajectory).params);
    losses_[i] = value.value;
    if (std::isnan(value.value)) return absl::OkStatus();
    absl::StatusOr<StateLoss> state_loss = PullBackOutputs(input, primal.values, value.cotangents);
    if (!state_loss.ok()) return EndEarly(input, state_loss.status(), &primal);
    state_losses_[i] = *std::move(state_loss);
    wanted_[i] = true;
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<GradientResult::PerTrajectory>> PullBack(EnsembleBackprop& backprop) {
    std::vector<StateCotangents> cotangents;
    for (size_t i = 0; i < primals_.size(); ++i) {
      cotangents.push_back(
          {primals_[i].values.times, state_losses_[i].saved, state_losses_[i].terminal});
    }
    absl::StatusOr<std::vector<AdjointResult>> adjoints = backprop.PullBack(cotangents, wanted_);
    std::vector<GradientResult::PerTrajectory> results(primals_.size());
    for (size_t i = 0; i < results.size(); ++i) {
      const int64_t index = static_cast<int64_t>(i);
      primals_[i].stats.adjoint = backprop.stats(index);
      if (wanted_[i] && !adjoints.ok()) {
        RETURN_IF_ERROR(EndEarly(InputOf(index), adjoints.status(), &primals_[i]));
      }
      AdjointResult* adjoint = wanted_[i] && adjoints.ok() ? &(*adjoints)[i] : nullptr;
      RETURN_IF_ERROR(Fill(index, adjoint, &results[i]));
    }
    return results;
  }

  // Without `adjoint`: NaN.
  absl::Status Fill(int64_t i, AdjointResult* adjoint, GradientResult::PerTrajectory* result) {
    const PassInput input = InputOf(i);
    PassPrimal& primal = primals_[i];
    result->gradient.assign(NumColumns(*input_.wrt), kNaN);
    result->times.assign(input_.want_times ? primal.values.times.size() : 0, kNaN);
    if (adjoint != nullptr) {
      RETURN_IF_ERROR(FillColumns(input, state_losses_[i], adjoint,
                                  absl::MakeSpan(result->gradient), absl::MakeSpan(result->times)));
    }
    result->loss = primal.reached() ? losses_[i] : kNaN;
    result->saved = std::move(primal.values);
    result->termination = std::move(primal.termination);
    result->stats = primal.stats;
    result->grid = std::move(primal.grid);
    return absl::OkStatus();
  }

  const Loss& loss_;
  const PassInput& input_;
  const int64_t first_;
  const Problem problem_;
  const SolveOptions options_;
  std::vector<PassPrimal> primals_;
  std::vector<double> losses_;
  std::vector<StateLoss> state_losses_;
  std::vector<bool> wanted_;
};

}  // namespace

bool RunsInLanes(GradientMethod method, const BoundSimulation& bound) {
  const int lanes = bound.model->rhs().simd_lanes();
  return method == GradientMethod::kBackprop && lanes > 1 && bound.num_trajectories >= lanes;
}

absl::StatusOr<std::vector<GradientResult::PerTrajectory>> DifferentiateInLanes(
    const Loss& loss, const PassInput& input, DifferentiateAlone alone) {
  const int64_t lanes = input.bound->model->rhs().simd_lanes();
  int64_t together = kBlocksTogether * lanes;
  std::vector<GradientResult::PerTrajectory> results;
  const int64_t batch = input.bound->num_trajectories;
  while (static_cast<int64_t>(results.size()) < batch) {
    const int64_t first = static_cast<int64_t>(results.size());
    const int64_t count = std::min(together, batch - first);
    if (count == 1) {
      ASSIGN_OR_RETURN(GradientResult::PerTrajectory one, alone(first));
      results.push_back(std::move(one));
      continue;
    }
    absl::StatusOr<std::vector<GradientResult::PerTrajectory>> some =
        Ensemble(loss, input, first, count).Run();
    if (absl::IsResourceExhausted(some.status())) {
      together = count / 2;
      continue;
    }
    RETURN_IF_ERROR(some.status());
    std::move(some->begin(), some->end(), std::back_inserter(results));
  }
  return results;
}

}  // namespace costate

#include "engine/batch_pass.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "engine/adjoint_columns.h"
#include "engine/base/status_macros.h"
#include "engine/gradients/ensemble_adjoint.h"
#include "engine/pass_values.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kBlocksTogether = 4;  // so that lanes are refilled, and few stand idle at the end

// Rows of `width` values of some trajectories; one row that all share stays alone.
std::vector<double> Gather(absl::Span<const double> rows, int64_t width,
                           absl::Span<const int64_t> members) {
  if (static_cast<int64_t>(rows.size()) == width) return {rows.begin(), rows.end()};
  std::vector<double> some;
  some.reserve(members.size() * width);
  for (const int64_t b : members) {
    some.insert(some.end(), rows.begin() + b * width, rows.begin() + (b + 1) * width);
  }
  return some;
}

// Some trajectories of a batch of more than one as a problem of their own.
class SomeTrajectories {
 public:
  SomeTrajectories(const Problem& all, absl::Span<const int64_t> members)
      : t0_(Gather(all.t0, 1, members)),
        t1_(Gather(all.t1, 1, members)),
        y0_(Gather(all.y0, all.field->num_states(), members)),
        params_(Gather(all.params, all.field->num_params(), members)),
        problem_(all) {
    problem_.num_trajectories = static_cast<int64_t>(members.size());
    problem_.t0 = t0_;
    problem_.t1 = t1_;
    problem_.y0 = y0_;
    problem_.params = params_;
  }
  SomeTrajectories(const SomeTrajectories&) = delete;
  SomeTrajectories& operator=(const SomeTrajectories&) = delete;

  const Problem& problem() const { return problem_; }

 private:
  const std::vector<double> t0_, t1_, y0_, params_;
  Problem problem_;
};

// Some trajectories of the batch, from solve to gradients.
class Ensemble {
 public:
  Ensemble(GradientMethod method, const Loss& loss, const PassInput& input,
           absl::Span<const int64_t> members)
      : method_(method),
        loss_(loss),
        input_(input),
        members_(members),
        some_(input.bound->all(), members),
        options_(OptionsOf(input)),
        primals_(members.size()),
        losses_(members.size()),
        state_losses_(members.size()),
        wanted_(members.size(), false) {}

  absl::StatusOr<std::vector<GradientResult::PerTrajectory>> Run() {
    AdjointInput input = {
        .problem = some_.problem(), .options = options_, .adjoint = *input_.adjoint};
    input.stop = input_.stop;
    input.want_times = input_.want_times;
    ASSIGN_OR_RETURN(const std::unique_ptr<EnsembleAdjoint> adjoint,
                     MakeEnsembleAdjoint(method_, input));
    ASSIGN_OR_RETURN(std::vector<Trajectory> trajectories, adjoint->Solve());
    for (size_t i = 0; i < trajectories.size(); ++i) {
      RETURN_IF_ERROR(
          TakeTrajectory(static_cast<int64_t>(i), std::move(trajectories[i]), *adjoint));
    }
    return PullBack(*adjoint);
  }

 private:
  static SolveOptions OptionsOf(const PassInput& input) {
    SolveOptions options = WithBudget(input);
    options.lanes = input.bound->model->rhs().simd_lanes();
    return options;
  }

  PassInput InputOf(int64_t i) const {
    PassInput one = input_;
    one.trajectory = members_[i];
    return one;
  }

  absl::Status TakeTrajectory(int64_t i, Trajectory trajectory, const EnsembleAdjoint& adjoint) {
    const PassInput input = InputOf(i);
    PassPrimal& primal = primals_[i];
    absl::Span<const double> terminal;
    if (trajectory.termination.reason == Termination::Reason::kReachedEnd) {
      terminal = adjoint.terminal_state(i);
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

  absl::StatusOr<std::vector<GradientResult::PerTrajectory>> PullBack(EnsembleAdjoint& adjoint) {
    std::vector<StateCotangents> cotangents;
    for (size_t i = 0; i < primals_.size(); ++i) {
      cotangents.push_back(
          {primals_[i].values.times, state_losses_[i].saved, state_losses_[i].terminal});
    }
    absl::StatusOr<std::vector<AdjointResult>> adjoints = adjoint.PullBack(cotangents, wanted_);
    std::vector<GradientResult::PerTrajectory> results(primals_.size());
    for (size_t i = 0; i < results.size(); ++i) {
      const int64_t index = static_cast<int64_t>(i);
      primals_[i].stats.adjoint = adjoint.stats(index);
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

  const GradientMethod method_;
  const Loss& loss_;
  const PassInput& input_;
  const absl::Span<const int64_t> members_;
  const SomeTrajectories some_;
  const SolveOptions options_;
  std::vector<PassPrimal> primals_;
  std::vector<double> losses_;
  std::vector<StateLoss> state_losses_;
  std::vector<bool> wanted_;
};

}  // namespace

bool RunsInLanes(GradientMethod method, const AdjointOptions& adjoint, const BoundSimulation& bound,
                 int64_t count) {
  // Checkpoints on disk are for states too large to hold those of several trajectories.
  const bool on_disk =
      method == GradientMethod::kCheckpointed && !adjoint.scratch_directory.empty();
  const int lanes = bound.model->rhs().simd_lanes();
  return GetGradientMethodInfo(method).family == GradientFamily::kDiscreteAdjoint && !on_disk &&
         lanes > 1 && 2 * count >= lanes && count > 1;
}

absl::Status DifferentiateInLanes(GradientMethod method, const Loss& loss, const PassInput& input,
                                  absl::Span<const int64_t> members, DifferentiateAlone alone,
                                  absl::Span<GradientResult::PerTrajectory> results) {
  const size_t lanes = static_cast<size_t>(input.bound->model->rhs().simd_lanes());
  // As many checkpoints as fit are fewer, and more steps repeated, the more trajectories share.
  const bool fills_budget =
      method == GradientMethod::kCheckpointed && input.adjoint->checkpoints == 0;
  size_t together = (fills_budget ? 1 : kBlocksTogether) * lanes;
  for (size_t done = 0; done < members.size();) {
    const absl::Span<const int64_t> next = members.subspan(done, together);
    if (next.size() == 1) {
      ASSIGN_OR_RETURN(results[next[0]], alone(next[0]));
      ++done;
      continue;
    }
    absl::StatusOr<std::vector<GradientResult::PerTrajectory>> some =
        Ensemble(method, loss, input, next).Run();
    if (absl::IsResourceExhausted(some.status())) {
      together = next.size() / 2;
      continue;
    }
    RETURN_IF_ERROR(some.status());
    for (size_t i = 0; i < next.size(); ++i) results[next[i]] = std::move((*some)[i]);
    done += next.size();
  }
  return absl::OkStatus();
}

}  // namespace costate

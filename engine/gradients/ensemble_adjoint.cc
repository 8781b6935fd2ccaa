#include "engine/gradients/ensemble_adjoint.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/recording_budget.h"
#include "engine/gradients/saved_rows.h"
#include "engine/gradients/step_store.h"
#include "engine/gradients/step_walker.h"
#include "engine/solvers/stepper.h"

namespace costate {
namespace {

using Stores = std::vector<std::unique_ptr<StepStore>>;

// Tells every trajectory's store of its steps.
class StoreObserver : public StepObserver {
 public:
  explicit StoreObserver(const Stores& stores) : stores_(stores) {}

  absl::Status Begin(int64_t trajectory, double t0, const double* y0) override {
    return stores_[trajectory]->Begin(t0, y0);
  }
  absl::Status Accept(int64_t trajectory, const LaneStep& step) override {
    return stores_[trajectory]->AcceptLane(step);
  }

 private:
  const Stores& stores_;
};

// Pulls cotangents back through the steps that a walker brings, W trajectories at a time; a lane
// that arrives takes the next. Arrays are [element][lane].
class LaneSweep {
 public:
  LaneSweep(const AdjointInput& input, absl::Span<const Problem> problems, const Stores& stores,
            absl::Span<const StateCotangents> cotangents, const std::vector<bool>& wanted,
            LaneReplay& replay, std::vector<AdjointStats>& stats)
      : input_(input),
        problems_(problems),
        stores_(stores),
        cotangents_(cotangents),
        wanted_(wanted),
        replay_(replay),
        stats_(stats),
        W_(replay.lanes()),
        n_(input.problem.field->num_states()),
        m_(input.problem.field->num_params()),
        carried_(CarriedSize(input.options.scheme(), n_)),
        walker_(input.options.scheme(), *input.problem.field, W_, input.stop),
        lanes_(W_),
        params_(m_ * W_),
        lambda_(carried_ * W_),
        c_params_(m_ * W_),
        waiting_((carried_ + m_) * W_),
        row_(std::max(n_, carried_)),
        results_(cotangents.size()) {}

  absl::StatusOr<std::vector<AdjointResult>> Run() {
    for (int l = 0; l < W_; ++l) RETURN_IF_ERROR(Refill(l));
    while (active_ > 0) {
      RETURN_IF_ERROR(walker_.Work());
      for (int l = 0; l < W_; ++l) {
        if (lanes_[l].active() && !walker_.walks(l)) RETURN_IF_ERROR(Finish(l));
      }
      Step();
    }
    return std::move(results_);
  }

 private:
  struct Lane {
    int64_t trajectory = -1;  // none
    int64_t first_row = 0;    // saved values not yet used end here
    int64_t last_row = 0;     // of the step in hand: [first_row, last_row)
    double c_t0 = 0;
    AdjointStats stats;  // of the sweep
    bool active() const { return trajectory >= 0; }
  };

  StepStore& store(int l) const { return *stores_[lanes_[l].trajectory]; }
  bool IsLast(int l) const { return walker_.step(l) + 1 == store(l).num_steps(); }
  StepRecord TimesOf(int l) const {
    const LaneSteps& steps = walker_.steps();
    return {.t = steps.t[l], .h = steps.h[l], .t_next = steps.t_next[l]};
  }

  // Starts the next wanted trajectory in lane l, if there is one.
  absl::Status Refill(int l) {
    lanes_[l].trajectory = -1;
    for (; next_ < static_cast<int64_t>(cotangents_.size()) && !lanes_[l].active(); ++next_) {
      if (wanted_[next_]) RETURN_IF_ERROR(Begin(next_, l));
    }
    return absl::OkStatus();
  }

  absl::Status Begin(int64_t b, int l) {
    const StateCotangents& cotangents = cotangents_[b];
    const int64_t rows = static_cast<int64_t>(cotangents.times.size());
    results_[b] = AdjointResult();
    results_[b].params.assign(m_, 0.0);
    if (input_.want_times) results_[b].times.assign(rows, 0.0);
    if (stores_[b]->num_steps() == 0) {
      AtRest(b);
      return absl::OkStatus();
    }
    lanes_[l] = {.trajectory = b, .first_row = rows, .last_row = rows};
    SetColumn(problems_[b].params, m_, l, &params_);
    SetColumn({}, carried_, l, &lambda_);
    SetColumn(cotangents.terminal, n_, l, &lambda_);
    SetColumn({}, m_, l, &c_params_);
    ++active_;
    return walker_.Begin(l, stores_[b].get(), problems_[b].params.data());
  }

  // A trajectory without steps: its saved values are its initial state.
  void AtRest(int64_t b) {
    const StateCotangents& cotangents = cotangents_[b];
    std::vector<double>& lambda = results_[b].initial_state;
    lambda.assign(n_, 0.0);
    std::copy(cotangents.terminal.begin(), cotangents.terminal.end(), lambda.begin());
    for (size_t i = cotangents.saved.size(); i > 0; --i) {
      lambda[(i - 1) % n_] += cotangents.saved[i - 1];
    }
  }

  void SetColumn(absl::Span<const double> values, int64_t count, int l,
                 std::vector<double>* lanes) const {
    for (int64_t i = 0; i < count; ++i) (*lanes)[i * W_ + l] = values.empty() ? 0.0 : values[i];
  }

  // Of the lanes whose step is in hand; the others keep what they have.
  void Step() {
    saved_.clear();
    bool any = false, moves = false;  // some lane stands at an end of its span
    for (int l = 0; l < W_; ++l) {
      if (lanes_[l].active() && !walker_.ready(l)) SwapWaiting(l);
      if (!walker_.ready(l)) continue;
      any = true;
      moves = moves || walker_.step(l) == 0 || IsLast(l);
      CollectSaved(l);
    }
    if (any) Pull(moves);
    for (int l = 0; l < W_; ++l) {
      if (lanes_[l].active() && !walker_.ready(l)) SwapWaiting(l);
    }
  }

  void Pull(bool moves) {
    double c_t[kMaxLanes] = {};
    double c_h[kMaxLanes] = {};
    const int64_t rhs = replay_.rhs_evaluations(), vjp = replay_.vjp_evaluations();
    replay_.Vjp(walker_.steps(), params_.data(), lambda_.data(), saved_, lambda_.data(),
                c_params_.data(), moves ? c_t : nullptr, moves ? c_h : nullptr);
    const int64_t rhs_of_step = replay_.rhs_evaluations() - rhs;
    const int64_t vjp_of_step = replay_.vjp_evaluations() - vjp;
    for (int l = 0; l < W_; ++l) {
      if (!walker_.ready(l)) continue;
      Lane& lane = lanes_[l];
      AdjointStats& stats = lane.stats;
      ++stats.replayed_steps;
      stats.rhs_evaluations += rhs_of_step;
      stats.vjp_evaluations += vjp_of_step;
      if (input_.want_times) AddTimeDerivatives(l);
      if (IsLast(l)) results_[lane.trajectory].t1 = c_h[l];
      if (walker_.step(l) > 0) continue;
      c_t[l] -= c_h[l];  // the first step's end stays where it is
      PullStart(l, c_t);
      lane.c_t0 = c_t[l];
    }
  }

  // From all that is carried to y(t0) alone.
  void PullStart(int l, double* c_t) {
    if (carried_ == n_) return;
    const LaneSteps& steps = walker_.steps();
    CopyLane(steps.y + l, W_, n_, row_.data());
    const int64_t before = replay_.vjp_evaluations();
    replay_.StartVjp(l, steps.t[l], row_.data(), problems_[lanes_[l].trajectory].params.data(),
                     lambda_.data(), c_params_.data(), c_t);
    lanes_[l].stats.vjp_evaluations += replay_.vjp_evaluations() - before;
  }

  // What a lane that waits has so far is put aside, and back.
  void SwapWaiting(int l) {
    double* aside = waiting_.data() + l * (carried_ + m_);
    for (int64_t i = 0; i < carried_; ++i) std::swap(lambda_[i * W_ + l], aside[i]);
    for (int64_t i = 0; i < m_; ++i) std::swap(c_params_[i * W_ + l], aside[carried_ + i]);
  }

  // As ReverseSweep::CollectSaved, for one lane.
  void CollectSaved(int l) {
    Lane& lane = lanes_[l];
    const StateCotangents& cotangents = cotangents_[lane.trajectory];
    const StepRecord step = TimesOf(l);
    lane.last_row = lane.first_row;
    lane.first_row = FirstSavedRow(cotangents.times, lane.last_row, walker_.step(l), step);
    for (int64_t row = lane.last_row - 1; row >= lane.first_row; --row) {
      const double* c = cotangents.saved.data() + row * n_;
      if (AllZero(c, n_)) continue;
      if (cotangents.times[row] == step.t_next && !IsLast(l)) {
        for (int64_t e = 0; e < n_; ++e) lambda_[e * W_ + l] += c[e];
      } else {
        saved_.push_back({SavedTheta(cotangents.times[row], step), c, l});
      }
    }
  }

  void AddTimeDerivatives(int l) {
    const Lane& lane = lanes_[l];
    const StateCotangents& cotangents = cotangents_[lane.trajectory];
    for (int64_t row = lane.first_row; row < lane.last_row; ++row) {
      replay_.Slope(l, SavedTheta(cotangents.times[row], TimesOf(l)), row_.data());
      double sum = 0;
      for (int64_t e = 0; e < n_; ++e) sum += cotangents.saved[row * n_ + e] * row_[e];
      results_[lane.trajectory].times[row] = sum;
    }
  }

  absl::Status Finish(int l) {
    const int64_t b = lanes_[l].trajectory;
    --active_;
    if (stores_[b]->AsksAgain()) return Begin(b, l);
    stats_[b].replayed_steps += lanes_[l].stats.replayed_steps;
    stats_[b].rhs_evaluations += lanes_[l].stats.rhs_evaluations;
    stats_[b].vjp_evaluations += lanes_[l].stats.vjp_evaluations;
    AdjointResult& result = results_[b];
    result.t0 = lanes_[l].c_t0;
    result.initial_state.resize(n_);
    for (int64_t e = 0; e < n_; ++e) result.initial_state[e] = lambda_[e * W_ + l];
    for (int64_t j = 0; j < m_; ++j) result.params[j] = c_params_[j * W_ + l];
    return Refill(l);
  }

  const AdjointInput& input_;
  const absl::Span<const Problem> problems_;
  const Stores& stores_;
  const absl::Span<const StateCotangents> cotangents_;
  const std::vector<bool>& wanted_;
  LaneReplay& replay_;
  std::vector<AdjointStats>& stats_;
  const int W_;
  const int64_t n_, m_, carried_;
  StepWalker walker_;
  int active_ = 0;
  int64_t next_ = 0;  // trajectory to start
  std::vector<Lane> lanes_;
  std::vector<double> params_, lambda_, c_params_;
  std::vector<double> waiting_;  // [lane][carried * n + m]
  std::vector<double> row_;      // [carried][n]
  std::vector<LaneReplay::SavedCotangent> saved_;
  std::vector<AdjointResult> results_;
};

class EnsembleAdjointImpl : public EnsembleAdjoint {
 public:
  EnsembleAdjointImpl(const AdjointInput& input, std::unique_ptr<LaneReplay> replay)
      : input_(input),
        share_(input.adjoint),
        replay_(std::move(replay)),
        observer_(stores_),
        stats_(input.problem.num_trajectories) {}

  absl::Status MakeStores(GradientMethod method) {
    const int64_t count = input_.problem.num_trajectories;
    share_.memory_budget = RecordingBudget(input_.adjoint) / count;
    share_.max_disk_bytes = input_.adjoint.max_disk_bytes / count;
    SharedByStores shared;
    problems_.reserve(count);  // stores refer to them
    for (int64_t b = 0; b < count; ++b) {
      problems_.push_back(One(b));
      const AdjointInput one = {.problem = problems_.back(),
                                .options = input_.options,
                                .adjoint = share_,
                                .stop = input_.stop};
      ASSIGN_OR_RETURN(std::unique_ptr<StepStore> store, MakeStepStore(method, one, &shared));
      stores_.push_back(std::move(store));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<Trajectory>> Solve() override {
    IntegrateHooks hooks;
    hooks.cancellation = input_.stop->cancellation;
    hooks.observer = &observer_;
    return Integrate(input_.problem, input_.options, hooks);
  }

  absl::Span<const double> terminal_state(int64_t trajectory) const override {
    return stores_[trajectory]->last_state();
  }

  absl::StatusOr<std::vector<AdjointResult>> PullBack(absl::Span<const StateCotangents> cotangents,
                                                      const std::vector<bool>& wanted) override {
    RETURN_IF_ERROR(CheckSizes(cotangents, wanted));
    return LaneSweep(input_, problems_, stores_, cotangents, wanted, *replay_, stats_).Run();
  }

  AdjointStats stats(int64_t trajectory) const override {
    AdjointStats stats = stats_[trajectory];
    stores_[trajectory]->AddStats(&stats);
    return stats;
  }

 private:
  Problem One(int64_t b) const {
    const Problem& all = input_.problem;
    Problem one = all;
    one.num_trajectories = 1;
    const auto row = [b, &all](absl::Span<const double> rows, int64_t width) {
      const bool shared = static_cast<int64_t>(rows.size()) == width && all.num_trajectories > 1;
      return rows.subspan(shared ? 0 : b * width, width);
    };
    one.t0 = row(all.t0, 1);
    one.t1 = row(all.t1, 1);
    one.y0 = all.y0.subspan(b * all.field->num_states(), all.field->num_states());
    one.params = row(all.params, all.field->num_params());
    return one;
  }

  absl::Status CheckSizes(absl::Span<const StateCotangents> cotangents,
                          const std::vector<bool>& wanted) const {
    const size_t n = static_cast<size_t>(input_.problem.field->num_states());
    bool fits = cotangents.size() == stats_.size() && wanted.size() == stats_.size();
    for (size_t b = 0; fits && b < cotangents.size(); ++b) {
      const StateCotangents& c = cotangents[b];
      fits = !wanted[b] || (c.saved.size() == c.times.size() * n &&
                            (c.terminal.empty() || c.terminal.size() == n));
    }
    return fits ? absl::OkStatus()
                : absl::InvalidArgumentError("cotangents do not fit the recorded trajectories");
  }

  const AdjointInput input_;
  AdjointOptions share_;  // of a trajectory
  const std::unique_ptr<LaneReplay> replay_;
  std::vector<Problem> problems_;
  Stores stores_;
  StoreObserver observer_;
  std::vector<AdjointStats> stats_;  // of the sweeps
};

}  // namespace

absl::StatusOr<std::unique_ptr<EnsembleAdjoint>> MakeEnsembleAdjoint(GradientMethod method,
                                                                     const AdjointInput& input) {
  ASSIGN_OR_RETURN(std::unique_ptr<LaneReplay> replay,
                   MakeLaneReplay(input.options.scheme(), *input.problem.field));
  auto ensemble = std::make_unique<EnsembleAdjointImpl>(input, std::move(replay));
  RETURN_IF_ERROR(ensemble->MakeStores(method));
  return ensemble;
}

}  // namespace costate

#include "engine/gradients/ensemble_backprop.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/gradients/saved_rows.h"
#include "engine/gradients/stop_check.h"
#include "engine/solvers/stepper.h"

namespace costate {
namespace {

// Keeps every accepted step of every trajectory.
class EnsembleRecorder : public StepObserver {
 public:
  EnsembleRecorder(const Scheme& scheme, int64_t num_states, int64_t num_trajectories,
                   int64_t max_bytes)
      : recordings_(num_trajectories), max_bytes_(max_bytes) {
    for (Recording& recording : recordings_) {
      recording.scheme = scheme;
      recording.num_states = num_states;
    }
  }

  absl::Status Begin(int64_t trajectory, double t0, const double* y0) override {
    Recording& recording = recordings_[trajectory];
    recording.times.push_back(t0);
    recording.states.insert(recording.states.end(), y0, y0 + recording.num_states);
    return Count(1 + recording.num_states);
  }

  absl::Status Accept(int64_t trajectory, const LaneStep& step) override {
    Recording& recording = recordings_[trajectory];
    const int64_t n = recording.num_states;
    const int64_t stage_values = GetMethodInfo(recording.scheme).stages * n;
    RETURN_IF_ERROR(Count(1 + n + stage_values));
    recording.times.push_back(step.t_next);
    for (int64_t e = 0; e < n; ++e) recording.states.push_back(step.y_new[e * step.lanes]);
    for (int64_t i = 0; i < stage_values; ++i) {
      recording.stages.push_back(step.stages[i * step.lanes]);
    }
    return absl::OkStatus();
  }

  const Recording& recording(int64_t trajectory) const { return recordings_[trajectory]; }

 private:
  absl::Status Count(int64_t doubles) {
    bytes_ += doubles * static_cast<int64_t>(sizeof(double));
    if (bytes_ <= max_bytes_) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        absl::StrCat("the recorded trajectories pass ", max_bytes_, " bytes"));
  }

  std::vector<Recording> recordings_;
  const int64_t max_bytes_;
  int64_t bytes_ = 0;
};

// Walks recordings from their ends to their starts, W at a time; a lane that arrives takes the
// next. Arrays are [element][lane].
class LaneSweep {
 public:
  LaneSweep(const AdjointInput& input, const EnsembleRecorder& recorder,
            absl::Span<const StateCotangents> cotangents, const std::vector<bool>& wanted,
            LaneReplay& replay, std::vector<AdjointStats>& stats)
      : input_(input),
        recorder_(recorder),
        cotangents_(cotangents),
        wanted_(wanted),
        replay_(replay),
        stats_(stats),
        W_(replay.lanes()),
        n_(input.problem.field->num_states()),
        m_(input.problem.field->num_params()),
        lanes_(W_),
        steps_(W_),
        params_(m_ * W_),
        lambda_(n_ * W_),
        c_params_(m_ * W_),
        slope_(n_),
        results_(cotangents.size()) {}

  absl::StatusOr<std::vector<AdjointResult>> Run() {
    StopCheck stop(input_.stop);
    for (int l = 0; l < W_; ++l) Refill(l);
    while (active_ > 0) {
      RETURN_IF_ERROR(stop.Poll());
      Step();
    }
    return std::move(results_);
  }

 private:
  struct Lane {
    int64_t trajectory = -1;  // none
    int64_t step = 0;         // to be pulled back
    int64_t first_row = 0;    // saved values not yet used end here
    int64_t last_row = 0;     // of the step in hand: [first_row, last_row)
    bool active() const { return trajectory >= 0; }
  };

  const Recording& recording(const Lane& lane) const {
    return recorder_.recording(lane.trajectory);
  }
  bool IsLast(const Lane& lane) const { return lane.step + 1 == recording(lane).num_steps(); }

  // Starts the next wanted trajectory in lane l, if there is one.
  void Refill(int l) {
    Lane& lane = lanes_[l];
    lane.trajectory = -1;
    steps_[l] = StepRecord();
    for (; next_ < static_cast<int64_t>(cotangents_.size()) && !lane.active(); ++next_) {
      if (wanted_[next_]) Begin(next_, l);
    }
    if (!lane.active()) SetColumn({}, n_, l, &lambda_);
  }

  void Begin(int64_t b, int l) {
    const StateCotangents& cotangents = cotangents_[b];
    const int64_t rows = static_cast<int64_t>(cotangents.times.size());
    results_[b].params.assign(m_, 0.0);
    if (input_.want_times) results_[b].times.assign(rows, 0.0);
    if (recorder_.recording(b).num_steps() == 0) return AtRest(b);
    lanes_[l] = {.trajectory = b,
                 .step = recorder_.recording(b).num_steps() - 1,
                 .first_row = rows,
                 .last_row = rows};
    const Problem& problem = input_.problem;
    const bool shared = static_cast<int64_t>(problem.params.size()) == m_;
    SetColumn(problem.params.subspan(shared ? 0 : b * m_, m_), m_, l, &params_);
    SetColumn(cotangents.terminal, n_, l, &lambda_);
    SetColumn({}, m_, l, &c_params_);
    ++active_;
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

  void Step() {
    saved_.clear();
    bool moves = false;  // some lane stands at an end of its span
    for (int l = 0; l < W_; ++l) {
      if (!lanes_[l].active()) continue;
      steps_[l] = recording(lanes_[l]).step(lanes_[l].step);
      moves = moves || lanes_[l].step == 0 || IsLast(lanes_[l]);
      CollectSaved(l);
    }
    double c_t[kMaxLanes] = {};
    double c_h[kMaxLanes] = {};
    const int64_t rhs = replay_.rhs_evaluations(), vjp = replay_.vjp_evaluations();
    replay_.Vjp(steps_.data(), params_.data(), lambda_.data(), saved_, lambda_.data(),
                c_params_.data(), moves ? c_t : nullptr, moves ? c_h : nullptr);
    for (int l = 0; l < W_; ++l) {
      Lane& lane = lanes_[l];
      if (!lane.active()) continue;
      AdjointStats& stats = stats_[lane.trajectory];
      ++stats.replayed_steps;
      stats.rhs_evaluations += replay_.rhs_evaluations() - rhs;
      stats.vjp_evaluations += replay_.vjp_evaluations() - vjp;
      if (input_.want_times) AddTimeDerivatives(l);
      if (IsLast(lane)) results_[lane.trajectory].t1 = c_h[l];
      if (lane.step-- == 0) Finish(l, c_t[l] - c_h[l]);
    }
  }

  // As ReverseSweep::CollectSaved, for one lane.
  void CollectSaved(int l) {
    Lane& lane = lanes_[l];
    const StateCotangents& cotangents = cotangents_[lane.trajectory];
    const StepRecord& step = steps_[l];
    lane.last_row = lane.first_row;
    lane.first_row = FirstSavedRow(cotangents.times, lane.last_row, lane.step, step);
    for (int64_t row = lane.last_row - 1; row >= lane.first_row; --row) {
      const double* c = cotangents.saved.data() + row * n_;
      if (AllZero(c, n_)) continue;
      if (cotangents.times[row] == step.t_next && !IsLast(lane)) {
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
      replay_.Slope(l, SavedTheta(cotangents.times[row], steps_[l]), slope_.data());
      double sum = 0;
      for (int64_t e = 0; e < n_; ++e) sum += cotangents.saved[row * n_ + e] * slope_[e];
      results_[lane.trajectory].times[row] = sum;
    }
  }

  void Finish(int l, double c_t0) {
    AdjointResult& result = results_[lanes_[l].trajectory];
    result.t0 = c_t0;
    result.initial_state.resize(n_);
    for (int64_t e = 0; e < n_; ++e) result.initial_state[e] = lambda_[e * W_ + l];
    for (int64_t j = 0; j < m_; ++j) result.params[j] = c_params_[j * W_ + l];
    --active_;
    Refill(l);
  }

  const AdjointInput& input_;
  const EnsembleRecorder& recorder_;
  const absl::Span<const StateCotangents> cotangents_;
  const std::vector<bool>& wanted_;
  LaneReplay& replay_;
  std::vector<AdjointStats>& stats_;
  const int W_;
  const int64_t n_, m_;
  int active_ = 0;
  int64_t next_ = 0;  // trajectory to start
  std::vector<Lane> lanes_;
  std::vector<StepRecord> steps_;
  std::vector<double> params_, lambda_, c_params_;
  std::vector<double> slope_;  // [n]
  std::vector<LaneReplay::SavedCotangent> saved_;
  std::vector<AdjointResult> results_;
};

class EnsembleBackpropImpl : public EnsembleBackprop {
 public:
  EnsembleBackpropImpl(const AdjointInput& input, std::unique_ptr<LaneReplay> replay)
      : input_(input),
        replay_(std::move(replay)),
        recorder_(input.options.scheme(), input.problem.field->num_states(),
                  input.problem.num_trajectories,
                  std::min(input.adjoint.memory_budget, limits::kMaxRecordingBytes)),
        stats_(input.problem.num_trajectories) {}

  absl::StatusOr<std::vector<Trajectory>> Solve() override {
    IntegrateHooks hooks;
    hooks.cancellation = input_.stop->cancellation;
    hooks.observer = &recorder_;
    ASSIGN_OR_RETURN(std::vector<Trajectory> trajectories,
                     Integrate(input_.problem, input_.options, hooks));
    for (size_t b = 0; b < stats_.size(); ++b) {
      stats_[b].peak_stored_bytes = recorder_.recording(static_cast<int64_t>(b)).bytes();
    }
    return trajectories;
  }

  absl::Span<const double> terminal_state(int64_t trajectory) const override {
    const Recording& recording = recorder_.recording(trajectory);
    return absl::MakeConstSpan(recording.states).last(recording.num_states);
  }

  absl::StatusOr<std::vector<AdjointResult>> PullBack(absl::Span<const StateCotangents> cotangents,
                                                      const std::vector<bool>& wanted) override {
    RETURN_IF_ERROR(CheckSizes(cotangents, wanted));
    return LaneSweep(input_, recorder_, cotangents, wanted, *replay_, stats_).Run();
  }

  const AdjointStats& stats(int64_t trajectory) const override { return stats_[trajectory]; }

 private:
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
  const std::unique_ptr<LaneReplay> replay_;
  EnsembleRecorder recorder_;
  std::vector<AdjointStats> stats_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EnsembleBackprop>> MakeEnsembleBackprop(const AdjointInput& input) {
  ASSIGN_OR_RETURN(std::unique_ptr<LaneReplay> replay,
                   MakeLaneReplay(input.options.scheme(), *input.problem.field));
  return std::make_unique<EnsembleBackpropImpl>(input, std::move(replay));
}

}  // namespace costate

#include "engine/solvers/integrate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/solvers/initial_step.h"
#include "engine/solvers/lane.h"
#include "engine/solvers/output.h"
#include "engine/solvers/stop_watch.h"

namespace costate {
namespace {

using Reason = Termination::Reason;

// One call of Integrate with W lanes: trajectories wait in order, run in lanes, and leave their
// results in `trajectories_`.
template <int W>
class Driver {
 public:
  Driver(const Problem& problem, const SolveOptions& options, const IntegrateHooks& hooks)
      : problem_(problem),
        options_(options),
        hooks_(hooks),
        adaptive_(options.control.kind == StepControl::Kind::kAdaptive),
        n_(problem.field->num_states()),
        gains_(ResolveGains(options.control, options.scheme())),
        watch_(hooks.cancellation, options.wall_budget),
        output_(options.save, *problem.field, hooks.sink) {}

  absl::StatusOr<std::vector<Trajectory>> Run() {
    RETURN_IF_ERROR(Prepare());
    for (int l = 0; l < W; ++l) Refill(l);
    while (active_ > 0 && failure_.ok()) {
      Step();
      Judge();
      Emit();
      Detect();
      CheckLimits();
    }
    RETURN_IF_ERROR(failure_);
    return std::move(trajectories_);
  }

 private:
  absl::Status Prepare() {
    RETURN_IF_ERROR(output_.Reserve(problem_.num_trajectories));
    ASSIGN_OR_RETURN(stepper_, MakeStepper(options_.scheme(), *problem_.field, W));
    if (adaptive_) {
      const MethodInfo& info = GetMethodInfo(options_.scheme());
      ASSIGN_OR_RETURN(Kernel value, problem_.field->Get(MapKernel::kValue, 1));
      initial_step_ = std::make_unique<InitialStep>(std::move(value), n_,
                                                    std::min(info.order, info.error_order));
      atol_ = options_.control.atol;
      if (static_cast<int64_t>(atol_.size()) != n_) atol_.resize(n_, atol_.front());
    } else {
      atol_.assign(n_, 1.0);
    }
    trajectories_.resize(problem_.num_trajectories);
    return absl::OkStatus();
  }

  // The five calls of the loop.

  void Step() {
    for (int l = 0; l < W; ++l) {
      Lane& lane = lane_[l];
      t_next_[l] = lane.active() ? lane.Propose(options_.control) : lane.t;
      tried_[l] = t_next_[l] - lane.t;
    }
    // Only now, so that no call stands between the error and the step it asks for.
    stepper_->Advance(accept_);
    stepper_->Step(t_next_);
  }

  void Judge() {
    if (adaptive_) {
      error_[0] = stepper_->SquaredError(atol_.data(), options_.control.rtol, error_);
    } else {
      stepper_->CheckFinite(error_);
    }
    for (int l = 0; l < W; ++l) accept_[l] = lane_[l].active() && error_[l] <= 1;
    if (!hooks_.companions.empty()) AskCompanions();
  }

  void Emit() {
    for (int l = 0; l < W; ++l) {
      if (accept_[l]) EmitLane(l);
    }
  }

  // The next step sizes, and trajectories that have none.
  void Detect() {
    for (int l = 0; l < W; ++l) {
      Lane& lane = lane_[l];
      if (!lane.active()) continue;
      if (adaptive_) {
        const bool goes_on =
            lane.Control(options_.control, gains_, error_[l], accept_[l], tried_[l]);
        if (goes_on) continue;
      } else if (accept_[l]) {
        continue;
      }
      RetireRefused(l);
    }
  }

  // Ends, budgets and cancellation.
  void CheckLimits() {
    for (int l = 0; l < W; ++l) {
      Lane& lane = lane_[l];
      if (!lane.active()) continue;
      if (lane.t == lane.t1) {
        Retire(l, lane.ReachedEnd());
      } else if (lane.accepted + lane.rejected >= options_.max_steps) {
        Retire(l, lane.OutOfSteps());
      }
    }
    if (const std::optional<Reason> reason = watch_.Poll()) Stop(*reason);
  }

  // Starts the next waiting trajectory that needs a step in lane l, if there is one.
  void Refill(int l) {
    while (waiting_ < problem_.num_trajectories && failure_.ok()) {
      if (Start(l, waiting_++)) return;
      if (const std::optional<Reason> reason = watch_.Poll()) return Stop(*reason);
    }
  }

  // False if the trajectory ended at once.
  bool Start(int l, int64_t b) {
    Lane& lane = lane_[l];
    const int64_t batch = problem_.num_trajectories, m = problem_.field->num_params();
    const double t0 = problem_.t0[problem_.t0.size() == 1 ? 0 : b];
    const double t1 = problem_.t1[problem_.t1.size() == 1 ? 0 : b];
    const double* y0 = problem_.y0.data() + b * n_;
    const bool shared = static_cast<int64_t>(problem_.params.size()) == m;
    const double* params = problem_.params.data() + (shared || batch == 1 ? 0 : b * m);
    lane.Begin(b, t0, t1, options_);
    Trajectory& trajectory = trajectories_[b];
    output_.Begin(&trajectory, t1);
    if (options_.return_grid) trajectory.grid.push_back(t0);
    TellStart(l, t0, y0, params);
    if (!output_.CheckStart(y0, &lane.termination)) return Finish(l, 0);
    if (!SaveStart(&lane, y0) || t0 == t1) return Finish(l, 0);

    const double* derivative = nullptr;
    if (adaptive_) {
      derivative = initial_step_->Derivative(t0, y0, params);
      lane.evaluations = 1;
      if (!output_.CheckDerivative(derivative, &lane.termination)) return Finish(l, 0);
      ChooseFirstStep(&lane, y0, params, derivative);
    }
    stepper_->Reset(l, t0, y0, params, derivative);
    ++active_;
    return true;
  }

  void TellStart(int l, double t0, const double* y0, const double* params) {
    if (hooks_.companions.empty() && hooks_.observer == nullptr) return;
    if (const int carried = GetMethodInfo(options_.scheme()).carried; carried > 1) {
      stepper_->Reset(l, t0, y0, params, nullptr);
      start_.resize(carried * n_);
      for (int64_t i = 0; i < carried * n_; ++i) start_[i] = stepper_->y()[i * W + l];
      y0 = start_.data();
    }
    for (StepCompanion* companion : hooks_.companions) Update(companion->Begin(t0, y0));
    if (hooks_.observer != nullptr) {
      Update(hooks_.observer->Begin(lane_[l].trajectory, t0, y0));
    }
  }

  // Saves what is asked for at t0. False if that was cut short, with the lane's termination.
  bool SaveStart(Lane* lane, const double* y0) {
    const int64_t rows = lane->cursor.Begin(lane->t);
    for (int64_t i = 0; i < rows && failure_.ok(); ++i) {
      if (i > 0) {
        if (const std::optional<Reason> reason = watch_.Poll()) {
          lane->termination = StopTermination(*reason, lane->t, 0);
          return false;
        }
      }
      Update(output_.Save(&trajectories_[lane->trajectory], lane->trajectory, lane->t, y0));
    }
    return true;
  }

  void ChooseFirstStep(Lane* lane, const double* y0, const double* params,
                       const double* derivative) {
    const StepControl& control = options_.control;
    double h = 0;
    if (control.initial_step.has_value()) {
      h = *control.initial_step;
    } else {
      const double longest = std::min(std::abs(lane->t1 - lane->t), lane->max_step);
      h = initial_step_->Choose(lane->t, y0, params, derivative, lane->direction, longest, atol_,
                                control.rtol);
      ++lane->evaluations;
    }
    lane->SetStep(lane->direction * std::max(h, lane->SmallestStep(control)));
  }

  // Records how the trajectory in lane l ended, and frees the lane. Always false.
  bool Finish(int l, int64_t step_evaluations) {
    Lane& lane = lane_[l];
    Trajectory& trajectory = trajectories_[lane.trajectory];
    trajectory.termination = lane.termination;
    trajectory.stats = {.accepted_steps = lane.accepted,
                        .rejected_steps = lane.rejected,
                        .rhs_evaluations = lane.evaluations + step_evaluations};
    lane.trajectory = -1;
    return false;
  }

  void Retire(int l, Termination termination) {
    lane_[l].termination = std::move(termination);
    Finish(l, stepper_->rhs_evaluations(l));
    accept_[l] = false;  // the stepper need not go there
    --active_;
    Refill(l);
  }

  // The step of lane l was refused for good.
  void RetireRefused(int l) {
    const int64_t element = stepper_->WorstElement(l, atol_.data(), options_.control.rtol);
    bool finite = std::isfinite(stepper_->y_new()[element * W + l]);
    for (int j = 0; j < GetMethodInfo(options_.scheme()).stages; ++j) {
      finite = finite && std::isfinite(stepper_->stages()[(j * n_ + element) * W + l]);
    }
    Retire(l, lane_[l].Refused(finite, std::sqrt(error_[l]), element,
                               problem_.field->StateName(element), adaptive_));
  }

  // Ends every trajectory, running and waiting.
  void Stop(Reason reason) {
    for (int64_t b = waiting_; b < problem_.num_trajectories; ++b) {
      const double t0 = problem_.t0[problem_.t0.size() == 1 ? 0 : b];
      const double t1 = problem_.t1[problem_.t1.size() == 1 ? 0 : b];
      output_.Begin(&trajectories_[b], t1);
      trajectories_[b].termination = StopTermination(reason, t0, 0);
    }
    waiting_ = problem_.num_trajectories;
    for (int l = 0; l < W; ++l) {
      const Lane& lane = lane_[l];
      if (lane.active()) Retire(l, StopTermination(reason, lane.t, lane.accepted));
    }
  }

  void Update(const absl::Status& status) {
    if (failure_.ok()) failure_ = status;
  }

  StepRecord TriedStep() const {
    return {.t = lane_[0].t,
            .h = t_next_[0] - lane_[0].t,
            .t_next = t_next_[0],
            .y = stepper_->y(),
            .stages = stepper_->stages()};
  }

  void AskCompanions() {
    if (!lane_[0].active() || !std::isfinite(error_[0])) return;
    const StepRecord step = TriedStep();
    for (StepCompanion* companion : hooks_.companions) {
      const double error = companion->TrialError(step, stepper_->y_new());
      // A companion that overflowed asks for a smaller step, like a state that did.
      if (!(error * error <= error_[0])) error_[0] = error * error;
    }
    if (adaptive_) accept_[0] = error_[0] <= 1;
  }

  void EmitLane(int l) {
    Lane& lane = lane_[l];
    thetas_.clear();
    for (bool more = true; more;) {
      more = lane.cursor.Step(lane.t, t_next_[l], &points_);
      if (!EmitPoints(l)) return;
    }
    if (options_.return_grid) {
      trajectories_[lane.trajectory].grid.push_back(t_next_[l]);
      Update(output_.CountBytes(sizeof(double)));
    }
    if (!hooks_.companions.empty()) TellCompanions();
    if (hooks_.observer != nullptr) TellObserver(l);
    lane.t = t_next_[l];
    ++lane.accepted;
  }

  void TellObserver(int l) {
    Update(hooks_.observer->Accept(lane_[l].trajectory, {.t = lane_[l].t,
                                                         .t_next = t_next_[l],
                                                         .lanes = W,
                                                         .y = stepper_->y() + l,
                                                         .y_new = stepper_->y_new() + l,
                                                         .stages = stepper_->stages() + l}));
  }

  // Saves `points_`. False if that failed, or was cut short and all trajectories stopped.
  bool EmitPoints(int l) {
    Lane& lane = lane_[l];
    Trajectory& trajectory = trajectories_[lane.trajectory];
    for (size_t i = 0; i < points_.size(); ++i) {
      if (!failure_.ok()) return false;  // a sink that failed is not asked again
      if (i > 0) {
        if (const std::optional<Reason> reason = watch_.Poll()) {
          lane.t = points_[i - 1].t;
          Stop(*reason);
          return false;
        }
      }
      absl::Status status;
      double* row = output_.Row(&trajectory, points_[i].t, &status);
      Update(status);
      if (row == nullptr) return false;
      stepper_->Interpolate(l, points_[i].theta, row);
      Update(output_.Commit(&trajectory, lane.trajectory, points_[i].t, row));
    }
    if (!hooks_.companions.empty()) {
      for (const SaveCursor::Point& point : points_) thetas_.push_back(point.theta);
    }
    return failure_.ok();
  }

  void TellCompanions() {
    const StepRecord step = TriedStep();
    for (StepCompanion* companion : hooks_.companions) {
      Update(companion->Accept(step, stepper_->y_new(), thetas_));
    }
  }

  const Problem& problem_;
  const SolveOptions& options_;
  const IntegrateHooks& hooks_;
  const bool adaptive_;
  const int64_t n_;
  const ControllerGains gains_;
  StopWatch watch_;
  Output output_;
  std::unique_ptr<Stepper> stepper_;
  std::unique_ptr<InitialStep> initial_step_;
  std::vector<double> atol_;  // [n]; ones where there is no error control
  std::vector<Trajectory> trajectories_;
  absl::Status failure_;

  int active_ = 0;       // lanes at work
  int64_t waiting_ = 0;  // next trajectory to start
  Lane lane_[W];
  double t_next_[W] = {};
  double tried_[W] = {};  // step sizes, signed
  double error_[W] = {};
  bool accept_[W] = {};
  std::vector<SaveCursor::Point> points_;
  std::vector<double> thetas_;  // of the step, for companions
  std::vector<double> start_;   // what a trajectory starts from, where that is more than y
};

}  // namespace

absl::StatusOr<std::vector<Trajectory>> Integrate(const Problem& problem,
                                                  const SolveOptions& options,
                                                  const IntegrateHooks& hooks) {
  if (!hooks.companions.empty() && problem.num_trajectories != 1) {
    return absl::InternalError("companions ride with a single trajectory");
  }
  const int simd = problem.field->simd_lanes();
  int lanes = options.lanes != 0 ? options.lanes : problem.num_trajectories >= simd ? simd : 1;
  if (!hooks.companions.empty()) lanes = 1;
  if (lanes == 1) return Driver<1>(problem, options, hooks).Run();
  if (lanes == 2) return Driver<2>(problem, options, hooks).Run();
  if (lanes == 4) return Driver<4>(problem, options, hooks).Run();
  if (lanes == 8) return Driver<8>(problem, options, hooks).Run();
  return absl::InternalError("lane count must be 1, 2, 4 or 8");
}

}  // namespace costate

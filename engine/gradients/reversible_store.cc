// Steps taken back: from the end of the solve each step is undone, and states are kept only every
// so often to bound what rounding does to the states that are got back (a hybrid of reversible
// steps and checkpoints; McCallum and Foster 2024, arXiv 2410.11648).
//
// For an eigenvalue a of df/dy, a step multiplies errors by nearly exp(h a) and, in its parasitic
// part, by lambda exp(-h a) or (1 - 2 eta) exp(-h a): their product is the determinant. So undoing
// it multiplies them by up to exp(h |a|) / lambda. Unless told how often, a state is kept whenever
// the errors of all steps since the last one, each as magnified on the way back, could add up to
// kMaxMagnified times one rounding error, |a| being the spectral radius, estimated along the way.
// What is got back is compared with every state that was kept; where it is too far off, a second
// walk keeps more.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/gradients/chunked_rows.h"
#include "engine/gradients/counted_vector.h"
#include "engine/gradients/known_steps.h"
#include "engine/gradients/recording_budget.h"
#include "engine/gradients/spectral_radius.h"
#include "engine/gradients/step_store.h"

namespace costate {
namespace {

constexpr int64_t kDouble = sizeof(double);
constexpr double kMaxMagnified = 3e4;  // 1e-16 becomes 3e-12
constexpr double kFarOff = 1e-3;       // in tolerances
constexpr int64_t kStepsPerLook = 8;   // at the spectral radius
constexpr int64_t kDenser = 8;         // kept states of a further walk over those before

// log of how far one step back may magnify the parasitic part.
double ParasiticLog(const Scheme& scheme) {
  if (scheme.coupling.has_value()) return -std::log(*scheme.coupling);
  return scheme.method == Method::kAlf ? -std::log(std::fabs(1 - 2 * scheme.eta)) : 0.0;
}

class ReversibleStore : public StepStore {
 public:
  static absl::StatusOr<std::unique_ptr<StepStore>> Create(const AdjointInput& input,
                                                           SharedByStores* shared) {
    // Refuses what cannot go back.
    RETURN_IF_ERROR(MakeStepInverse(input.options.scheme(), *input.problem.field).status());
    std::unique_ptr<ReversibleStore> store(new ReversibleStore(input));
    if (store->asked_ == 0) {
      ASSIGN_OR_RETURN(
          store->radius_,
          SpectralRadius::Create(input.problem, shared == nullptr ? nullptr : &shared->radius));
    }
    return store;
  }

  absl::Status Begin(double t0, const double* y0) override {
    if (const auto steps = KnownNumberOfSteps(input_.problem, input_.options)) {
      if (bytes() + kDouble * (*steps + 1) > budget_) return DoesNotFit(*steps);
      times_.Reserve(*steps + 1);
    }
    times_.push_back(t0);
    RETURN_IF_ERROR(Keep(0, y0));
    end_.assign(y0, y0 + carried_);
    return absl::OkStatus();
  }

  absl::Status Accept(const StepRecord& step, const double* y_new,
                      absl::Span<const double> /*saved_theta*/) override {
    if (num_steps() > 0 && WantsKept(step)) RETURN_IF_ERROR(Keep(num_steps(), step.y));
    if (asked_ == 0) Grow(step);
    if (bytes() - times_.bytes() + times_.bytes_to_push() > budget_) return DoesNotFit(num_steps());
    times_.push_back(step.t_next);
    std::copy_n(y_new, carried_, end_.data());
    peak_bytes_ = std::max(peak_bytes_, bytes());
    return absl::OkStatus();
  }

  absl::Span<const double> times() const override { return {times_.data(), times_.size()}; }
  absl::Span<const double> last_state() const override {
    return absl::MakeConstSpan(end_).first(input_.problem.field->num_states());
  }

  absl::Status BeginWalk() override {
    if (asks_again_) BeginToKeepMore();
    at_ = num_steps() - 1;
    next_ = states_.size();
    from_ = end_.data();
    undone_ = false;
    was_kept_ = true;
    farthest_ = std::numeric_limits<double>::quiet_NaN();
    return absl::OkStatus();
  }

  absl::Status Next(const StepInHand& hand, StepTask* task) override {
    if (every_ > 0) {
      ASSIGN_OR_RETURN(const bool more, NextToKeep(hand, task));
      if (more) return absl::OkStatus();
    }
    if (at_ < 0) {
      EndWalk();
      task->kind = StepTask::Kind::kDone;
      return absl::OkStatus();
    }
    const bool is_kept = next_ > 0 && kept_steps_[next_ - 1] == at_;
    // A kept state that follows another by one step says nothing of what is got back.
    const bool compares = is_kept && !was_kept_;
    if (!undone_ && (!is_kept || compares)) {
      *task = {.kind = StepTask::Kind::kUndo, .step = at_, .y = from_};
      from_ = nullptr;
      undone_ = true;
      return absl::OkStatus();
    }
    *task = {.kind = StepTask::Kind::kVisit, .step = at_};
    if (is_kept) {
      const double* kept = states_.row(--next_);
      if (compares) farthest_ = std::fmax(farthest_, Distance(hand, kept));
      task->y = from_ = kept;
    }
    was_kept_ = is_kept;
    undone_ = false;
    --at_;
    return absl::OkStatus();
  }

  bool AsksAgain() const override { return asks_again_; }

 protected:
  void AddSizes(AdjointStats* stats) const override {
    stats->peak_stored_bytes = std::max(stats->peak_stored_bytes, peak_bytes_);
    stats->reconstruction_error = reconstruction_error_;
  }

 private:
  explicit ReversibleStore(const AdjointInput& input)
      : StepStore(CarriedSize(input.options.scheme(), input.problem.field->num_states())),
        input_(input),
        carried_(CarriedSize(input.options.scheme(), input.problem.field->num_states())),
        stage_values_(GetMethodInfo(input.options.scheme()).stages *
                      input.problem.field->num_states()),
        budget_(RecordingBudget(input.adjoint)),
        asked_(input.adjoint.checkpoint_every),
        parasitic_(ParasiticLog(input.options.scheme())),
        states_(carried_) {
    times_.set_limit(input.options.max_steps + 1);
  }

  // Step times, kept states, and the three in hand with their stages.
  int64_t bytes() const {
    return times_.bytes() + kept_steps_.bytes() + states_.bytes() +
           kDouble * (3 * carried_ + stage_values_);
  }

  absl::Status Keep(int64_t step, const double* y) {
    const int64_t more = kept_steps_.bytes_to_push() - kept_steps_.bytes() +
                         states_.Bytes(states_.size() + 1) - states_.bytes();
    if (bytes() + more > budget_) return DoesNotFit(num_steps());
    kept_steps_.push_back(step);
    states_.Add(y);
    log_growth_ = 0;
    magnified_ = 0;
    return absl::OkStatus();
  }

  // Whether the state at the start of `step` is to be kept.
  bool WantsKept(const StepRecord& step) const {
    if (asked_ > 0) return num_steps() % asked_ == 0;
    return magnified_ + std::exp(log_growth_ + LogGrowth(step)) > kMaxMagnified;
  }

  // log of how far undoing the step may magnify an error.
  double LogGrowth(const StepRecord& step) const {
    return parasitic_ + std::fabs(step.h) * spectral_radius_;
  }

  void Grow(const StepRecord& step) {
    if (num_steps() % kStepsPerLook == 0) spectral_radius_ = radius_->Estimate(step.t, step.y);
    log_growth_ += LogGrowth(step);
    magnified_ += std::exp(log_growth_);
  }

  // The solve is taken again, and kDenser times as many states are kept.
  void BeginToKeepMore() {
    asks_again_ = false;
    every_ = std::max<int64_t>(1, num_steps() / (kDenser * states_.size()));
    states_.Truncate(1);
    kept_steps_.resize(1);
    tried_ = 0;
  }

  // False: all are kept.
  absl::StatusOr<bool> NextToKeep(const StepInHand& hand, StepTask* task) {
    if (tried_ > 0 && tried_ % every_ == 0) {
      again_.resize(carried_);
      CopyLane(hand.y_new(), hand.lanes(), carried_, again_.data());
      RETURN_IF_ERROR(Keep(tried_, again_.data()));
      peak_bytes_ = std::max(peak_bytes_, bytes());
    }
    if (tried_ == (num_steps() - 1) / every_ * every_) {
      every_ = 0;
      next_ = states_.size();
      return false;
    }
    *task = {
        .kind = StepTask::Kind::kTry, .step = tried_, .y = tried_ == 0 ? states_.row(0) : nullptr};
    ++tried_;
    return true;
  }

  void EndWalk() {
    reconstruction_error_ = farthest_;
    asks_again_ = asked_ == 0 && farthest_ > kFarOff && states_.size() < num_steps();
  }

  // rms over elements of difference / (atol + rtol |y|)
  double Distance(const StepInHand& hand, const double* kept) const {
    const StepControl& control = input_.options.control;
    const int64_t n = input_.problem.field->num_states();
    const double* y = hand.y();
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double atol = control.atol[control.atol.size() == 1 ? 0 : i];
      const double weight = atol + control.rtol * std::fabs(kept[i]);
      const double ratio =
          (y[i * hand.lanes()] - kept[i]) / std::max(weight, std::numeric_limits<double>::min());
      sum += ratio * ratio;
    }
    const double distance = std::sqrt(sum / static_cast<double>(n));
    return std::isnan(distance) ? std::numeric_limits<double>::infinity() : distance;
  }

  absl::Status DoesNotFit(int64_t steps) const {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the times of ", steps, " steps and ", states_.size(), " states of ", carried_ * kDouble,
        " bytes kept until then take the ", budget_,
        " bytes allowed; raise the memory budget, set a larger checkpoint_every, loosen the "
        "tolerance, or use checkpointed"));
  }

  const AdjointInput input_;
  const int64_t carried_, stage_values_, budget_;
  const int64_t asked_;  // every so many steps; 0: by growth
  const double parasitic_;
  std::unique_ptr<SpectralRadius> radius_;
  CountedVector<double> times_;
  CountedVector<int64_t> kept_steps_;  // 0 first, ascending
  ChunkedRows states_;                 // what those start from, [carried][n]
  std::vector<double> end_;            // [carried][n], after the last step
  double spectral_radius_ = 0;
  double log_growth_ = 0;  // since the last kept state
  double magnified_ = 0;   // sum of the growths from each step back to that state
  int64_t peak_bytes_ = 0;
  double reconstruction_error_ = std::numeric_limits<double>::quiet_NaN();
  bool asks_again_ = false;

  // The walk.
  int64_t at_ = -1;               // step to be visited
  int64_t next_ = 0;              // kept states before it, itself included
  const double* from_ = nullptr;  // its end, where that was kept
  bool undone_ = false;
  bool was_kept_ = true;  // the state at its end
  double farthest_ = std::numeric_limits<double>::quiet_NaN();
  int64_t every_ = 0;  // > 0: that many steps apart, states are being kept first
  int64_t tried_ = 0;  // steps tried for that
  std::vector<double> again_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StepStore>> MakeReversibleStore(const AdjointInput& input,
                                                               SharedByStores* shared) {
  return ReversibleStore::Create(input, shared);
}

}  // namespace costate

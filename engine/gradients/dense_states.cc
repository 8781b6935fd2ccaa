#include "engine/gradients/dense_states.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace costate {
namespace {

constexpr int64_t kDouble = sizeof(double);

// What a stepper holds: the current, the new and the stage state, and all derivatives.
int64_t StepperRows(Method method) {
  const MethodInfo& info = GetMethodInfo(method);
  return 3 + info.stages + info.extra_stages;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DenseStates>> DenseStates::Create(Method method,
                                                                 const VectorField& field,
                                                                 absl::Span<const double> params,
                                                                 const Options& options) {
  std::unique_ptr<DenseStates> states(new DenseStates(method, field, params, options));
  for (LoadedStep& loaded : states->loaded_) {
    ASSIGN_OR_RETURN(loaded.stepper, MakeStepper(method, field, 1));
  }
  ASSIGN_OR_RETURN(states->runner_, MakeStepper(method, field, 1));
  return states;
}

DenseStates::DenseStates(Method method, const VectorField& field, absl::Span<const double> params,
                         const Options& options)
    : n_(field.num_states()),
      step_doubles_((kLoadedSteps + 1) * StepperRows(method) * n_),
      params_(params),
      options_(options),
      times_(1),
      states_(n_) {}

absl::Status DenseStates::Begin(double t0, const double* y0) {
  rhs_evaluations_ = rhs_evaluations();
  for (LoadedStep& loaded : loaded_) {
    if (loaded.step >= 0) loaded.stepper->Reset(0, t0, y0, params_.data(), nullptr);
    loaded.step = -1;
  }
  for (Window& window : windows_) window = Window();
  every_ = std::max<int64_t>(options_.every, 1);
  times_.Truncate(0);
  times_.Add(&t0);
  states_.Truncate(0);
  states_.Add(y0);
  last_.assign(y0, y0 + n_);
  position_ = 0;
  backwards_ = false;
  return absl::OkStatus();
}

absl::Status DenseStates::Accept(const StepRecord& step, const double* y_new,
                                 absl::Span<const double> /*saved_theta*/) {
  backwards_ = step.h < 0;
  times_.Add(&step.t_next);
  last_.assign(y_new, y_new + n_);
  if (num_steps() % every_ == 0) states_.Add(y_new);
  return bytes() <= options_.max_bytes ? absl::OkStatus() : Thin(step.t_next);
}

int64_t DenseStates::Bytes(int64_t every, int64_t steps) const {
  const int64_t windows = 2 * (every - 1);
  return times_.Bytes(steps + 1) + states_.Bytes(steps / every + 1) +
         kDouble * (n_ * (1 + windows) + step_doubles_);
}

int64_t DenseStates::FewestBytes(int64_t steps, int64_t* every) const {
  *every = 1;
  while (Bytes(2 * *every, steps) < Bytes(*every, steps)) *every *= 2;
  return Bytes(*every, steps);
}

// Keeps every other stored state until the rest fits.
absl::Status DenseStates::Thin(double t) {
  while (bytes() > options_.max_bytes) {
    if (options_.every > 0 || Bytes(2 * every_, num_steps()) >= bytes()) return Refuse(t);
    every_ *= 2;
    states_.KeepEveryOther();
  }
  return absl::OkStatus();
}

absl::Status DenseStates::Refuse(double t) const {
  int64_t every;
  const int64_t fewest = FewestBytes(num_steps(), &every);
  std::string advice = absl::StrCat("these need no fewer than ", fewest,
                                    "; raise the memory budget, loosen the tolerance, or use "
                                    "backsolve");
  if (fewest <= options_.max_bytes) {
    advice = absl::StrCat("every ", every, "th would fit in ", fewest,
                          "; set checkpoint_every to that, or to 0 for what the budget asks for");
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("every ", every_, "th of the states of ", num_steps(), " steps until t = ", t,
                   " takes ", bytes(), " bytes of the ", options_.max_bytes, " allowed; ", advice));
}

int64_t DenseStates::StepAt(double t) {
  const int64_t last = num_steps() - 1;
  position_ = std::clamp<int64_t>(position_, 0, last);
  while (position_ > 0 && After(time(position_), t)) --position_;
  while (position_ < last && After(t, time(position_ + 1))) ++position_;
  return position_;
}

void DenseStates::Evaluate(double t, double* y) {
  if (num_steps() == 0) {
    std::copy_n(last_.data(), n_, y);
    return;
  }
  const int64_t i = StepAt(t);
  const double start = time(i), end = time(i + 1);
  const double theta = t == end ? 1.0 : std::clamp((t - start) / (end - start), 0.0, 1.0);
  Load(i).Interpolate(0, theta, y);
}

Stepper& DenseStates::Load(int64_t step) {
  LoadedStep* oldest = &loaded_[0];
  for (LoadedStep& loaded : loaded_) {
    if (loaded.step == step) {
      loaded.last_use = ++uses_;
      return *loaded.stepper;
    }
    if (loaded.last_use < oldest->last_use) oldest = &loaded;
  }
  const double* y = State(step);
  Stepper& stepper = *oldest->stepper;
  rhs_evaluations_ += stepper.rhs_evaluations(0);
  stepper.Reset(0, time(step), y, params_.data(), nullptr);
  stepper.Step(times_.row(step + 1));
  ++recomputed_steps_;
  oldest->step = step;
  oldest->last_use = ++uses_;
  return stepper;
}

const double* DenseStates::State(int64_t i) {
  const int64_t offset = i % every_;
  if (offset == 0) return states_.row(i / every_);
  return FillWindow(i / every_).states.data() + (offset - 1) * n_;
}

const DenseStates::Window& DenseStates::FillWindow(int64_t index) {
  if (windows_[0].index == index) return windows_[0];
  std::swap(windows_[0], windows_[1]);
  Window& window = windows_[0];
  if (window.index == index) return window;
  window.index = index;
  window.states.resize((every_ - 1) * n_);
  const int64_t first = index * every_;
  const int64_t last = std::min(first + every_ - 1, num_steps());
  runner_->Reset(0, time(first), states_.row(index), params_.data(), nullptr);
  constexpr bool kAccept = true;
  for (int64_t i = first + 1; i <= last; ++i) {
    runner_->Step(times_.row(i));
    runner_->Advance(&kAccept);
    std::copy_n(runner_->y(), n_, window.states.data() + (i - first - 1) * n_);
  }
  recomputed_steps_ += last - first;
  rhs_evaluations_ += runner_->rhs_evaluations(0);
  return window;
}

int64_t DenseStates::rhs_evaluations() const {
  int64_t sum = rhs_evaluations_;
  for (const LoadedStep& loaded : loaded_) sum += loaded.stepper->rhs_evaluations(0);
  return sum;
}

}  // namespace costate

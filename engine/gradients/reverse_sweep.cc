#include "engine/gradients/reverse_sweep.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/saved_rows.h"

namespace costate {
namespace {

absl::Status CheckSizes(const VectorField& field, absl::Span<const double> params,
                        absl::Span<const double> times,
                        absl::Span<const StateCotangents> cotangents) {
  const size_t n = static_cast<size_t>(field.num_states());
  bool fits = !times.empty() && !cotangents.empty() &&
              params.size() == static_cast<size_t>(field.num_params());
  for (const StateCotangents& c : cotangents) {
    fits = fits && c.times.size() == cotangents[0].times.size() &&
           c.saved.size() == c.times.size() * n && (c.terminal.empty() || c.terminal.size() == n);
  }
  return fits ? absl::OkStatus()
              : absl::InvalidArgumentError("cotangents do not fit the recorded trajectory");
}

}  // namespace

absl::StatusOr<std::unique_ptr<ReverseSweep>> ReverseSweep::Create(
    const Scheme& scheme, const VectorField& field, absl::Span<const double> params,
    absl::Span<const double> times, absl::Span<const StateCotangents> cotangents, bool want_times) {
  RETURN_IF_ERROR(CheckSizes(field, params, times, cotangents));
  const bool alone = cotangents.size() == 1;
  ASSIGN_OR_RETURN(
      std::unique_ptr<StepReplay> replay,
      MakeStepReplay(scheme, field,
                     {.tangents = false, .cotangents = alone, .cotangent_blocks = !alone}));
  const int width = alone ? 1 : replay->block();
  return std::unique_ptr<ReverseSweep>(
      new ReverseSweep(params, times, cotangents, std::move(replay), GetMethodInfo(scheme).carried,
                       width, want_times));
}

ReverseSweep::ReverseSweep(absl::Span<const double> params, absl::Span<const double> times,
                           absl::Span<const StateCotangents> cotangents,
                           std::unique_ptr<StepReplay> replay, int carried, int width,
                           bool want_times)
    : params_(params),
      times_(times),
      cotangents_(cotangents),
      replay_(std::move(replay)),
      carried_(carried),
      width_(width),
      n_(replay_->num_states()),
      num_steps_(static_cast<int64_t>(times.size()) - 1),
      want_times_(want_times),
      remaining_(static_cast<int64_t>(cotangents[0].times.size())),
      slope_(n_) {
  for (size_t first = 0; first < cotangents.size(); first += width) {
    FillBlock(static_cast<int64_t>(first));
  }
}

void ReverseSweep::FillBlock(int64_t first) {
  Block& block = blocks_.emplace_back();
  const int64_t rows = static_cast<int64_t>(cotangents_[0].times.size());
  block.saved.assign(rows * n_ * width_, 0.0);
  block.lambda.assign(carried_ * n_ * width_, 0.0);
  block.params.assign(params_.size() * width_, 0.0);
  block.t0.assign(width_, 0.0);
  block.t1.assign(width_, 0.0);
  if (want_times_) block.times.assign(rows * width_, 0.0);
  const int64_t count = std::min<int64_t>(width_, static_cast<int64_t>(cotangents_.size()) - first);
  for (int64_t l = 0; l < count; ++l) {
    const StateCotangents& c = cotangents_[first + l];
    for (int64_t i = 0; i < rows * n_; ++i) block.saved[i * width_ + l] = c.saved[i];
    for (size_t i = 0; i < c.terminal.size(); ++i) block.lambda[i * width_ + l] = c.terminal[i];
  }
}

void ReverseSweep::Step(int64_t i, const StepRecord& step) {
  const bool last = i + 1 == num_steps_;
  const int64_t last_row = remaining_;
  remaining_ = FirstSavedRow(cotangents_[0].times, last_row, i, step);
  for (Block& block : blocks_) {
    CollectSaved(block, remaining_, last_row, step, last);
    double c_t[kMaxLanes] = {};
    double c_h[kMaxLanes] = {};
    double* to_t = i == 0 ? c_t : nullptr;
    double* to_h = i == 0 || last ? c_h : nullptr;
    double* lambda = block.lambda.data();
    if (width_ == 1) {
      replay_->Vjp(step, params_.data(), lambda, block.in_step, lambda, block.params.data(), to_t,
                   to_h);
    } else {
      replay_->VjpBlock(step, params_.data(), lambda, block.in_step, lambda, block.params.data(),
                        to_t, to_h);
    }
    for (int l = 0; l < width_; ++l) {
      if (last) block.t1[l] = c_h[l];
      if (i == 0) block.t0[l] = c_t[l] - c_h[l];  // the first step's end stays where it is
    }
    if (i == 0) PullStart(block, step);
  }
  if (want_times_) AddTimeDerivatives(remaining_, last_row, step);
}

// What was saved in (t_i, t_{i+1}], and at t0 with the first step. A value saved at an inner grid
// point is the state there; one at t0 or t1 is a value of the dense output, since these ends move
// and it does not.
void ReverseSweep::CollectSaved(Block& block, int64_t first_row, int64_t last_row,
                                const StepRecord& step, bool last) {
  block.in_step.clear();
  const int64_t stride = n_ * width_;
  for (int64_t row = last_row - 1; row >= first_row; --row) {
    const double* c = block.saved.data() + row * stride;
    if (AllZero(c, stride)) continue;
    const double t = cotangents_[0].times[row];
    if (t == step.t_next && !last) {
      AddToLambda(block, row);
    } else {
      block.in_step.push_back({SavedTheta(t, step), c});
    }
  }
}

void ReverseSweep::AddToLambda(Block& block, int64_t row) const {
  const int64_t stride = n_ * width_;
  const double* c = block.saved.data() + row * stride;
  for (int64_t i = 0; i < stride; ++i) block.lambda[i] += c[i];
}

// From all that is carried to y(t0) alone.
void ReverseSweep::PullStart(Block& block, const StepRecord& step) {
  if (carried_ == 1) return;
  replay_->StartVjp(step.t, step.y, params_.data(), width_ > 1, block.lambda.data(),
                    block.params.data(), block.t0.data());
}

void ReverseSweep::AddTimeDerivatives(int64_t first_row, int64_t last_row, const StepRecord& step) {
  for (int64_t row = first_row; row < last_row; ++row) {
    replay_->Slope(SavedTheta(cotangents_[0].times[row], step), slope_.data());
    for (Block& block : blocks_) {
      const double* c = block.saved.data() + row * n_ * width_;
      double* sum = block.times.data() + row * width_;
      for (int64_t e = 0; e < n_; ++e) {
        for (int l = 0; l < width_; ++l) sum[l] += c[e * width_ + l] * slope_[e];
      }
    }
  }
}

std::vector<AdjointResult> ReverseSweep::Take(AdjointStats* stats) && {
  for (Block& block : blocks_) {  // a recording without steps
    for (int64_t row = remaining_ - 1; row >= 0; --row) AddToLambda(block, row);
  }
  stats->replayed_steps += num_steps_;
  stats->rhs_evaluations += replay_->rhs_evaluations();
  stats->vjp_evaluations += replay_->vjp_evaluations();
  std::vector<AdjointResult> results(cotangents_.size());
  const auto column = [this](const std::vector<double>& lanes, int l, int vectors = 1) {
    std::vector<double> values(lanes.size() / (vectors * width_));
    for (size_t i = 0; i < values.size(); ++i) values[i] = lanes[i * width_ + l];
    return values;
  };
  for (size_t v = 0; v < results.size(); ++v) {
    const Block& block = blocks_[v / width_];
    const int l = static_cast<int>(v % width_);
    results[v].initial_state = column(block.lambda, l, carried_);
    results[v].params = column(block.params, l);
    results[v].times = column(block.times, l);
    results[v].t0 = block.t0[l];
    results[v].t1 = block.t1[l];
  }
  return results;
}

}  // namespace costate

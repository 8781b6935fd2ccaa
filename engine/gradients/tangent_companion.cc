#include "engine/gradients/tangent_companion.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/kernel.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct LaneArrays {
  const double *state, *next, *weight, *error;  // [n][W]
};

// sum[w] += (error / weight)^2 over the elements of lane w; no error is no ratio, whatever the
// weight.
template <int W>
void AddSquaredRatios(const LaneArrays& arrays, int64_t n, double rtol, double* sum) {
  for (int64_t at = 0; at < n * W; at += W) {
    for (int w = 0; w < W; ++w) {
      const double size = std::max(std::fabs(arrays.state[at + w]), std::fabs(arrays.next[at + w]));
      const double error = arrays.error[at + w];
      const double ratio = error / (arrays.weight[at + w] + rtol * size);
      sum[w] += error == 0 ? 0.0 : ratio * ratio;
    }
  }
}

// sum[w] = sum of squares over the elements of lane w.
template <int W>
void SquaredNorms(const double* arrays, int64_t n, double* sum) {
  for (int64_t at = 0; at < n * W; at += W) {
    for (int w = 0; w < W; ++w) sum[w] += arrays[at + w] * arrays[at + w];
  }
}

}  // namespace

TangentCompanion::TangentCompanion(const Problem& problem, const SolveOptions& options,
                                   const TangentSeeds& seeds, TangentControl control,
                                   const Cancellation* cancellation)
    : problem_(problem),
      options_(options),
      n_(problem.field->num_states()),
      columns_(seeds.num_columns),
      carried_(CarriedSize(options.scheme(), n_)),
      fsal_(GetMethodInfo(options.scheme()).fsal),
      has_error_(options.control.kind == StepControl::Kind::kAdaptive &&
                 GetMethodInfo(options.scheme()).error_order > 0),
      judges_(has_error_ && control == TangentControl::kFull),
      wants_slopes_(seeds.want_slopes),
      scale_(seeds.scale),
      watch_(cancellation, options.wall_budget) {}

absl::StatusOr<std::unique_ptr<TangentCompanion>> TangentCompanion::Create(
    const Problem& problem, const SolveOptions& options, const TangentSeeds& seeds,
    TangentControl control, const Cancellation* cancellation) {
  std::unique_ptr<TangentCompanion> companion(
      new TangentCompanion(problem, options, seeds, control, cancellation));
  RETURN_IF_ERROR(companion->Init(seeds));
  return companion;
}

absl::Status TangentCompanion::Init(const TangentSeeds& seeds) {
  const SaveAt& save = options_.save;
  const bool at_times = save.kind == SaveAt::Kind::kTimes;
  RETURN_IF_ERROR(CheckRoom(at_times ? static_cast<int64_t>(save.times.size()) : 1));
  // Slopes are those of a block's replay, even if it has no columns.
  const int64_t columns = std::max<int64_t>(columns_, wants_slopes_ ? 1 : 0);
  for (int64_t column = 0; column < columns; column += lanes_) {
    RETURN_IF_ERROR(MakeBlock(seeds, column));
  }
  interpolated_.resize(n_ * lanes_);
  if (at_times) tangents_.reserve(save.times.size() * n_ * columns_);
  return SaveStart(seeds);
}

absl::Status TangentCompanion::MakeBlock(const TangentSeeds& seeds, int64_t first_column) {
  Block block;
  ASSIGN_OR_RETURN(block.replay,
                   MakeStepReplay(options_.scheme(), *problem_.field, {.cotangents = false}));
  lanes_ = block.replay->block();
  const int64_t m = problem_.field->num_params();
  block.first_column = first_column;
  block.columns = std::min<int64_t>(lanes_, columns_ - first_column);
  block.t0.resize(lanes_);
  block.t1.resize(lanes_);
  block.params.resize(m * lanes_);
  block.state.resize(carried_ * lanes_);
  block.next.resize(carried_ * lanes_);
  block.weight.resize(n_ * lanes_, 1.0);
  if (has_error_) block.error.resize(n_ * lanes_);
  if (fsal_) block.slope.resize(n_ * lanes_);
  if (fsal_) block.next_slope.resize(n_ * lanes_);
  block.d_t.resize(lanes_);
  block.d_h.resize(lanes_);
  const std::vector<double>& atol = options_.control.atol;
  for (int64_t w = 0; w < block.columns; ++w) {
    const int64_t q = first_column + w;
    if (!seeds.t0.empty()) block.t0[w] = seeds.t0[q];
    if (!seeds.t1.empty()) block.t1[w] = seeds.t1[q];
    for (int64_t j = 0; j < m && !seeds.params.empty(); ++j) {
      block.params[j * lanes_ + w] = seeds.params[j * columns_ + q];
    }
    for (int64_t i = 0; i < n_; ++i) {
      block.state[i * lanes_ + w] = seeds.initial[i * columns_ + q];
      block.weight[i * lanes_ + w] = atol[atol.size() == 1 ? 0 : i] / seeds.scale[q];
    }
  }
  blocks_.push_back(std::move(block));
  return absl::OkStatus();
}

// Values at t0 are saved before any step. With moving t0 and a fixed save time they change by
// -f(t0, y0) on top of the initial state's own tangent.
absl::Status TangentCompanion::SaveStart(const TangentSeeds& seeds) {
  const SaveAt& save = options_.save;
  const double t0 = problem_.t0[0];
  int64_t rows = 0;
  if (save.kind == SaveAt::Kind::kSteps) rows = 1;
  if (save.kind == SaveAt::Kind::kTimes) {
    while (rows < static_cast<int64_t>(save.times.size()) && save.times[rows] == t0) ++rows;
  }
  if (rows == 0) return absl::OkStatus();
  std::vector<double> start(seeds.initial);
  if (save.kind == SaveAt::Kind::kTimes && !seeds.t0.empty()) {
    ASSIGN_OR_RETURN(const Kernel rhs, problem_.field->Get(MapKernel::kValue, 1));
    std::vector<double> scratch(rhs.scratch_size());
    std::vector<double> slope(n_);
    const double* inputs[] = {&t0, problem_.y0.data(), problem_.params.data()};
    double* outputs[] = {slope.data()};
    rhs(inputs, outputs, scratch.data());
    for (int64_t i = 0; i < n_; ++i) {
      for (int64_t q = 0; q < columns_; ++q) {
        if (seeds.t0[q] != 0) start[i * columns_ + q] -= slope[i] * seeds.t0[q];
      }
    }
  }
  for (int64_t r = 0; r < rows; ++r) tangents_.insert(tangents_.end(), start.begin(), start.end());
  rows_ = rows;
  return absl::OkStatus();
}

absl::Status TangentCompanion::CheckRoom(int64_t rows) const {
  const MethodInfo& info = GetMethodInfo(options_.scheme());
  // A column's vectors in a block, and the derivatives and state of the stages in its replay.
  const int64_t vectors =
      3 + (has_error_ ? 1 : 0) + (fsal_ ? 2 : 0) + info.stages + info.extra_stages + 1;
  const double own = static_cast<double>(n_) * static_cast<double>(vectors) +
                     static_cast<double>(problem_.field->num_params());
  const double saved = static_cast<double>(rows) * static_cast<double>(n_);
  const double bytes = 8.0 * static_cast<double>(columns_) * (own + saved);
  if (bytes <= static_cast<double>(limits::kMaxSavedBytes)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("tangents of ", columns_, " columns at ", rows, " saved times need ", bytes,
                   " bytes, over the limit of ", limits::kMaxSavedBytes,
                   "; save fewer times, ask for fewer columns, or use reverse mode"));
}

bool TangentCompanion::IsFirst(const StepRecord& step) const { return step.t == problem_.t0[0]; }

bool TangentCompanion::IsLast(const StepRecord& step) const {
  return step.t_next == problem_.t1[0];
}

bool TangentCompanion::Stopped() {
  if (!stopped_.has_value()) stopped_ = watch_.Poll();
  return stopped_.has_value();
}

double TangentCompanion::Try(const StepRecord& step) {
  const bool first = IsFirst(step);
  const bool last = IsLast(step);
  if (first && !started_) Start(step);
  double largest = 0;
  for (Block& block : blocks_) {
    // The driver looks before every step.
    if (&block != &blocks_.front() && Stopped()) return std::numeric_limits<double>::infinity();
    for (int w = 0; w < lanes_; ++w) {
      block.d_t[w] = first ? block.t0[w] : 0.0;
      block.d_h[w] = (first ? -block.t0[w] : 0.0) + (last ? block.t1[w] : 0.0);
    }
    block.replay->Jvp(
        step, problem_.params.data(), block.d_t.data(), block.d_h.data(), block.state.data(),
        block.params.data(), block.next.data(), has_error_ ? block.error.data() : nullptr,
        slope_known_ ? block.slope.data() : nullptr, fsal_ ? block.next_slope.data() : nullptr);
    if (has_error_) largest = std::max(largest, ErrorRatio(block));
  }
  return largest;
}

// What is carried beside y starts from y(t0).
void TangentCompanion::Start(const StepRecord& step) {
  for (Block& block : blocks_) {
    block.replay->StartJvp(step.t, step.y, problem_.params.data(), block.t0.data(),
                           block.params.data(), block.state.data());
  }
  started_ = true;
}

double TangentCompanion::ErrorRatio(const Block& block) const {
  double square_sum[kMaxLanes] = {};
  const double rtol = options_.control.rtol;
  const LaneArrays arrays = {block.state.data(), block.next.data(), block.weight.data(),
                             block.error.data()};
  if (lanes_ == 8) AddSquaredRatios<8>(arrays, n_, rtol, square_sum);
  if (lanes_ == 4) AddSquaredRatios<4>(arrays, n_, rtol, square_sum);
  if (lanes_ == 2) AddSquaredRatios<2>(arrays, n_, rtol, square_sum);
  if (lanes_ == 1) AddSquaredRatios<1>(arrays, n_, rtol, square_sum);
  double largest = 0;
  for (const double sum : square_sum) {
    if (!(sum <= std::numeric_limits<double>::max())) {
      return std::numeric_limits<double>::infinity();
    }
    largest = std::max(largest, sum);
  }
  return std::sqrt(largest / static_cast<double>(n_));
}

void TangentCompanion::MeasureAmplification(const StepRecord& step, const double* y_new) {
  double state = 0;
  for (int64_t i = 0; i < n_; ++i) state += y_new[i] * y_new[i];
  if (!(state > 0)) return;
  for (const Block& block : blocks_) {
    double sum[kMaxLanes] = {};
    if (lanes_ == 8) SquaredNorms<8>(block.next.data(), n_, sum);
    if (lanes_ == 4) SquaredNorms<4>(block.next.data(), n_, sum);
    if (lanes_ == 2) SquaredNorms<2>(block.next.data(), n_, sum);
    if (lanes_ == 1) SquaredNorms<1>(block.next.data(), n_, sum);
    for (int64_t w = 0; w < block.columns; ++w) {
      const double amplification = scale_[block.first_column + w] * std::sqrt(sum[w] / state);
      if (!(amplification > amplification_)) continue;
      amplification_ = amplification;
      amplification_time_ = step.t_next;
    }
  }
}

absl::Status TangentCompanion::Begin(double /*t0*/, const double* y0) {
  last_state_.assign(y0, y0 + n_);
  return absl::OkStatus();
}

double TangentCompanion::TrialError(const StepRecord& step, const double* /*y_new*/) {
  if (!judges_) return 0;
  tried_ratio_ = Try(step);
  return tried_ratio_;
}

absl::Status TangentCompanion::Accept(const StepRecord& step, const double* y_new,
                                      absl::Span<const double> saved_theta) {
  if (!judges_) tried_ratio_ = Try(step);
  if (stopped_.has_value()) return absl::OkStatus();  // so will the driver
  if (has_error_) ratios_.Add(tried_ratio_);
  MeasureAmplification(step, y_new);
  if (options_.save.kind == SaveAt::Kind::kSteps) {
    RETURN_IF_ERROR(CheckRoom(rows_ + static_cast<int64_t>(saved_theta.size())));
  }
  if (wants_slopes_ && slopes_.empty()) {
    for (int64_t row = 0; row < rows_; ++row) SaveSlope(0);
  }
  if (options_.save.kind != SaveAt::Kind::kEnd) {
    for (const double theta : saved_theta) {
      if (theta <= 0) continue;
      if (Stopped()) return absl::OkStatus();
      SaveRow(step, theta);
    }
  }
  for (Block& block : blocks_) {
    block.state.swap(block.next);
    block.slope.swap(block.next_slope);
  }
  slope_known_ = fsal_;
  std::copy(y_new, y_new + n_, last_state_.begin());
  return absl::OkStatus();
}

// At an inner grid point the saved value is the state itself. A fixed save time at t1 is a value
// of the last step's dense output, since t1 moves and it does not.
void TangentCompanion::SaveRow(const StepRecord& step, double theta) {
  const bool moves = options_.save.kind == SaveAt::Kind::kSteps;
  const bool is_state = theta == 1 && (moves || !IsLast(step));
  tangents_.resize((rows_ + 1) * n_ * columns_);
  double* row = tangents_.data() + rows_ * n_ * columns_;
  for (Block& block : blocks_) {
    if (!is_state) block.replay->JvpInterpolate(theta, interpolated_.data());
    CopyOut(block, is_state ? block.next : interpolated_, row);
  }
  if (wants_slopes_) SaveSlope(theta);
  ++rows_;
}

void TangentCompanion::SaveSlope(double theta) {
  slopes_.resize(slopes_.size() + n_);
  blocks_.front().replay->Slope(theta, slopes_.data() + slopes_.size() - n_);
}

void TangentCompanion::CopyOut(const Block& block, const std::vector<double>& lanes,
                               double* row) const {
  for (int64_t i = 0; i < n_; ++i) {
    for (int64_t w = 0; w < block.columns; ++w) {
      row[i * columns_ + block.first_column + w] = lanes[i * lanes_ + w];
    }
  }
}

TangentResult TangentCompanion::Take(Trajectory trajectory) && {
  TangentResult result;
  if (stopped_.has_value()) {  // even if the driver came to another end before it looked
    const Termination end = std::move(trajectory.termination);
    trajectory.termination = StopTermination(*stopped_, end.t, end.step);
  }
  const bool reached = trajectory.termination.reason == Termination::Reason::kReachedEnd;
  result.terminal_state.assign(n_, kNaN);
  result.terminal.assign(n_ * columns_, kNaN);
  if (reached) {
    result.terminal_state = std::move(last_state_);
    for (const Block& block : blocks_) CopyOut(block, block.state, result.terminal.data());
  }
  if (options_.save.kind == SaveAt::Kind::kEnd) tangents_ = result.terminal;
  tangents_.resize(trajectory.times.size() * n_ * columns_, kNaN);
  result.tangents = std::move(tangents_);
  if (wants_slopes_) slopes_.resize(trajectory.times.size() * n_, reached ? 0.0 : kNaN);
  result.slopes = std::move(slopes_);
  for (const Block& block : blocks_) {
    result.stats.jvp_evaluations += block.replay->jvp_evaluations();
  }
  result.stats.amplification = amplification_;
  result.stats.amplification_time = amplification_time_;
  result.stats.max_error_ratio = ratios_.max();
  result.stats.share_above_one = ratios_.share_above_one();
  result.stats.error_ratio_quantile90 = ratios_.Quantile90();
  result.trajectory = std::move(trajectory);
  return result;
}

}  // namespace costate

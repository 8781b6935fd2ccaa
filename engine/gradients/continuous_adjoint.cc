#include "engine/gradients/continuous_adjoint.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/gradients/recording_budget.h"
#include "engine/gradients/stop_check.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

absl::Status CheckSizes(absl::Span<const StateCotangents> cotangents, int64_t num_states) {
  const size_t n = static_cast<size_t>(num_states);
  bool fits = !cotangents.empty();
  for (const StateCotangents& c : cotangents) {
    fits = fits && c.times.size() == cotangents[0].times.size() &&
           c.saved.size() == c.times.size() * n && (c.terminal.empty() || c.terminal.size() == n);
  }
  return fits ? absl::OkStatus()
              : absl::InvalidArgumentError("cotangents do not fit the trajectory");
}

bool AllZero(absl::Span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double x) { return x == 0; });
}

// The power of two at or below the largest element; NaN where one is not finite, 1 where all are 0.
double Size(const StateCotangents& c) {
  double largest = 0;
  for (const absl::Span<const double> values : {c.saved, c.terminal}) {
    for (const double x : values) {
      if (!std::isfinite(x)) return kNaN;
      largest = std::max(largest, std::abs(x));
    }
  }
  return largest == 0 ? 1.0 : std::ldexp(1.0, std::ilogb(largest));
}

double Dot(absl::Span<const double> a, absl::Span<const double> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void Fill(AdjointResult* result, double value) {
  std::fill(result->initial_state.begin(), result->initial_state.end(), value);
  std::fill(result->params.begin(), result->params.end(), value);
  std::fill(result->times.begin(), result->times.end(), value);
  result->t0 = result->t1 = value;
}

}  // namespace

absl::StatusOr<Trajectory> ContinuousAdjoint::Solve() {
  IntegrateHooks hooks;
  hooks.cancellation = input_.stop->cancellation;
  hooks.companions = input_.companions;
  hooks.companions.push_back(companion());
  ASSIGN_OR_RETURN(std::vector<Trajectory> trajectories,
                   Integrate(input_.problem, input_.options, hooks));
  RETURN_IF_ERROR(Keep(trajectories[0]));
  return std::move(trajectories[0]);
}

absl::StatusOr<std::vector<AdjointResult>> ContinuousAdjoint::PullBack(
    absl::Span<const StateCotangents> cotangents) {
  RETURN_IF_ERROR(CheckSizes(cotangents, n()));
  StopCheck stop(input_.stop);
  RETURN_IF_ERROR(stop.Poll());
  slope_.resize(n());
  std::vector<AdjointResult> results(cotangents.size());
  for (size_t v = 0; v < results.size(); ++v) {
    AdjointResult& result = results[v];
    result.initial_state.resize(n());
    result.params.resize(m());
    if (input_.want_times) result.times.resize(cotangents[v].times.size());
    const double size = Size(cotangents[v]);
    if (std::isnan(size)) {
      Fill(&result, kNaN);
      continue;
    }
    Begin(size * backward_.atol());
    RETURN_IF_ERROR(Walk(cotangents[v], &result));
  }
  return results;
}

// lambda lives in result->initial_state, mu in result->params.
absl::Status ContinuousAdjoint::Walk(const StateCotangents& cotangent, AdjointResult* result) {
  const double t0 = input_.problem.t0[0], t1 = input_.problem.t1[0];
  std::vector<double>& lambda = result->initial_state;
  if (!cotangent.terminal.empty()) {
    lambda.assign(cotangent.terminal.begin(), cotangent.terminal.end());
    kernels_.Value(t1, terminal_state().data(), slope_.data());
    result->t1 = Dot(cotangent.terminal, slope_);
  }
  double t = t1;
  for (size_t k = cotangent.times.size(); k-- > 0;) {
    const absl::Span<const double> c = cotangent.saved.subspan(k * n(), n());
    const bool jumps = !AllZero(c);
    if (!jumps && !StopsAt(cotangent.times[k])) continue;
    RETURN_IF_ERROR(Advance(t, cotangent.times[k], result));
    t = cotangent.times[k];
    if (!jumps) continue;
    for (int64_t i = 0; i < n(); ++i) lambda[i] += c[i];
    if (!input_.want_times) continue;
    kernels_.Value(t, State(t), slope_.data());
    result->times[k] = Dot(c, slope_);
  }
  RETURN_IF_ERROR(Advance(t, t0, result));
  kernels_.Value(t0, input_.problem.y0.data(), slope_.data());
  result->t0 = -Dot(lambda, slope_);
  return absl::OkStatus();
}

absl::Status ContinuousAdjoint::Advance(double from, double to, AdjointResult* result) {
  if (from == to) return absl::OkStatus();
  if (Knows(to) && AllZero(result->initial_state) && AllZero(result->params)) {
    Skip(to);
    return absl::OkStatus();
  }
  return Carry(from, to, result->initial_state.data(), result->params.data());
}

AdjointStats ContinuousAdjoint::stats() const {
  AdjointStats stats;
  stats.rhs_evaluations = kernels_.rhs_evaluations();
  stats.vjp_evaluations = kernels_.vjp_evaluations();
  backward_.AddStats(&stats);
  AddStats(&stats);
  return stats;
}

DenseAdjoint::DenseAdjoint(const AdjointInput& input, ModelKernels kernels, BackwardSolve backward,
                           std::unique_ptr<DenseStates> states, AdjointField::Parts parts)
    : ContinuousAdjoint(input, std::move(kernels), std::move(backward)),
      states_(std::move(states)),
      field_(parts, *input.problem.field, &kernels_, states_.get()),
      state_(n()) {}

const double* DenseAdjoint::State(double t) {
  states_->Evaluate(t, state_.data());
  return state_.data();
}

void DenseAdjoint::AddStats(AdjointStats* stats) const {
  stats->recomputed_steps += states_->recomputed_steps();
  stats->rhs_evaluations += states_->rhs_evaluations();
  stats->peak_stored_bytes = std::max(stats->peak_stored_bytes, states_->bytes());
}

int64_t MemoryBudget(const AdjointInput& input) { return RecordingBudget(input.adjoint); }

absl::StatusOr<std::unique_ptr<DenseStates>> MakeForwardStates(const AdjointInput& input,
                                                               int64_t max_bytes) {
  return DenseStates::Create(input.options.method, *input.problem.field, input.problem.params,
                             {.every = input.adjoint.checkpoint_every, .max_bytes = max_bytes});
}

}  // namespace costate

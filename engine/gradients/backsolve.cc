// The continuous adjoint of Chen et al. 2018 (arXiv 1806.07366): the state is solved backwards
// along with its adjoint, and started again from the stored one at each save time. Nothing between
// save times is kept, and how far the state got from the stored one is measured at each of them.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/gradients/continuous_adjoint.h"

namespace costate {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The state after the step accepted last.
class EndState : public StepCompanion {
 public:
  explicit EndState(int64_t num_states) : n_(num_states) {}
  absl::Status Begin(double /*t0*/, const double* y0) override {
    state_.assign(y0, y0 + n_);
    return absl::OkStatus();
  }
  double TrialError(const StepRecord& /*step*/, const double* /*y_new*/) override { return 0; }
  absl::Status Accept(const StepRecord& /*step*/, const double* y_new,
                      absl::Span<const double> /*saved_theta*/) override {
    state_.assign(y_new, y_new + n_);
    return absl::OkStatus();
  }
  const std::vector<double>& state() const { return state_; }

 private:
  const int64_t n_;
  std::vector<double> state_;
};

absl::Status WithAdvice(const absl::Status& failure) {
  absl::Status status(
      failure.code(),
      absl::StrCat(failure.message(),
                   "; a state that contracts forwards grows backwards: use backprop, checkpointed "
                   "or gauss, which keep it, or save more often"));
  failure.ForEachPayload([&status](absl::string_view url, const absl::Cord& payload) {
    status.SetPayload(url, payload);
  });
  return status;
}

class Backsolve : public ContinuousAdjoint {
 public:
  Backsolve(const AdjointInput& input, ModelKernels kernels, BackwardSolve backward)
      : ContinuousAdjoint(input, std::move(kernels), std::move(backward)),
        field_(AdjointField::Parts::kStateLambdaMu, *input.problem.field, &kernels_, nullptr),
        end_(n()) {}

  absl::Span<const double> terminal_state() const override { return end_.state(); }

 private:
  StepCompanion* companion() override { return &end_; }

  absl::Status Keep(const Trajectory& trajectory) override {
    const int64_t rows = static_cast<int64_t>(trajectory.states.size()) / std::max<int64_t>(n(), 1);
    bytes_ = static_cast<int64_t>(sizeof(double)) * (rows * (n() + 1) + n());
    const int64_t budget = MemoryBudget(input_);
    if (bytes_ > budget) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the states at ", rows, " save times take ", bytes_, " bytes of the ",
                       budget, " allowed; save fewer or raise the memory budget"));
    }
    times_.assign(trajectory.times.begin(), trajectory.times.begin() + rows);
    states_ = trajectory.states;
    return absl::OkStatus();
  }

  void Begin(double atol) override {
    row_ = static_cast<int64_t>(times_.size()) - 1;
    y_ = end_.state();
    std::vector<double> tolerances(2 * n() + m(), atol);
    for (int64_t i = 0; i < n(); ++i) {
      tolerances[i] = input_.adjoint.backward_atol.value_or(ForwardAtol(i));
    }
    if (input_.adjoint.seminorm) {
      std::fill(tolerances.begin() + 2 * n(), tolerances.end(), kInfinity);
    }
    backward_.Begin(std::move(tolerances));
  }

  // The stored state at t, or null. Fast when t moves from t1 to t0.
  const double* Stored(double t) const {
    if (t == input_.problem.t0[0]) return input_.problem.y0.data();
    const bool backwards = input_.problem.t1[0] < input_.problem.t0[0];
    while (row_ >= 0 && (backwards ? times_[row_] < t : times_[row_] > t)) --row_;
    return row_ >= 0 && times_[row_] == t ? states_.data() + row_ * n() : nullptr;
  }

  bool Knows(double t) const override { return Stored(t) != nullptr; }
  bool StopsAt(double t) const override { return Stored(t) != nullptr; }
  const double* State(double /*t*/) override { return y_.data(); }
  void Skip(double to) override {
    const double* stored = Stored(to);
    y_.assign(stored, stored + n());
  }

  absl::Status Carry(double from, double to, double* lambda, double* mu) override {
    system_ = y_;
    system_.insert(system_.end(), lambda, lambda + n());
    system_.insert(system_.end(), mu, mu + m());
    if (absl::Status status = backward_.Run(field_, from, to, &system_); !status.ok()) {
      if (!BackwardEnd(status).has_value()) return status;
      Measure(kInfinity);
      return WithAdvice(status);
    }
    y_.assign(system_.begin(), system_.begin() + n());
    std::copy_n(system_.data() + n(), n(), lambda);
    std::copy_n(system_.data() + 2 * n(), m(), mu);
    if (const double* stored = Stored(to)) {
      Measure(Distance(y_.data(), stored));
      y_.assign(stored, stored + n());
    }
    return absl::OkStatus();
  }

  double ForwardAtol(int64_t i) const {
    const std::vector<double>& atol = input_.options.control.atol;
    return atol.size() == 1 ? atol[0] : atol[i];
  }

  // rms over elements of difference / (atol + rtol |y|)
  double Distance(const double* y, const double* stored) const {
    double sum = 0;
    for (int64_t i = 0; i < n(); ++i) {
      const double weight = ForwardAtol(i) + input_.options.control.rtol * std::abs(stored[i]);
      const double ratio =
          (y[i] - stored[i]) / std::max(weight, std::numeric_limits<double>::min());
      sum += ratio * ratio;
    }
    return std::sqrt(sum / static_cast<double>(n()));
  }

  void Measure(double error) {
    if (!(error <= reconstruction_error_)) reconstruction_error_ = error;
  }

  void AddStats(AdjointStats* stats) const override {
    stats->peak_stored_bytes = std::max(stats->peak_stored_bytes, bytes_);
    stats->reconstruction_error = reconstruction_error_;
  }

  AdjointField field_;
  EndState end_;
  std::vector<double> times_;   // [K], saved
  std::vector<double> states_;  // [K, n]
  int64_t bytes_ = 0;
  mutable int64_t row_ = -1;  // of Stored
  std::vector<double> y_;     // where the walk is
  std::vector<double> system_;
  double reconstruction_error_ = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace

absl::StatusOr<std::unique_ptr<AdjointMethod>> MakeBacksolve(const AdjointInput& input) {
  ASSIGN_OR_RETURN(BackwardSolve backward, BackwardSolve::Create(input));
  ASSIGN_OR_RETURN(ModelKernels kernels,
                   ModelKernels::Create(*input.problem.field, input.problem.params));
  return std::make_unique<Backsolve>(input, std::move(kernels), std::move(backward));
}

}  // namespace costate

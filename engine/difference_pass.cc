#include "engine/difference_pass.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/gradients/random_signs.h"
#include "engine/pass_values.h"
#include "engine/tangent_pass.h"
#include "engine/time_differences.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr uint64_t kSeed = 0xd1ff;

// A number of the saved values and parameters of a solve.
using Functional =
    std::function<double(const SavedValues& values, absl::Span<const double> params)>;

double Dot(const std::vector<double>& weights, absl::Span<const double> values) {
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] != 0) sum += weights[i] * values[i];
  }
  return sum;
}

Functional LinearIn(const Cotangents& c) {
  return [&c](const SavedValues& values, absl::Span<const double> params) {
    return Dot(c.states, values.states) + Dot(c.outputs, values.outputs) +
           Dot(c.terminal_state, values.terminal_state) +
           Dot(c.terminal_output, values.terminal_output) + Dot(c.params, params);
  };
}

class FiniteDifferencePass : public GradientPass {
 public:
  explicit FiniteDifferencePass(const PassInput& input)
      : input_(input), columns_(NumColumns(*input.wrt)), sizes_(ColumnSizes(input)) {}

  absl::Status Solve() override {
    SolveOptions options = *input_.options;
    options.return_grid = true;
    ShiftedSolve solve(input_, options);
    ASSIGN_OR_RETURN(primal_, solve.At({}, input_.companions));
    if (input_.difference->frozen_grid) options = OnGrid(std::move(options), primal_.grid);
    if (input_.want_times) grid_ = primal_.grid;
    if (!input_.options->return_grid) primal_.grid.clear();
    options.return_grid = false;
    moved_.emplace(input_, std::move(options));
    return absl::OkStatus();
  }

  absl::Status PullBack(absl::Span<const Cotangents> cotangents,
                        PassGradients* gradients) override {
    gradients->values.clear();
    for (const Cotangents& c : cotangents) {
      ASSIGN_OR_RETURN(const std::vector<double> values, Gradient(LinearIn(c)));
      gradients->values.insert(gradients->values.end(), values.begin(), values.end());
    }
    return TimeGradients(cotangents, gradients);
  }

  absl::Status Differentiate(const Loss& loss, const LossValue& value,
                             PassGradients* gradients) override {
    const Functional f = [&loss](const SavedValues& values, absl::Span<const double> params) {
      return EvaluateLoss(loss, values, params).value;
    };
    ASSIGN_OR_RETURN(gradients->values, Gradient(f));
    return TimeGradients(absl::MakeConstSpan(&value.cotangents, 1), gradients);
  }

 private:
  absl::StatusOr<double> At(const Functional& f, absl::Span<const double> shift) {
    ASSIGN_OR_RETURN(const PassPrimal primal, moved_->At(shift));
    if (primal.reached()) return f(primal.values, ShiftParams(input_, shift));
    const Termination::Reason reason = primal.termination.reason;
    if (reason == Termination::Reason::kWallBudget) {
      return absl::DeadlineExceededError("the wall budget was spent among the differences");
    }
    const Cancellation* cancellation = input_.stop->cancellation;
    if (cancellation != nullptr && cancellation->cancelled()) {
      return absl::CancelledError("cancelled among the differences");
    }
    return kNaN;
  }

  absl::StatusOr<std::vector<double>> Gradient(const Functional& f) {
    std::vector<double> gradient(columns_, kNaN);
    if (!primal_.reached()) return gradient;
    const absl::Status status = Fill(f, &gradient);
    primal_.stats.adjoint.rhs_evaluations = moved_->rhs_evaluations();
    if (!status.ok()) {
      RETURN_IF_ERROR(EndEarly(input_, status, &primal_));
      gradient.assign(columns_, kNaN);
    }
    return gradient;
  }

  absl::Status Fill(const Functional& f, std::vector<double>* gradient) {
    std::vector<double> shift(columns_);
    double noise = 0;
    if (!input_.difference->step.has_value()) {
      ASSIGN_OR_RETURN(noise, Noise(f));
    }
    for (int64_t q = 0; q < columns_; ++q) {
      const auto line = [&](double x) -> absl::StatusOr<double> {
        shift[q] = x * sizes_[q];
        absl::StatusOr<double> value = At(f, shift);
        shift[q] = 0;
        return value;
      };
      ASSIGN_OR_RETURN(const double derivative, Column(line, noise, FreeSide(input_, q)));
      (*gradient)[q] = derivative / sizes_[q];
    }
    return absl::OkStatus();
  }

  // Of the saved values; how the loss depends on them is in its cotangents.
  absl::Status TimeGradients(absl::Span<const Cotangents> cotangents, PassGradients* gradients) {
    const size_t rows = input_.want_times ? primal_.values.times.size() : 0;
    gradients->times.assign(cotangents.size() * rows, kNaN);
    if (rows == 0 || !primal_.reached()) return absl::OkStatus();
    const absl::StatusOr<TimeSlopes> slopes =
        DifferenceTimes(input_, primal_.values, grid_, input_.difference->step,
                        &primal_.stats.adjoint.rhs_evaluations);
    if (!slopes.ok()) {
      std::fill(gradients->values.begin(), gradients->values.end(), kNaN);
      return EndEarly(input_, slopes.status(), &primal_);
    }
    for (size_t v = 0; v < cotangents.size(); ++v) {
      ApplyTimeSlopes(*slopes, cotangents[v],
                      absl::MakeSpan(gradients->times).subspan(v * rows, rows));
    }
    return absl::OkStatus();
  }

  // A column at the edge of the model's domain has values on one side only.
  absl::StatusOr<double> Column(LineFunction line, double noise, int free_side) {
    for (const int side : {free_side, 1, -1}) {
      if (free_side != 0 && side != free_side) continue;
      double value = kNaN;
      if (input_.difference->step.has_value()) {
        ASSIGN_OR_RETURN(value, DifferenceAt(line, *input_.difference->step, side));
      } else {
        ASSIGN_OR_RETURN(const LineDerivative found,
                         DifferentiateLine(line, noise, kLargestRelativeStep, side));
        value = found.value;
      }
      if (std::isfinite(value)) return value;
    }
    return kNaN;
  }

  // Along random signs of all columns that may move both ways; where no column may, rounding.
  absl::StatusOr<double> Noise(const Functional& f) {
    RandomBits bits(kSeed);
    std::vector<double> direction(columns_);
    for (int64_t q = 0; q < columns_; ++q) {
      const double sign = bits.Sign();
      if (FreeSide(input_, q) == 0) direction[q] = sign * sizes_[q];
    }
    std::vector<double> shift(columns_);
    return MeasureNoise(
        [&](double x) {
          for (int64_t q = 0; q < columns_; ++q) shift[q] = x * direction[q];
          return At(f, shift);
        },
        kNoiseSpacing);
  }

  const PassInput input_;
  const int64_t columns_;
  const std::vector<double> sizes_;
  std::optional<ShiftedSolve> moved_;
  std::vector<double> grid_;  // with want_times
};

}  // namespace

SolveOptions OnGrid(SolveOptions options, std::vector<double> grid) {
  options.control.kind = StepControl::Kind::kGrid;
  options.control.grid = std::move(grid);
  return options;
}

absl::StatusOr<DirectionalEstimate> DifferentiateAlong(const Loss& loss, ShiftedSolve* solve,
                                                       absl::Span<const double> direction) {
  std::vector<double> shift(direction.size());
  const auto line = [&](double x) -> absl::StatusOr<double> {
    for (size_t q = 0; q < shift.size(); ++q) shift[q] = x * direction[q];
    return solve->LossAt(loss, shift);
  };
  DirectionalEstimate estimate;
  ASSIGN_OR_RETURN(estimate.noise, MeasureNoise(line, kNoiseSpacing));
  ASSIGN_OR_RETURN(estimate.line, DifferentiateLine(line, estimate.noise, kLargestRelativeStep));
  return estimate;
}

std::unique_ptr<GradientPass> MakeFiniteDifferencePass(const PassInput& input) {
  return std::make_unique<FiniteDifferencePass>(input);
}

}  // namespace costate

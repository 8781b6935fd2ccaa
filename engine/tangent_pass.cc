#include "engine/tangent_pass.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/map_rows.h"
#include "engine/pass_values.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

class ForwardPass : public GradientPass {
 public:
  explicit ForwardPass(const PassInput& input) : input_(input), columns_(NumColumns(*input.wrt)) {}

  absl::Status Solve() override {
    RETURN_IF_ERROR(CheckTangentRoom(input_, columns_));
    ASSIGN_OR_RETURN(TangentPass pass,
                     SolveInDirections(input_, columns_, UnitDirections(columns_)));
    primal_ = std::move(pass.primal);
    states_ = std::move(pass.states);
    terminal_ = std::move(pass.terminal);
    slopes_ = std::move(pass.slopes);
    return absl::OkStatus();
  }

  absl::Status PullBack(absl::Span<const Cotangents> cotangents,
                        PassGradients* gradients) override {
    const size_t rows = input_.want_times ? primal_.values.times.size() : 0;
    gradients->values.assign(cotangents.size() * columns_, kNaN);
    gradients->times.assign(cotangents.size() * rows, kNaN);
    if (!primal_.reached()) return absl::OkStatus();
    for (size_t v = 0; v < cotangents.size(); ++v) {
      const absl::StatusOr<StateLoss> loss = PullBackOutputs(input_, primal_.values, cotangents[v]);
      if (!loss.ok()) return EndEarly(input_, loss.status(), &primal_);
      Apply(*loss, absl::MakeSpan(gradients->values).subspan(v * columns_, columns_));
      ApplyToTimes(*loss, absl::MakeSpan(gradients->times).subspan(v * rows, rows));
    }
    return absl::OkStatus();
  }

  int64_t stored_bytes() const override {
    return static_cast<int64_t>((states_.capacity() + terminal_.capacity() + slopes_.capacity()) *
                                sizeof(double));
  }

 private:
  void Apply(const StateLoss& loss, absl::Span<double> gradient) const {
    std::fill(gradient.begin(), gradient.end(), 0.0);
    Contract(loss.saved, states_, gradient);
    Contract(loss.terminal, terminal_, gradient);
    ForEachEntry(*input_.wrt, [&](const WrtEntry& entry, int64_t column) {
      if (entry.kind == WrtEntry::Kind::kT1) gradient[column] += loss.t1;
      if (entry.kind != WrtEntry::Kind::kParam) return;
      for (int64_t j = 0; j < entry.size; ++j) {
        gradient[column + j] += loss.params[entry.offset + j];
      }
    });
  }

  // A saved value moves with its time as its dense output does.
  void ApplyToTimes(const StateLoss& loss, absl::Span<double> times) const {
    const size_t n = times.empty() ? 0 : loss.saved.size() / times.size();
    for (size_t k = 0; k < times.size(); ++k) {
      double sum = 0;
      for (size_t i = k * n; i < (k + 1) * n; ++i) sum += loss.saved[i] * slopes_[i];
      times[k] = sum + (loss.times.empty() ? 0.0 : loss.times[k]);
    }
  }

  // gradient += cotangent^T tangents, [rows] and [rows, q].
  void Contract(const std::vector<double>& cotangent, const std::vector<double>& tangents,
                absl::Span<double> gradient) const {
    for (size_t row = 0; row < cotangent.size(); ++row) {
      if (cotangent[row] == 0) continue;
      const double* tangent = tangents.data() + row * columns_;
      for (int64_t q = 0; q < columns_; ++q) gradient[q] += cotangent[row] * tangent[q];
    }
  }

  const PassInput input_;
  const int64_t columns_;
  std::vector<double> states_;    // [K, n, q]
  std::vector<double> terminal_;  // [n, q]
  std::vector<double> slopes_;    // [K, n], with want_times
};

// The scale of a direction d is that at which its largest relative change is one.
std::vector<double> DirectionScales(const PassInput& input, int64_t num_directions,
                                    absl::Span<const double> directions) {
  const std::vector<double> sizes = ColumnSizes(input);
  const int64_t columns = static_cast<int64_t>(sizes.size());
  std::vector<double> scales(num_directions, 1.0);
  for (int64_t v = 0; v < num_directions; ++v) {
    double largest = 0;
    for (int64_t q = 0; q < columns; ++q) {
      largest = std::max(largest, std::fabs(directions[v * columns + q]) / sizes[q]);
    }
    if (largest > 0) scales[v] = 1 / largest;
  }
  return scales;
}

// rows[offset + j][v] += direction v's component along element j of each entry of `kind`.
void Scatter(const PassInput& input, WrtEntry::Kind kind, int64_t num_directions,
             absl::Span<const double> directions, std::vector<double>* rows) {
  const int64_t columns = NumColumns(*input.wrt);
  ForEachEntry(*input.wrt, [&](const WrtEntry& entry, int64_t column) {
    if (entry.kind != kind) return;
    for (int64_t j = 0; j < entry.size; ++j) {
      double* row = rows->data() + (entry.offset + j) * num_directions;
      for (int64_t v = 0; v < num_directions; ++v) {
        row[v] += directions[v * columns + column + j];
      }
    }
  });
}

}  // namespace

std::unique_ptr<GradientPass> MakeForwardPass(const PassInput& input) {
  return std::make_unique<ForwardPass>(input);
}

absl::Status CheckTangentRoom(const PassInput& input, int64_t num_directions) {
  const VectorField& field = input.bound->model->rhs();
  const double rows = static_cast<double>(field.num_params()) +
                      static_cast<double>(field.num_states()) +
                      static_cast<double>(NumColumns(*input.wrt));
  if (8 * rows * num_directions <= static_cast<double>(limits::kMaxSavedBytes)) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("forward tangents in ", num_directions, " directions of ", rows,
                   " states, parameters and columns pass the limit of ", limits::kMaxSavedBytes,
                   " bytes; use backprop, or fewer columns"));
}

std::vector<double> ColumnSizes(const PassInput& input) {
  const Problem problem = input.bound->one(input.trajectory);
  const double span = std::fabs(problem.t1[0] - problem.t0[0]);
  std::vector<double> sizes;
  for (const WrtEntry& entry : *input.wrt) {
    for (int64_t j = 0; j < entry.size; ++j) {
      double size = span;
      if (entry.kind == WrtEntry::Kind::kParam) size = std::fabs(problem.params[entry.offset + j]);
      if (entry.kind == WrtEntry::Kind::kInitialState) {
        size = std::fabs(problem.y0[entry.offset + j]);
      }
      sizes.push_back(size == 0 ? 1.0 : size);
    }
  }
  return sizes;
}

absl::StatusOr<TangentSeeds> MakeSeeds(const PassInput& input, int64_t num_directions,
                                       absl::Span<const double> directions) {
  const Problem problem = input.bound->one(input.trajectory);
  const int64_t n = problem.field->num_states();
  TangentSeeds seeds;
  seeds.num_columns = num_directions;
  seeds.params = ParamTangents(input, num_directions, directions);
  seeds.t0 = TimeTangents(input, WrtEntry::Kind::kT0, num_directions, directions);
  seeds.t1 = TimeTangents(input, WrtEntry::Kind::kT1, num_directions, directions);
  seeds.scale = DirectionScales(input, num_directions, directions);
  seeds.initial.resize(n * num_directions);
  const MapPoints start = {.rows = 1, .t = problem.t0.data(), .p = problem.params.data()};
  RETURN_IF_ERROR(PushRows(input.bound->model->init(), start, num_directions,
                           seeds.t0.empty() ? nullptr : seeds.t0.data(), nullptr,
                           seeds.params.data(), seeds.initial.data()));
  for (int64_t i = 0; i < n; ++i) {
    if (!input.bound->given[i]) continue;
    std::fill_n(seeds.initial.begin() + i * num_directions, num_directions, 0.0);
  }
  Scatter(input, WrtEntry::Kind::kInitialState, num_directions, directions, &seeds.initial);
  return seeds;
}

std::vector<double> UnitDirections(int64_t columns) {
  std::vector<double> directions(columns * columns);
  for (int64_t q = 0; q < columns; ++q) directions[q * columns + q] = 1;
  return directions;
}

std::vector<double> ParamTangents(const PassInput& input, int64_t num_directions,
                                  absl::Span<const double> directions) {
  std::vector<double> tangents(input.bound->model->rhs().num_params() * num_directions);
  Scatter(input, WrtEntry::Kind::kParam, num_directions, directions, &tangents);
  return tangents;
}

std::vector<double> TimeTangents(const PassInput& input, WrtEntry::Kind kind,
                                 int64_t num_directions, absl::Span<const double> directions) {
  const int64_t columns = NumColumns(*input.wrt);
  std::vector<double> tangents;
  ForEachEntry(*input.wrt, [&](const WrtEntry& entry, int64_t column) {
    if (entry.kind != kind) return;
    tangents.resize(num_directions);
    for (int64_t v = 0; v < num_directions; ++v) tangents[v] = directions[v * columns + column];
  });
  return tangents;
}

absl::StatusOr<TangentPass> SolveInDirections(const PassInput& input, int64_t num_directions,
                                              absl::Span<const double> directions) {
  RETURN_IF_ERROR(CheckTangentRoom(input, num_directions));
  ASSIGN_OR_RETURN(TangentSeeds seeds, MakeSeeds(input, num_directions, directions));
  seeds.want_slopes = input.want_times;
  const SolveOptions options = WithBudget(input);
  IntegrateHooks hooks;
  hooks.cancellation = input.stop->cancellation;
  hooks.companions = input.companions;
  ASSIGN_OR_RETURN(TangentResult result, SolveWithTangents(input.bound->one(input.trajectory),
                                                           options, seeds, input.control, hooks));
  TangentPass pass;
  pass.primal.stats.tangents = result.stats;
  const bool reached = result.trajectory.termination.reason == Termination::Reason::kReachedEnd;
  absl::Span<const double> terminal;
  if (reached) terminal = result.terminal_state;
  RETURN_IF_ERROR(FillPrimal(input, std::move(result.trajectory), terminal, &pass.primal));
  pass.states = std::move(result.tangents);
  pass.terminal = std::move(result.terminal);
  pass.slopes = std::move(result.slopes);
  return pass;
}

}  // namespace costate

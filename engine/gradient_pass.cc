#include "engine/gradient_pass.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/map_rows.h"
#include "engine/solve.h"
#include "engine/solvers/integrate.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Options of the solve itself: what is left of the wall budget.
SolveOptions WithBudget(const PassInput& input) {
  SolveOptions options = *input.options;
  if (input.deadline != absl::InfiniteFuture()) {
    options.wall_budget = std::max(input.deadline - absl::Now(), absl::Nanoseconds(1));
  }
  return options;
}

// Saved values of a trajectory, outputs included. `terminal_state` is empty if it ended early.
absl::Status FillPrimal(const PassInput& input, Trajectory trajectory,
                        absl::Span<const double> terminal_state, PassPrimal* primal) {
  const Model& model = *input.bound->model;
  const Problem problem = input.bound->one(input.trajectory);
  RETURN_IF_ERROR(CheckTrajectory(trajectory, model.rhs().num_states()));
  SavedValues& values = primal->values;
  RETURN_IF_ERROR(
      EvaluateOutputs(model, trajectory, problem.params, input.cancellation, &values.outputs));
  values.times = std::move(trajectory.times);
  values.states = std::move(trajectory.states);
  values.terminal_state.assign(model.rhs().num_states(), kNaN);
  values.terminal_output.assign(model.outputs().num_values(), kNaN);
  if (!terminal_state.empty()) {
    values.terminal_state.assign(terminal_state.begin(), terminal_state.end());
    const MapPoints end = {.rows = 1,
                           .t = problem.t1.data(),
                           .y = values.terminal_state.data(),
                           .p = problem.params.data()};
    RETURN_IF_ERROR(EvaluateRows(model.outputs(), end, values.terminal_output.data()));
  }
  primal->termination = std::move(trajectory.termination);
  primal->stats.solve = trajectory.stats;
  primal->grid = std::move(trajectory.grid);
  return absl::OkStatus();
}

// Cotangents of states alone: those of outputs pulled back through the output map.
struct StateLoss {
  std::vector<double> saved;     // [K, n]
  std::vector<double> terminal;  // [n]
  std::vector<double> params;    // [m], through the output map
  double t1 = 0;                 // through the output map at t1
};

absl::StatusOr<StateLoss> PullBackOutputs(const PassInput& input, const SavedValues& values,
                                          const Cotangents& cotangents) {
  const Model& model = *input.bound->model;
  const Problem problem = input.bound->one(input.trajectory);
  StateLoss loss;
  loss.saved = cotangents.states;
  loss.saved.resize(values.states.size());
  loss.terminal = cotangents.terminal_state;
  loss.terminal.resize(values.terminal_state.size());
  loss.params.resize(problem.params.size());
  if (!cotangents.outputs.empty()) {
    const MapPoints rows = {.rows = static_cast<int64_t>(values.times.size()),
                            .t = values.times.data(),
                            .y = values.states.data(),
                            .p = problem.params.data(),
                            .cancellation = input.cancellation};
    RETURN_IF_ERROR(TransposeRows(model.outputs(), rows, cotangents.outputs.data(), nullptr,
                                  loss.saved.data(), loss.params.data()));
  }
  if (!cotangents.terminal_output.empty()) {
    const MapPoints end = {.rows = 1,
                           .t = problem.t1.data(),
                           .y = values.terminal_state.data(),
                           .p = problem.params.data()};
    RETURN_IF_ERROR(TransposeRows(model.outputs(), end, cotangents.terminal_output.data(), &loss.t1,
                                  loss.terminal.data(), loss.params.data()));
  }
  return loss;
}

// Calls visit(entry, first column of the entry).
template <typename F>
void ForEachEntry(const std::vector<WrtEntry>& wrt, F visit) {
  int64_t column = 0;
  for (const WrtEntry& entry : wrt) {
    visit(entry, column);
    column += entry.size;
  }
}

// Cancellation and budget as the end of a trajectory; other errors stay.
absl::Status EndEarly(const PassInput& input, const absl::Status& status, PassPrimal* primal) {
  Termination& end = primal->termination;
  const Cancellation::Reason fired =
      input.cancellation == nullptr ? Cancellation::Reason::kNone : input.cancellation->reason();
  switch (fired) {
    case Cancellation::Reason::kClientCancelled:
      end.reason = Termination::Reason::kCancelled;
      break;
    case Cancellation::Reason::kDeadlineExceeded:
      end.reason = Termination::Reason::kDeadlineExceeded;
      break;
    case Cancellation::Reason::kShuttingDown:
      end.reason = Termination::Reason::kShuttingDown;
      break;
    case Cancellation::Reason::kNone:
      if (!absl::IsDeadlineExceeded(status)) return status;
      end.reason = Termination::Reason::kWallBudget;
      break;
  }
  end.detail = absl::StrCat(status.message(), "; the saved values are complete");
  return absl::OkStatus();
}

class BackpropPass : public GradientPass {
 public:
  explicit BackpropPass(const PassInput& input) : input_(input) {}

  absl::Status Solve() override {
    const Problem problem = input_.bound->one(input_.trajectory);
    const SolveOptions options = WithBudget(input_);
    Recorder recorder(options.method, problem.field->num_states(), limits::kMaxRecordingBytes);
    IntegrateHooks hooks;
    hooks.cancellation = input_.cancellation;
    hooks.companions.push_back(&recorder);
    ASSIGN_OR_RETURN(std::vector<Trajectory> trajectories, Integrate(problem, options, hooks));
    recording_ = std::move(recorder).Take();
    Trajectory& trajectory = trajectories[0];
    absl::Span<const double> terminal;
    if (trajectory.termination.reason == Termination::Reason::kReachedEnd) {
      terminal = absl::MakeConstSpan(recording_.states).last(problem.field->num_states());
    }
    return FillPrimal(input_, std::move(trajectory), terminal, &primal_);
  }

  absl::Status Gradient(const Cotangents& cotangents, absl::Span<double> gradient) override {
    std::fill(gradient.begin(), gradient.end(), kNaN);
    if (!primal_.reached()) return absl::OkStatus();
    const Problem problem = input_.bound->one(input_.trajectory);
    absl::StatusOr<StateLoss> pulled_back = PullBackOutputs(input_, primal_.values, cotangents);
    if (!pulled_back.ok()) return EndEarly(input_, pulled_back.status(), &primal_);
    const StateLoss& loss = *pulled_back;
    const StateCotangents pulled = {primal_.values.times, loss.saved, loss.terminal};
    absl::StatusOr<AdjointResult> adjoint = DiscreteAdjoint(
        *problem.field, problem.params, recording_, pulled, input_.cancellation, input_.deadline);
    if (!adjoint.ok()) return EndEarly(input_, adjoint.status(), &primal_);
    AddStats(adjoint->stats);
    for (size_t j = 0; j < loss.params.size(); ++j) adjoint->params[j] += loss.params[j];
    adjoint->t1 += loss.t1;
    const std::vector<double> initial_state = adjoint->initial_state;
    RETURN_IF_ERROR(PullBackInit(problem, &*adjoint));
    Gather(*adjoint, initial_state, gradient);
    return absl::OkStatus();
  }

 private:
  void AddStats(const AdjointStats& stats) {
    AdjointStats& sum = primal_.stats.adjoint;
    sum.replayed_steps += stats.replayed_steps;
    sum.rhs_evaluations += stats.rhs_evaluations;
    sum.vjp_evaluations += stats.vjp_evaluations;
    sum.stored_bytes = std::max(sum.stored_bytes, stats.stored_bytes);
  }

  // Parameters and t0 act through the initial values that were not given.
  absl::Status PullBackInit(const Problem& problem, AdjointResult* adjoint) {
    std::vector<double>& lambda = adjoint->initial_state;
    for (size_t i = 0; i < lambda.size(); ++i) {
      if (input_.bound->given[i]) lambda[i] = 0;
    }
    const MapPoints start = {.rows = 1, .t = problem.t0.data(), .p = problem.params.data()};
    return TransposeRows(input_.bound->model->init(), start, lambda.data(), &adjoint->t0, nullptr,
                         adjoint->params.data());
  }

  void Gather(const AdjointResult& adjoint, const std::vector<double>& initial_state,
              absl::Span<double> gradient) const {
    ForEachEntry(*input_.wrt, [&](const WrtEntry& entry, int64_t column) {
      double* to = gradient.data() + column;
      switch (entry.kind) {
        case WrtEntry::Kind::kParam:
          std::copy_n(adjoint.params.data() + entry.offset, entry.size, to);
          break;
        case WrtEntry::Kind::kInitialState:
          std::copy_n(initial_state.data() + entry.offset, entry.size, to);
          break;
        case WrtEntry::Kind::kT0:
          *to = adjoint.t0;
          break;
        case WrtEntry::Kind::kT1:
          *to = adjoint.t1;
          break;
      }
    });
  }

  const PassInput input_;
  Recording recording_;
};

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
    return absl::OkStatus();
  }

  absl::Status Gradient(const Cotangents& cotangents, absl::Span<double> gradient) override {
    std::fill(gradient.begin(), gradient.end(), kNaN);
    if (!primal_.reached()) return absl::OkStatus();
    const absl::StatusOr<StateLoss> pulled_back =
        PullBackOutputs(input_, primal_.values, cotangents);
    if (!pulled_back.ok()) return EndEarly(input_, pulled_back.status(), &primal_);
    const StateLoss& loss = *pulled_back;
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
    return absl::OkStatus();
  }

 private:
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
};

// |value| of each column's quantity, or 1 where that is 0; |t1 - t0| for the times.
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

}  // namespace

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

std::unique_ptr<GradientPass> MakeGradientPass(GradientMethod method, const PassInput& input) {
  if (method == GradientMethod::kBackprop) return std::make_unique<BackpropPass>(input);
  return std::make_unique<ForwardPass>(input);
}

absl::StatusOr<TangentPass> SolveInDirections(const PassInput& input, int64_t num_directions,
                                              absl::Span<const double> directions) {
  RETURN_IF_ERROR(CheckTangentRoom(input, num_directions));
  ASSIGN_OR_RETURN(const TangentSeeds seeds, MakeSeeds(input, num_directions, directions));
  const SolveOptions options = WithBudget(input);
  IntegrateHooks hooks;
  hooks.cancellation = input.cancellation;
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
  return pass;
}

}  // namespace costate

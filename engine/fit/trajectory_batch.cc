#include "engine/fit/trajectory_batch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/map_rows.h"
#include "engine/solvers/integrate.h"
#include "engine/solvers/stepper.h"

namespace costate::fit {
namespace {

using Kind = TangentColumn::Kind;

constexpr int64_t kFewestInLanes = 3;  // from so many on, a block of lanes beats them one by one
// Elements of state and tangents up to which it pays to step several trajectories in lanes: one
// alone has its columns in lanes. Measured: 0.6 of the time of one by one at 110, 1.15 at 930.
constexpr int64_t kMostInLanes = 512;

SolveOptions ForBatch(const SolveOptions& options, const Problem& problem, bool may_share_lanes,
                      const StopSource& stop) {
  SolveOptions mine = options;
  const bool wide = problem.num_trajectories >= kFewestInLanes && may_share_lanes;
  if (mine.lanes == 0) mine.lanes = wide ? problem.field->simd_lanes() : 1;
  if (stop.deadline != absl::InfiniteFuture()) {
    mine.wall_budget = std::max(stop.deadline - absl::Now(), absl::Nanoseconds(1));
  }
  return mine;
}

void Apply(const Overrides& overrides, double* row) {
  for (size_t i = 0; i < overrides.indices.size(); ++i) {
    row[overrides.indices[i]] = overrides.values[i];
  }
}

void ApplyFree(const TrajectoryRequest& request, Kind kind, double* row) {
  for (const BoundColumn& column : request.condition->columns) {
    if (column.target.kind == kind)
      row[column.target.index] = request.point->natural[column.element];
  }
}

absl::Status EvaluateInit(const BoundFit& fit, const StopSource& stop, BoundSimulation* bound) {
  const DifferentiableMap& init = fit.model->init();
  MapPoints points;
  points.rows = bound->num_trajectories;
  points.t = bound->t0.data();
  points.p = bound->params.data();
  points.p_stride = bound->num_trajectories == 1 ? 0 : init.num_params();
  points.cancellation = stop.cancellation;
  return EvaluateRows(init, points, bound->y0.data());
}

// The scale of a column: |value|, or 1 where that is 0.
double ColumnScale(const Problem& problem, const TangentColumn& column) {
  const double value = std::fabs(column.kind == Kind::kParam ? problem.params[column.index]
                                                             : problem.y0[column.index]);
  return value == 0 || !std::isfinite(value) ? 1.0 : value;
}

// Of states with their tangents, of the vectors of their steps, and of seeds.
absl::Status CheckColumnRoom(const Bundle& bundle, const BoundSimulation& bound) {
  const MethodInfo& info = GetMethodInfo(bundle.options.scheme());
  const double columns = static_cast<double>(bundle.targets.size());
  const double n = static_cast<double>(bound.model->rhs().num_states());
  const double m = static_cast<double>(bound.model->rhs().num_params());
  const double batch = static_cast<double>(bound.num_trajectories);
  const double vectors = 4 + info.stages + info.extra_stages;
  const double bytes =
      8 * ((batch + vectors) * n * (1 + columns) + batch * (m + columns) + m * columns);
  if (bytes <= static_cast<double>(limits::kMaxSavedBytes)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("tangents of ", n, " states in ", columns, " columns need ", bytes,
                   " bytes, over the limit of ", limits::kMaxSavedBytes,
                   "; use a method that takes gradients in reverse"));
}

// The extended problem: {y, Z} and {p, scales} of all trajectories.
class Extended {
 public:
  Extended(const Bundle& bundle, const BoundSimulation& bound)
      : bundle_(bundle),
        bound_(bound),
        n_(bound.model->rhs().num_states()),
        m_(bound.model->rhs().num_params()),
        columns_(static_cast<int64_t>(bundle.targets.size())),
        y0_(bound.num_trajectories * n_ * (1 + columns_)),
        params_(bound.num_trajectories * (m_ + columns_)) {}

  absl::Status Fill() {
    if (bundle_.init_depends) seeds_.resize(m_ * columns_);
    for (int64_t b = 0; b < bound_.num_trajectories; ++b) RETURN_IF_ERROR(FillOne(b));
    return absl::OkStatus();
  }

  Problem problem() const {
    Problem problem = bound_.all();
    problem.field = bundle_.field.get();
    problem.y0 = y0_;
    problem.params = params_;
    return problem;
  }

  // Splits {y, Z} at the saved times into states and tangents.
  TangentTrajectory Split(int64_t b, Trajectory trajectory) const {
    TangentTrajectory split;
    const int64_t rows = trajectory.num_reached;
    const std::vector<double> both = std::move(trajectory.states);
    const double* scale = params_.data() + b * (m_ + columns_) + m_;
    trajectory.states.resize(rows * n_);
    split.tangents.resize(rows * n_ * columns_);
    for (int64_t row = 0; row < rows; ++row) {
      const double* from = both.data() + row * n_ * (1 + columns_);
      std::copy_n(from, n_, trajectory.states.data() + row * n_);
      double* into = split.tangents.data() + row * n_ * columns_;
      for (int64_t q = 0; q < columns_; ++q) {
        const double* column = from + (1 + q) * n_;
        for (int64_t i = 0; i < n_; ++i) into[i * columns_ + q] = column[i] / scale[q];
      }
    }
    trajectory.times.resize(rows);
    split.trajectory = std::move(trajectory);
    return split;
  }

 private:
  absl::Status FillOne(int64_t b) {
    const Problem problem = bound_.one(b);
    double* y = y0_.data() + b * n_ * (1 + columns_);
    double* p = params_.data() + b * (m_ + columns_);
    std::copy(problem.y0.begin(), problem.y0.end(), y);
    std::copy(problem.params.begin(), problem.params.end(), p);
    double* scale = p + m_;
    for (int64_t q = 0; q < columns_; ++q) scale[q] = ColumnScale(problem, bundle_.targets[q]);
    if (bundle_.init_depends) RETURN_IF_ERROR(FillFromInit(problem, scale, y + n_));
    for (int64_t q = 0; q < columns_; ++q) {
      const TangentColumn& target = bundle_.targets[q];
      if (target.kind == Kind::kInitialState) y[(1 + q) * n_ + target.index] = scale[q];
    }
    return absl::OkStatus();
  }

  // z [C, n], through the initial map where it holds.
  absl::Status FillFromInit(const Problem& problem, const double* scale, double* z) {
    const auto seed = [this](int64_t q, double value) {
      const TangentColumn& target = bundle_.targets[q];
      if (target.kind == Kind::kParam) seeds_[target.index * columns_ + q] = value;
    };
    for (int64_t q = 0; q < columns_; ++q) seed(q, scale[q]);
    const MapPoints start = {.rows = 1, .t = problem.t0.data(), .p = problem.params.data()};
    pushed_.assign(n_ * columns_, 0.0);
    RETURN_IF_ERROR(PushRows(bound_.model->init(), start, columns_, nullptr, nullptr, seeds_.data(),
                             pushed_.data()));
    for (int64_t q = 0; q < columns_; ++q) seed(q, 0);
    for (int64_t i = 0; i < n_; ++i) {
      if (bound_.given[i]) continue;
      for (int64_t q = 0; q < columns_; ++q) z[q * n_ + i] = pushed_[i * columns_ + q];
    }
    return absl::OkStatus();
  }

  const Bundle& bundle_;
  const BoundSimulation& bound_;
  const int64_t n_, m_, columns_;
  std::vector<double> y0_, params_;
  std::vector<double> seeds_;   // [m, C], zero between uses
  std::vector<double> pushed_;  // [n, C]
};

}  // namespace

bool TrajectoriesShareLanes(const Bundle& bundle) {
  return bundle.field->num_states() <= kMostInLanes;
}

absl::StatusOr<BoundSimulation> GatherTrajectories(const BoundFit& fit, const Bundle& bundle,
                                                   absl::Span<const TrajectoryRequest> requests,
                                                   const StopSource& stop) {
  const int64_t n = fit.model->rhs().num_states(), m = fit.model->rhs().num_params();
  BoundSimulation bound;
  bound.model = fit.model.get();
  bound.num_trajectories = static_cast<int64_t>(requests.size());
  bound.batched = bound.num_trajectories > 1;
  bound.given = requests.front().condition->given;
  bound.params.reserve(requests.size() * m);
  bound.y0.reserve(requests.size() * n);
  for (const TrajectoryRequest& request : requests) {
    const BoundCondition& condition = *request.condition;
    bound.t0.push_back(condition.t0);
    bound.t1.push_back(condition.t1);
    bound.params.insert(bound.params.end(), fit.params.begin(), fit.params.end());
    double* params = bound.params.data() + bound.params.size() - m;
    Apply(condition.params, params);
    ApplyFree(request, Kind::kParam, params);
    bound.y0.insert(bound.y0.end(), condition.y0.begin(), condition.y0.end());
  }
  if (bundle.init_depends) RETURN_IF_ERROR(EvaluateInit(fit, stop, &bound));
  for (size_t b = 0; b < requests.size(); ++b) {
    double* y0 = bound.y0.data() + b * n;
    Apply(requests[b].condition->initial, y0);
    ApplyFree(requests[b], Kind::kInitialState, y0);
  }
  return bound;
}

absl::StatusOr<std::vector<Trajectory>> SolveTrajectories(const BoundSimulation& bound,
                                                          const SolveOptions& options,
                                                          const StopSource& stop) {
  IntegrateHooks hooks;
  hooks.cancellation = stop.cancellation;
  const Problem problem = bound.all();
  return Integrate(problem, ForBatch(options, problem, true, stop), hooks);
}

absl::StatusOr<std::vector<TangentTrajectory>> SolveWithColumns(const Bundle& bundle,
                                                                const BoundSimulation& bound,
                                                                const StopSource& stop) {
  RETURN_IF_ERROR(CheckColumnRoom(bundle, bound));
  Extended extended(bundle, bound);
  RETURN_IF_ERROR(extended.Fill());
  IntegrateHooks hooks;
  hooks.cancellation = stop.cancellation;
  const Problem problem = extended.problem();
  ASSIGN_OR_RETURN(
      std::vector<Trajectory> trajectories,
      Integrate(problem,
                ForBatch(bundle.tangent_options, problem, TrajectoriesShareLanes(bundle), stop),
                hooks));
  std::vector<TangentTrajectory> split;
  split.reserve(trajectories.size());
  for (size_t b = 0; b < trajectories.size(); ++b) {
    split.push_back(extended.Split(static_cast<int64_t>(b), std::move(trajectories[b])));
  }
  return split;
}

}  // namespace costate::fit

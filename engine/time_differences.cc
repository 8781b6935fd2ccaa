#include "engine/time_differences.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/difference_pass.h"
#include "engine/shifted_solve.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kShareOfStep = 1e-4;
constexpr double kLargestShare = 0.25;

// A time with two others in its step.
struct Stencil {
  double near[2] = {};
  // Of the parabola through values at the time itself and at the neighbours: its slope at the time.
  double weights[3] = {};
};

// `from` and `to` are the ends of the step that made the value at t, in the direction of the solve.
Stencil MakeStencil(double t, double from, double to, double distance) {
  const double h = to - from;
  const double share = std::min(distance / std::fabs(h), kLargestShare);
  // Too near to t to be told apart in its last digits is no use.
  const double d = std::copysign(
      std::max(share * std::fabs(h), 16 * std::numeric_limits<double>::epsilon() * std::fabs(t)),
      h);
  const auto inside = [&](double x) { return h > 0 ? from <= x && x <= to : to <= x && x <= from; };
  Stencil stencil;
  stencil.near[0] = t - d;
  stencil.near[1] = t + d;
  if (!inside(t - d)) stencil.near[0] = t + 2 * d;
  if (!inside(t + d)) stencil.near[1] = t - 2 * d;
  const double a = stencil.near[0] - t, b = stencil.near[1] - t;
  if (!inside(stencil.near[0]) || !inside(stencil.near[1]) || a == 0 || b == 0) {
    stencil.near[0] = stencil.near[1] = t;
    std::fill_n(stencil.weights, 3, kNaN);
    return stencil;
  }
  stencil.weights[0] = -(a + b) / (a * b);
  stencil.weights[1] = b / (a * (b - a));
  stencil.weights[2] = -a / (b * (b - a));
  return stencil;
}

// Of all saved times.
std::vector<Stencil> MakeStencils(const std::vector<double>& times, const std::vector<double>& grid,
                                  std::optional<double> step) {
  const double span = std::fabs(grid.back() - grid.front());
  const bool backwards = grid.back() < grid.front();
  const auto before = [backwards](double a, double b) { return backwards ? a > b : a < b; };
  std::vector<Stencil> stencils;
  for (const double t : times) {
    auto end = std::lower_bound(grid.begin() + 1, grid.end(), t, before);
    if (end == grid.end()) --end;
    const double h = std::fabs(*end - *(end - 1));
    const double distance = step.has_value() ? *step * span : kShareOfStep * h;
    stencils.push_back(MakeStencil(t, *(end - 1), *end, distance));
  }
  return stencils;
}

// What is saved near time `row`.
struct Neighbour {
  double t;
  size_t row;
  int which;
};

// slopes[row] += weight * values[at], rows of `width`.
void AddRow(double weight, const std::vector<double>& values, size_t at, size_t width, size_t row,
            std::vector<double>* slopes) {
  for (size_t i = 0; i < width; ++i) (*slopes)[row * width + i] += weight * values[at * width + i];
}

}  // namespace

absl::StatusOr<TimeSlopes> DifferenceTimes(const PassInput& input, const SavedValues& saved,
                                           const std::vector<double>& grid,
                                           std::optional<double> step, int64_t* rhs_evaluations) {
  const size_t rows = saved.times.size();
  TimeSlopes slopes;
  slopes.states.assign(saved.states.size(), kNaN);
  slopes.outputs.assign(saved.outputs.size(), kNaN);
  if (rows == 0 || grid.size() < 2) return slopes;
  const std::vector<Stencil> stencils = MakeStencils(saved.times, grid, step);
  std::vector<Neighbour> neighbours;
  for (size_t row = 0; row < rows; ++row) {
    for (const int which : {0, 1}) neighbours.push_back({stencils[row].near[which], row, which});
  }
  const bool backwards = grid.back() < grid.front();
  std::stable_sort(neighbours.begin(), neighbours.end(),
                   [backwards](const Neighbour& a, const Neighbour& b) {
                     return backwards ? a.t > b.t : a.t < b.t;
                   });
  SolveOptions options = OnGrid(*input.options, grid);
  options.save.kind = SaveAt::Kind::kTimes;
  options.save.times.clear();
  for (const Neighbour& neighbour : neighbours) options.save.times.push_back(neighbour.t);
  options.return_grid = false;
  ShiftedSolve solve(input, std::move(options));
  ASSIGN_OR_RETURN(const PassPrimal near, solve.At({}));
  *rhs_evaluations += solve.rhs_evaluations();
  if (!near.reached()) return slopes;
  const size_t n = saved.states.size() / rows, k = saved.outputs.size() / rows;
  std::fill(slopes.states.begin(), slopes.states.end(), 0.0);
  std::fill(slopes.outputs.begin(), slopes.outputs.end(), 0.0);
  for (size_t row = 0; row < rows; ++row) {
    AddRow(stencils[row].weights[0], saved.states, row, n, row, &slopes.states);
    AddRow(stencils[row].weights[0], saved.outputs, row, k, row, &slopes.outputs);
  }
  for (size_t at = 0; at < neighbours.size(); ++at) {
    const auto& [t, row, which] = neighbours[at];
    const double weight = stencils[row].weights[1 + which];
    AddRow(weight, near.values.states, at, n, row, &slopes.states);
    AddRow(weight, near.values.outputs, at, k, row, &slopes.outputs);
  }
  return slopes;
}

void ApplyTimeSlopes(const TimeSlopes& slopes, const Cotangents& cotangents,
                     absl::Span<double> times) {
  for (size_t k = 0; k < times.size(); ++k) {
    times[k] = cotangents.times.empty() ? 0.0 : cotangents.times[k];
    for (const auto& [weights, values] : {std::pair(&cotangents.states, &slopes.states),
                                          std::pair(&cotangents.outputs, &slopes.outputs)}) {
      if (weights->empty()) continue;
      const size_t width = values->size() / times.size();
      for (size_t i = k * width; i < (k + 1) * width; ++i) {
        if ((*weights)[i] != 0) times[k] += (*weights)[i] * (*values)[i];
      }
    }
  }
}

}  // namespace costate

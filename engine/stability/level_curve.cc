#include "engine/stability/level_curve.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/stability/poll.h"

namespace costate::stability {
namespace {

constexpr int kBisections = 60;
constexpr int kRefinements = 4;     // halvings of a piece
constexpr double kStraight = 0.01;  // of a cell: how far a point may be off a straight piece

using LevelFunction = absl::FunctionRef<double(Complex)>;

bool IsInside(double value) { return value < 0; }

// The crossing on [inside, outside].
Complex Crossing(LevelFunction function, Complex inside, Complex outside) {
  for (int i = 0; i < kBisections; ++i) {
    const Complex middle = 0.5 * (inside + outside);
    if (middle == inside || middle == outside) break;
    (IsInside(function(middle)) ? inside : outside) = middle;
  }
  return 0.5 * (inside + outside);
}

// Edges of the grid by number: horizontal ones first, row by row, then vertical ones.
struct Edges {
  int64_t nx, ny;  // cells

  int64_t Horizontal(int64_t row, int64_t column) const { return row * nx + column; }
  int64_t Vertical(int64_t row, int64_t column) const {
    return (ny + 1) * nx + row * (nx + 1) + column;
  }
};

class Marching {
 public:
  Marching(LevelFunction function, const LevelGrid& grid)
      : function_(function), grid_(grid), edges_{grid.real_cells, grid.imag_cells} {}

  absl::Status Run(const StopSource& stop) {
    std::vector<double> below = Row(0), above;
    for (int64_t row = 0; row < grid_.imag_cells; ++row) {
      RETURN_IF_ERROR(Poll(stop, "level lines were traced"));
      above = Row(row + 1);
      for (int64_t column = 0; column < grid_.real_cells; ++column) {
        Cell(row, column, {below[column], below[column + 1], above[column + 1], above[column]});
      }
      std::swap(below, above);
    }
    return absl::OkStatus();
  }

  std::vector<Curve> Curves() {
    std::vector<Curve> curves;
    // Open ones first: those that begin where nothing arrives.
    std::vector<int64_t> starts;
    for (const auto& [from, to] : next_) {
      if (!arrives_.contains(from)) starts.push_back(from);
    }
    std::sort(starts.begin(), starts.end());
    for (const int64_t start : starts) curves.push_back(Follow(start));
    starts.clear();
    starts.reserve(next_.size());
    for (const auto& [from, to] : next_) starts.push_back(from);
    std::sort(starts.begin(), starts.end());
    for (const int64_t start : starts) {
      if (next_.contains(start)) curves.push_back(Follow(start));
    }
    return curves;
  }

 private:
  Complex Point(int64_t row, int64_t column) const {
    const Rectangle& w = grid_.window;
    const double x = static_cast<double>(column) / static_cast<double>(grid_.real_cells);
    const double y = static_cast<double>(row) / static_cast<double>(grid_.imag_cells);
    return {w.real_min * (1 - x) + w.real_max * x, w.imag_min * (1 - y) + w.imag_max * y};
  }

  std::vector<double> Row(int64_t row) const {
    std::vector<double> values(grid_.real_cells + 1);
    for (int64_t column = 0; column <= grid_.real_cells; ++column) {
      values[column] = function_(Point(row, column));
    }
    return values;
  }

  // Corners counter-clockwise from the lower left. A line enters a cell where, along the corners,
  // inside turns to outside, and leaves where outside turns to inside.
  void Cell(int64_t row, int64_t column, const std::array<double, 4>& corners) {
    std::array<bool, 4> in;
    for (int i = 0; i < 4; ++i) in[i] = IsInside(corners[i]);
    std::array<int, 2> enter, leave;
    int lines = 0, leaving = 0;
    for (int i = 0; i < 4; ++i) {
      const bool here = in[i], then = in[(i + 1) % 4];
      if (here && !then) enter[lines++] = i;
      if (!here && then) leave[leaving++] = i;
    }
    if (lines == 0) return;
    const std::array<Complex, 4> at = {Point(row, column), Point(row, column + 1),
                                       Point(row + 1, column + 1), Point(row + 1, column)};
    const std::array<int64_t, 4> edge = {
        edges_.Horizontal(row, column), edges_.Vertical(row, column + 1),
        edges_.Horizontal(row + 1, column), edges_.Vertical(row, column)};
    for (int line = 0; line < lines; ++line) {
      // In a saddle, lines go around the outside corners if the centre is inside.
      int to = leave[0];
      if (lines == 2) {
        const bool centre = IsInside(function_(0.25 * (at[0] + at[1] + at[2] + at[3])));
        const int step = centre ? 1 : 3;
        to = (enter[line] + step) % 4;
      }
      Note(edge[enter[line]], at[enter[line]], at[(enter[line] + 1) % 4]);
      Note(edge[to], at[(to + 1) % 4], at[to]);
      next_[edge[enter[line]]] = edge[to];
      arrives_[edge[to]] = true;
    }
  }

  void Note(int64_t edge, Complex inside, Complex outside) {
    if (!points_.contains(edge)) points_[edge] = Crossing(function_, inside, outside);
  }

  Curve Follow(int64_t start) {
    Curve curve;
    curve.points.push_back(points_[start]);
    int64_t at = start;
    while (true) {
      const auto found = next_.find(at);
      if (found == next_.end()) break;
      const int64_t to = found->second;
      next_.erase(found);
      Refine(curve.points.back(), points_[to], kRefinements, &curve.points);
      curve.points.push_back(points_[to]);
      at = to;
      if (at == start) break;
    }
    return curve;
  }

  // Points between a and b where the line is off the straight piece.
  void Refine(Complex a, Complex b, int depth, std::vector<Complex>* points) const {
    const double length = std::abs(b - a);
    if (depth == 0 || !(length > 0)) return;
    const Complex middle = 0.5 * (a + b);
    const Complex left = Complex(0, 0.5) * (b - a);  // towards the inside
    if (!IsInside(function_(middle + left)) || IsInside(function_(middle - left))) return;
    const Complex on = Crossing(function_, middle + left, middle - left);
    if (std::abs(on - middle) <= kStraight * length) return;
    Refine(a, on, depth - 1, points);
    points->push_back(on);
    Refine(on, b, depth - 1, points);
  }

  LevelFunction function_;
  const LevelGrid& grid_;
  const Edges edges_;
  std::unordered_map<int64_t, Complex> points_;  // by edge
  std::unordered_map<int64_t, int64_t> next_;    // from edge to edge
  std::unordered_map<int64_t, bool> arrives_;
};

}  // namespace

absl::StatusOr<std::vector<Curve>> TraceLevel(absl::FunctionRef<double(Complex)> function,
                                              const LevelGrid& grid, const StopSource& stop) {
  Marching marching(function, grid);
  RETURN_IF_ERROR(marching.Run(stop));
  return marching.Curves();
}

}  // namespace costate::stability

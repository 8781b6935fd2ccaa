#include "engine/stability/boundary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

namespace costate::stability {
namespace {

constexpr double kPi = std::numbers::pi;
constexpr double kLargestTurn = 2 * kPi / 256;  // of theta in one go
constexpr double kSmallestTurn = 2 * kPi * 1e-10;
constexpr double kSpacings = 400;    // points along the longer side of a region, at least
constexpr double kBend = 0.05;       // of a piece: how far its end may be off its tangent
constexpr double kNoise = 1e-10;     // of a root, generously: far ones hardly move
constexpr double kInvisible = 1e-6;  // size of an island over its distance from 0
constexpr int kCorrections = 8;
constexpr int kCoarseAngles = 64;
// Where theta starts, off the symmetric angles where roots may meet.
constexpr double kStart = 0.3;
constexpr int64_t kMaxPoints = 2'000'000;  // over all curves

// e^(i theta) + d e^(-i theta)
Complex Level(double d, double theta) {
  const double c = std::cos(theta), s = std::sin(theta);
  return {(1 + d) * c, (1 - d) * s};
}

Complex LevelSlope(double d, double theta) {
  const double c = std::cos(theta), s = std::sin(theta);
  return {-(1 + d) * s, (1 - d) * c};
}

double SmallestGap(const std::vector<Complex>& roots, size_t k) {
  double gap = std::numeric_limits<double>::infinity();
  for (size_t j = 0; j < roots.size(); ++j) {
    if (j != k) gap = std::min(gap, std::abs(roots[j] - roots[k]));
  }
  return gap;
}

// Gives each of `from` the nearest of `to` that is left, the closest pairs first.
std::vector<Complex> Matched(const std::vector<Complex>& from, std::vector<Complex> to) {
  const size_t n = from.size();
  std::vector<Complex> matched(n);
  std::vector<bool> done(n), taken(n);
  for (size_t round = 0; round < n; ++round) {
    size_t best_i = 0, best_j = 0;
    double best = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        if (done[i] || taken[j] || std::abs(from[i] - to[j]) >= best) continue;
        best = std::abs(from[i] - to[j]);
        best_i = i;
        best_j = j;
      }
    }
    done[best_i] = taken[best_j] = true;
    matched[best_i] = to[best_j];
  }
  return matched;
}

// Moves all roots of t(z) = level(theta) along theta.
class RootLocus {
 public:
  RootLocus(const StabilityFunction& function, double theta, double spacing, const Rectangle* focus)
      : t_(function.trace()),
        d_(function.determinant()),
        theta_(theta),
        spacing_(spacing),
        focus_(focus),
        roots_(Solve(t_, Level(d_, theta))) {}

  double theta() const { return theta_; }
  const std::vector<Complex>& roots() const { return roots_; }

  // By at most kLargestTurn, at most to `end`, and no further than the spacing allows.
  void Advance(double end) {
    turn_ = std::min(2 * turn_, kLargestTurn);
    while (true) {
      const double next = std::min(theta_ + turn_, end);
      std::vector<Complex> moved;
      if (Moves(next, &moved)) {
        roots_ = std::move(moved);
        theta_ = next;
        return;
      }
      turn_ /= 2;
      if (turn_ > kSmallestTurn) continue;
      // Roots meet: every way on is one of theirs.
      const double past = std::min(theta_ + 16 * kSmallestTurn, end);
      roots_ = Matched(roots_, Solve(t_, Level(d_, past)));
      theta_ = past;
      turn_ = 16 * kSmallestTurn;
      return;
    }
  }

 private:
  // How far the root at z may go: finer in the focus and towards it.
  double LongestStep(Complex z) const {
    if (focus_ == nullptr) return spacing_;
    const double x = std::max({0.0, focus_->real_min - z.real(), z.real() - focus_->real_max});
    const double y = std::max({0.0, focus_->imag_min - z.imag(), z.imag() - focus_->imag_max});
    return std::max(spacing_, 0.3 * std::hypot(x, y));
  }

  // Prediction and Newton steps; false if any root is lost, close to another or moved too far.
  bool Moves(double next, std::vector<Complex>* moved) const {
    const double turn = next - theta_;
    const Complex level = Level(d_, next);
    moved->resize(roots_.size());
    for (size_t k = 0; k < roots_.size(); ++k) {
      Complex value, slope;
      EvaluateWithSlope(t_, roots_[k], &value, &slope);
      const Complex predicted = roots_[k] + turn * LevelSlope(d_, theta_) / slope;
      Complex z = predicted;
      if (!Correct(level, &z)) return false;
      const double step = std::abs(z - roots_[k]);
      if (std::abs(z - predicted) > kBend * step + kNoise * std::abs(z)) return false;
      if (step > LongestStep(roots_[k])) return false;
      if (step > 0.25 * SmallestGap(roots_, k)) return false;
      (*moved)[k] = z;
    }
    return true;
  }

  bool Correct(Complex level, Complex* z) const {
    double last = std::numeric_limits<double>::infinity();
    for (int i = 0; i < kCorrections; ++i) {
      Complex value, slope;
      EvaluateWithSlope(t_, *z, &value, &slope);
      const Complex change = (value - level) / slope;
      const double size = std::abs(change);
      if (!std::isfinite(size)) return false;
      *z -= change;
      if (size <= 4e-16 * std::abs(*z)) return true;
      if (size >= last) return size <= 1e-12 * std::max(std::abs(*z), 1e-3);
      last = size;
    }
    return last <= 1e-12 * std::max(std::abs(*z), 1e-3);
  }

  const Polynomial& t_;
  const double d_;
  double theta_;
  const double spacing_;
  const Rectangle* const focus_;
  std::vector<Complex> roots_;
  double turn_ = kLargestTurn;
};

double Extent(const StabilityFunction& function) {
  double low_x = 0, high_x = 0, high_y = 0;
  for (int k = 0; k < kCoarseAngles; ++k) {
    const Complex level = Level(function.determinant(), 2 * kPi * (k + 0.5) / kCoarseAngles);
    for (const Complex z : Solve(function.trace(), level)) {
      Complex value, slope;
      EvaluateWithSlope(function.trace(), z, &value, &slope);
      if (1 < kInvisible * std::abs(slope * z)) continue;
      low_x = std::min(low_x, z.real());
      high_x = std::max(high_x, z.real());
      high_y = std::max(high_y, std::fabs(z.imag()));
    }
  }
  return std::max(high_x - low_x, 2 * high_y);
}

// Joins the arcs of one turn: the end of each is the beginning of another, or of itself.
std::vector<Curve> JoinArcs(std::vector<Curve> arcs) {
  std::vector<Complex> starts, ends;
  for (const Curve& arc : arcs) {
    starts.push_back(arc.points.front());
    ends.push_back(arc.points.back());
  }
  const std::vector<Complex> next = Matched(ends, starts);
  std::vector<Curve> curves;
  std::vector<bool> used(arcs.size());
  for (size_t first = 0; first < arcs.size(); ++first) {
    if (used[first]) continue;
    Curve curve;
    for (size_t k = first; !used[k];) {
      used[k] = true;
      curve.points.insert(curve.points.end(), arcs[k].points.begin(), arcs[k].points.end() - 1);
      for (size_t j = 0; j < arcs.size(); ++j) {
        if (starts[j] == next[k] && (!used[j] || j == first)) {
          k = j;
          break;
        }
      }
    }
    curve.points.push_back(curve.points.front());
    curves.push_back(std::move(curve));
  }
  return curves;
}

std::vector<Curve> TraceArcs(const StabilityFunction& function, double from, double to,
                             double spacing, const Rectangle* focus) {
  RootLocus locus(function, from, spacing, focus);
  std::vector<Curve> arcs(locus.roots().size());
  int64_t points = 0;
  const auto note = [&] {
    for (size_t k = 0; k < arcs.size(); ++k) arcs[k].points.push_back(locus.roots()[k]);
    points += static_cast<int64_t>(arcs.size());
  };
  note();
  while (locus.theta() < to && points < kMaxPoints) {
    locus.Advance(to);
    note();
  }
  return arcs;
}

bool IsVisible(const Curve& curve, double extent) {
  for (const Complex z : curve.points) {
    const double size = std::abs(z - curve.points.front());
    if (size > 1e-9 * extent && size > kInvisible * std::abs(z)) return true;
  }
  return false;
}

// One side of a clipping window: inside where sign * (component - bound) >= 0.
struct Side {
  bool imaginary;
  double bound, sign;

  double Depth(Complex z) const { return sign * ((imaginary ? z.imag() : z.real()) - bound); }
};

std::vector<Side> SidesOf(const Rectangle& window) {
  return {{false, window.real_min, 1},
          {false, window.real_max, -1},
          {true, window.imag_min, 1},
          {true, window.imag_max, -1}};
}

// The piece of [a, b] inside; false if none.
bool ClipSegment(const Rectangle& window, Complex* a, Complex* b) {
  double low = 0, high = 1;
  for (const Side& side : SidesOf(window)) {
    const double from = side.Depth(*a), to = side.Depth(*b);
    if (from < 0 && to < 0) return false;
    if (from < 0) low = std::max(low, from / (from - to));
    if (to < 0) high = std::min(high, from / (from - to));
  }
  if (low > high) return false;
  const Complex start = *a, way = *b - *a;
  if (low > 0) *a = start + low * way;
  if (high < 1) *b = start + high * way;
  return true;
}

}  // namespace

std::vector<Curve> TraceBoundary(const StabilityFunction& function,
                                 const BoundaryOptions& options) {
  const double extent = Extent(function);
  const double spacing = options.spacing > 0 ? options.spacing : extent / kSpacings;
  std::vector<Curve> curves;
  if (function.undamped()) {
    // The level runs along its segment once on half a turn.
    const double from = function.determinant() > 0 ? 0 : -kPi / 2;
    curves = TraceArcs(function, from, from + kPi, spacing, options.focus);
  } else {
    curves = JoinArcs(TraceArcs(function, kStart, kStart + 2 * kPi, spacing, options.focus));
  }
  curves.erase(std::remove_if(curves.begin(), curves.end(),
                              [&](const Curve& curve) { return !IsVisible(curve, extent); }),
               curves.end());
  return curves;
}

double SignedDoubleArea(const std::vector<Complex>& points) {
  double sum = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const Complex a = points[i];
    const Complex b = points[i + 1 < points.size() ? i + 1 : 0];
    sum += a.real() * b.imag() - a.imag() * b.real();
  }
  return sum;
}

std::vector<Complex> ClipPolygon(const std::vector<Complex>& polygon, const Rectangle& window) {
  std::vector<Complex> inside = polygon;
  for (const Side& side : SidesOf(window)) {
    std::vector<Complex> kept;
    for (size_t i = 0; i < inside.size(); ++i) {
      const Complex a = inside[i];
      const Complex b = inside[i + 1 < inside.size() ? i + 1 : 0];
      const double from = side.Depth(a), to = side.Depth(b);
      if (from >= 0) kept.push_back(a);
      if ((from >= 0) != (to >= 0)) kept.push_back(a + from / (from - to) * (b - a));
    }
    inside = std::move(kept);
  }
  return inside;
}

std::vector<Curve> ClipCurve(const Curve& curve, const Rectangle& window) {
  const bool whole = std::all_of(curve.points.begin(), curve.points.end(),
                                 [&](Complex z) { return window.Contains(z); });
  if (whole) return {curve};
  std::vector<Curve> pieces;
  bool open = false;
  for (size_t i = 0; i + 1 < curve.points.size(); ++i) {
    Complex a = curve.points[i], b = curve.points[i + 1];
    if (!ClipSegment(window, &a, &b)) {
      open = false;
      continue;
    }
    if (!open) pieces.push_back({{a}});
    pieces.back().points.push_back(b);
    open = b == curve.points[i + 1];
  }
  // A closed curve that begins inside was cut at its beginning, which is no edge.
  const bool wraps = pieces.size() > 1 && curve.closed() && window.Contains(curve.points.front());
  if (wraps) {
    std::vector<Complex>& last = pieces.back().points;
    last.insert(last.end(), pieces.front().points.begin() + 1, pieces.front().points.end());
    pieces.erase(pieces.begin());
  }
  return pieces;
}

}  // namespace costate::stability

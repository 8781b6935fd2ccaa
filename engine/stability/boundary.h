// The boundary of a stability region, traced.
//
// A scheme's step has an eigenvalue e^(i theta) where t(z) = e^(i theta) + d e^(-i theta)
// (stability_function.h); the other one is then d e^(-i theta), inside the disc. So the level
// spectral radius = 1 is exactly the set of roots of these equations over theta, all of it, however
// thin the region; as theta goes once around, the roots move along the boundary with the region on
// their left, and change places. (Root locus curves: Hairer, Wanner, "Solving Ordinary Differential
// Equations II", V.1.)
#ifndef COSTATE_ENGINE_STABILITY_BOUNDARY_H_
#define COSTATE_ENGINE_STABILITY_BOUNDARY_H_

#include <vector>

#include "engine/stability/stability_function.h"

namespace costate::stability {

// A closed curve repeats its first point as the last.
struct Curve {
  std::vector<Complex> points;

  bool closed() const { return points.size() > 2 && points.front() == points.back(); }
};

struct Rectangle {
  double real_min = 0, real_max = 0, imag_min = 0, imag_max = 0;

  bool Contains(Complex z) const {
    return real_min <= z.real() && z.real() <= real_max && imag_min <= z.imag() &&
           z.imag() <= imag_max;
  }
};

struct BoundaryOptions {
  // Points are closer to each other than this within `focus`, and the whole region if that is
  // null. Unset (0): a share of the region's extent.
  double spacing = 0;
  const Rectangle* focus = nullptr;
};

// Closed curves, counter-clockwise around the region and clockwise around holes. Undamped schemes
// have no interior; their curves are open arcs on which the spectral radius is 1. Points lie on the
// level to 1e-12 or so. Islands smaller than 1e-6 of their distance from 0 are left out (dopri8 has
// one at 130).
std::vector<Curve> TraceBoundary(const StabilityFunction& function,
                                 const BoundaryOptions& options = {});

// Twice the enclosed area is the sum over closed curves of this: the integral of x dy - y dx along
// the straight pieces. Open curves count as closed by a straight piece.
double SignedDoubleArea(const std::vector<Complex>& points);

// What of a closed polygon lies in a convex window, with the same winding (Sutherland, Hodgman
// 1974); for areas.
std::vector<Complex> ClipPolygon(const std::vector<Complex>& polygon, const Rectangle& window);

// The pieces of a curve inside a window, cut at its edges.
std::vector<Curve> ClipCurve(const Curve& curve, const Rectangle& window);

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_BOUNDARY_H_

// The coordinates in which free elements are searched.
//
//   linear  x = v
//   log     x = ln v
//   log10   x = log10 v
//   logit   x = ln((v - lower) / (upper - v))
#ifndef COSTATE_ENGINE_FIT_TRANSFORM_H_
#define COSTATE_ENGINE_FIT_TRANSFORM_H_

#include "engine/fit/problem.h"

namespace costate::fit {

// One element's coordinate. Bounds are natural: positive or 0 (then there is none) for logarithms,
// finite and apart for logit.
struct Transform {
  Scale scale = Scale::kLinear;
  double lower = 0, upper = 0;

  // Moves what lies outside the bounds onto them; for logit just inside.
  double ToSearch(double natural) const;
  // Within the bounds. NaN for NaN.
  double ToNatural(double search) const;
  // d natural / d search at `search`; that of ToNatural without its clamp.
  double Slope(double search) const;

  // Of search coordinates; infinite where there is none.
  double SearchLower() const;
  double SearchUpper() const;
};

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_TRANSFORM_H_

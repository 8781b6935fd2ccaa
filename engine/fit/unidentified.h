// Sentences on what the data do not identify.
#ifndef COSTATE_ENGINE_FIT_UNIDENTIFIED_H_
#define COSTATE_ENGINE_FIT_UNIDENTIFIED_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/fit/objective.h"

namespace costate::fit {

// At most this many directions are named.
inline constexpr int64_t kMaxNamedDirections = 20;

// "The data do not depend on 'k': ..."
std::string DescribeFlat(const FreeElement& element);

// Of a direction in search coordinates along which the fit does not change to first order. Two
// elements are named by what they do determine: "Only b*s0 is determined by the data, neither b nor
// s0 alone." on scales that are logarithms, or where the direction is that of a simple power;
// "Only b + 0.98*k ..." else. More are named by a change that leaves the fit as it is.
//   natural, slopes  [q] values at the point and their slopes by search coordinates
std::string DescribeDirection(absl::Span<const FreeElement> elements,
                              absl::Span<const double> natural, absl::Span<const double> slopes,
                              absl::Span<const double> direction);

// Of an estimate on a bound. `pushes`: a lower objective lies beyond.
std::string DescribeBound(const FreeElement& element, double value, bool pushes);

// Where the interval by curvature covers all between the bounds.
std::string DescribeWide(const FreeElement& element);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_UNIDENTIFIED_H_

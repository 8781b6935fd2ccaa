// Where the starts of a fit begin, and the seeds they draw by.
#ifndef COSTATE_ENGINE_FIT_STARTS_H_
#define COSTATE_ENGINE_FIT_STARTS_H_

#include <cstdint>
#include <vector>

#include "engine/fit/objective.h"
#include "engine/fit/problem.h"

namespace costate::fit {

// All starts of a fit in search coordinates, [starts, q] row-major: a function of elements, box,
// starts, sampler and seed. Start 0 is the given one. The others are drawn by the sampler, per
// element:
//   linear, log, log10   evenly between the bounds of the search coordinate
//   logit                evenly between the natural bounds, a thousandth of them away
// Estimated sigmas, scales and offsets begin at their start everywhere: it comes from the data, and
// their bounds are far. Where a bound is infinite, it is replaced by start - w or start + w, with w
// a decade on the scales log and log10, and max(1, |start|) on the linear one.
std::vector<double> DrawStarts(const Objective& objective, const FitOptions& options);

// The seed of one start's optimiser: the finaliser of SplitMix64 (Steele, Lea, Flood 2014) over
// seed and index, so that starts draw apart and start i draws the same however many there are.
uint64_t StartSeed(uint64_t seed, int64_t index);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_STARTS_H_

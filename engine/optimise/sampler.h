// Points of the unit cube, and the random numbers they are made of: functions of their seed alone.
#ifndef COSTATE_ENGINE_OPTIMISE_SAMPLER_H_
#define COSTATE_ENGINE_OPTIMISE_SAMPLER_H_

#include <cstdint>
#include <vector>

namespace costate::optimise {

enum class Sampler { kLatinHypercube, kSobol };

// [count, dimensions] in [0, 1), row-major. Latin hypercube: one point in each of `count` slices of
// every axis (McKay, Beckman, Conover 1979). Sobol: direction numbers of Joe and Kuo 2008, with a
// digital shift by the seed; Latin hypercube beyond their dimensions.
std::vector<double> SampleUnitCube(Sampler sampler, int64_t count, int64_t dimensions,
                                   uint64_t seed);

}  // namespace costate::optimise

#endif  // COSTATE_ENGINE_OPTIMISE_SAMPLER_H_

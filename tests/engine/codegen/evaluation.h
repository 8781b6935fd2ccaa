// Runs kernels over lanes, for the tests of compiled code.
#ifndef COSTATE_TESTS_ENGINE_CODEGEN_EVALUATION_H_
#define COSTATE_TESTS_ENGINE_CODEGEN_EVALUATION_H_

#include <cstdint>
#include <vector>

#include "engine/base/kernel.h"
#include "engine/model/evaluator.h"
#include "engine/model/ir.h"

namespace costate {

using Buffers = std::vector<std::vector<double>>;  // [buffer][element]

// Calls a kernel of `spec` once with lanes[l] as the inputs of lane l (uniform buffers from lane
// 0) and returns the outputs of each lane. Scratch and outputs start as signalling garbage, and
// memory past the ends must come back untouched.
std::vector<Buffers> RunLanes(const Function& function, const Kernel& kernel,
                              const KernelSpec& spec, const std::vector<Buffers>& lanes);

// The number of doubles between a and b; 0 for two NaN, and for zeros of either sign.
uint64_t UlpDistance(double a, double b);

// Whether all elements are equal bit by bit, any NaN equalling any NaN.
bool SameBits(const Buffers& a, const Buffers& b);

}  // namespace costate

#endif  // COSTATE_TESTS_ENGINE_CODEGEN_EVALUATION_H_

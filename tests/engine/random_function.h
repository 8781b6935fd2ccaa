// Random verified functions for tests: every op, scalars and tensors, in domains where values and
// derivatives stay finite and of moderate size.
//
//   Function f = RandomFunction(seed, {});
//   auto out = Interpret(f, RandomInputs(f, seed));
#ifndef COSTATE_TESTS_ENGINE_RANDOM_FUNCTION_H_
#define COSTATE_TESTS_ENGINE_RANDOM_FUNCTION_H_

#include <cstdint>
#include <vector>

#include "engine/model/ir.h"

namespace costate {

struct RandomFunctionOptions {
  // Ops chosen at random; each brings one to about five instructions.
  int steps = 25;
  // Without: scalars only.
  bool tensors = true;
  // Without: no op that has kinks or jumps (abs, sign, floor, min, max, select and conditions), so
  // that finite differences apply.
  bool kinks = true;
};

// Inputs {t[1], y[7], p[12]}, outputs {dy[7], out[5]}, not simplified. The same seed and options
// give the same function on every platform.
Function RandomFunction(uint64_t seed, const RandomFunctionOptions& options);

// One vector per input buffer, elements in [-2, 2].
std::vector<std::vector<double>> RandomInputs(const Function& function, uint64_t seed);

}  // namespace costate

#endif  // COSTATE_TESTS_ENGINE_RANDOM_FUNCTION_H_

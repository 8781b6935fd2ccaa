// complex_step: the derivative as the imaginary part of a solve in complex numbers.
#ifndef COSTATE_ENGINE_COMPLEX_PASS_H_
#define COSTATE_ENGINE_COMPLEX_PASS_H_

#include <memory>

#include "engine/gradient_pass.h"

namespace costate {

// On the steps of the plain solve, Im y(p + i eps e_j) / eps is exact to rounding (Squire and Trapp
// 1998): one complex solve per column, by the interpreter, without any derivative code. Functions
// that are not analytic act on the real part: comparisons, min, max, floor and sign decide by it,
// |z| is z or -z. Columns t0 and t1 move the ends of the first and last step.
std::unique_ptr<GradientPass> MakeComplexPass(const PassInput& input);

}  // namespace costate

#endif  // COSTATE_ENGINE_COMPLEX_PASS_H_

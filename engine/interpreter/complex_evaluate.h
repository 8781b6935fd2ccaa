// Functions in complex numbers: for derivatives by complex steps.
#ifndef COSTATE_ENGINE_INTERPRETER_COMPLEX_EVALUATE_H_
#define COSTATE_ENGINE_INTERPRETER_COMPLEX_EVALUATE_H_

#include <complex>
#include <vector>

#include "engine/model/ir.h"

namespace costate {

// One evaluation; inputs[i] has function.inputs[i].size elements; returns the output buffers. For
// complex steps, whose imaginary parts are tiny:
//   analytic functions are continued analytically; erf and atan2, which the C++ library lacks, to
//     first order in the imaginary part
//   the others follow the branch that the real point is on: comparisons, logic, min, max, select,
//     floor and sign look at real parts, |z| is z or -z
//   outside of its real domain a function is NaN, as in real numbers.
std::vector<std::vector<std::complex<double>>> InterpretComplex(
    const Function& function, const std::vector<std::vector<std::complex<double>>>& inputs);

}  // namespace costate

#endif  // COSTATE_ENGINE_INTERPRETER_COMPLEX_EVALUATE_H_

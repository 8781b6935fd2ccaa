// Derivatives by evaluation alone, the witness of those made by transformation.
#ifndef COSTATE_TESTS_ENGINE_AUTODIFF_DERIVATIVE_CHECKS_H_
#define COSTATE_TESTS_ENGINE_AUTODIFF_DERIVATIVE_CHECKS_H_

#include <functional>
#include <string>
#include <vector>

#include "engine/autodiff/autodiff.h"
#include "engine/model/function_builder.h"
#include "engine/model/ir.h"

namespace costate {

using Buffers = std::vector<std::vector<double>>;

// d/ds f(x + s dx) at s = 0 by central differences of sixth order; error about 1e-11 relative for
// functions of moderate size. `directions` has one vector per entry of `wrt`.
Buffers DirectionalDifference(const Function& f, const Buffers& inputs, const std::vector<int>& wrt,
                              const Buffers& directions);

// The transforms, which must succeed and give verified functions.
Function JvpOf(const Function& f, const std::vector<int>& wrt, bool keep_values = true);
Function VjpOf(const Function& f, const std::vector<int>& wrt, bool keep_values = true);

// All input buffers of f.
std::vector<int> AllInputs(const Function& f);

// a then b.
Buffers Joined(Buffers a, const Buffers& b);
// Buffers [first, last).
Buffers Part(const Buffers& buffers, size_t first, size_t last);

// The inner product over all buffers.
double Dot(const Buffers& a, const Buffers& b);

// Vectors of the sizes of `buffers`, elements in [-1, 1].
Buffers RandomBuffers(const std::vector<Buffer>& buffers, uint64_t seed);

// |a - b| <= tolerance * (1 + |a|) for every element.
void ExpectClose(const Buffers& a, const Buffers& b, double tolerance, const std::string& where);

// Same bits; a NaN equals a NaN.
void ExpectSameBits(const Buffers& a, const Buffers& b, const std::string& where);

// A function {x[n]} -> {out[m]} of one expression; `build` gets the whole of x as a vector.
Function FunctionOf(int64_t n, const std::function<ValueId(FunctionBuilder&, ValueId)>& build);

}  // namespace costate

#endif  // COSTATE_TESTS_ENGINE_AUTODIFF_DERIVATIVE_CHECKS_H_

// Right-hand sides as one would write them in C++, compiled with -O3 -march=native: the reference
// of kernel_bench. The equations and parameter orders are those of tests/problems/*.ode.
#ifndef COSTATE_TESTS_BENCHMARKS_REFERENCE_FIELDS_H_
#define COSTATE_TESTS_BENCHMARKS_REFERENCE_FIELDS_H_

namespace costate {

// All have the signature of Kernel::Entry with inputs {t, y, p} and outputs {dy}, one lane.
void ReferenceLorenz(const void* context, const double* const* inputs, double* const* outputs,
                     double* scratch);
void ReferenceSir(const void* context, const double* const* inputs, double* const* outputs,
                  double* scratch);
void ReferenceNeuron(const void* context, const double* const* inputs, double* const* outputs,
                     double* scratch);

}  // namespace costate

#endif  // COSTATE_TESTS_BENCHMARKS_REFERENCE_FIELDS_H_

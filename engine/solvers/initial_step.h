// The first step size.
#ifndef COSTATE_ENGINE_SOLVERS_INITIAL_STEP_H_
#define COSTATE_ENGINE_SOLVERS_INITIAL_STEP_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/kernel.h"

namespace costate {

// Starting step of Hairer, Norsett, Wanner I, II.4, from two evaluations. Keeps the scratch of
// its kernel. Thread-safety: one thread.
class InitialStep {
 public:
  // `value` evaluates the right-hand side with one lane. `order` is min(order, error_order).
  InitialStep(Kernel value, int64_t num_states, int order);

  // f(t, y, p); valid until the next call.
  const double* Derivative(double t, const double* y, const double* p);

  // |h| for y' from `derivative` = f(t, y, p), in (0, longest]. `direction` is 1 or -1.
  double Choose(double t, const double* y, const double* p, const double* derivative,
                double direction, double longest, absl::Span<const double> atol, double rtol);

 private:
  void Evaluate(double t, const double* y, const double* p, double* out);

  Kernel value_;
  int64_t n_;
  int order_;
  std::vector<double> derivative_, y_trial_, f_trial_, scratch_;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_INITIAL_STEP_H_

// How many steps a solve will take, from a few evaluations at its start.
#ifndef COSTATE_ENGINE_STEP_PROBE_H_
#define COSTATE_ENGINE_STEP_PROBE_H_

#include "engine/bind.h"
#include "engine/solvers/problem.h"

namespace costate {

struct StepForecast {
  double steps = 0;      // of one trajectory over the longest span
  bool measured = true;  // false: nothing could be evaluated, and `steps` is kGuessedAdaptiveSteps
  // The limit of the method's stability, not accuracy, decides about them.
  bool stiff = false;
  double spectral_radius = 0;  // of df/dy where it was looked at
};

// Steps of an adaptive solve where nothing can be evaluated.
inline constexpr double kGuessedAdaptiveSteps = 1000;

// Known with fixed steps and grids. Else the first trajectory is looked at, at most kProbeCalls
// calls of the right-hand side: by the first-step heuristic (Hairer, Norsett and Wanner I, II.4)
// one Euler step is taken, so that a layer in which a model becomes stiff is entered; at its end
// the spectral radius rho of df/dy by power iteration with differences of the right-hand side, each
// state in units of its size (as Sommeijer, Shampine and Verwer 1998, J. Comput. Appl. Math. 88, do
// for RKC). With the stability limit x of the method (stability.h),
//   steps = max(span * rho / x, span / h),
// h the step at which h^(p+1) |f| w^p / 1000 is 1 in tolerances, w = |df| / |f| per unit of time in
// that step, p the order that is controlled. Where the fastest mode decays and the span is over
// 5000 of its time constants, accuracy asks for such steps for 20 of them only.
//
// Within a factor of 3 for the problems of the tests, of 20 where the Euler step goes past the
// layer (Robertson at loose tolerances). What a model becomes later cannot be seen. Never fails;
// the same in every run.
inline constexpr int kProbeCalls = 8;
StepForecast ForecastSteps(const BoundSimulation& bound, const SolveOptions& options);

}  // namespace costate

#endif  // COSTATE_ENGINE_STEP_PROBE_H_

// From the options of a request to those in force.
#ifndef COSTATE_ENGINE_RESOLVE_OPTIONS_H_
#define COSTATE_ENGINE_RESOLVE_OPTIONS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/bind.h"
#include "engine/engine.h"
#include "engine/solvers/problem.h"

namespace costate {

// `options` is what the driver runs with, `resolution` what the result echoes: the same solve.
struct ResolvedOptions {
  SolveOptions options;
  Resolution resolution;
};

// Chooses the method where asked to, validates, and fills in defaults; `save`, if given, stands in
// for that of the request. Field paths are those of the wire's Simulation: options.adaptive.rtol
// and so on.
absl::StatusOr<ResolvedOptions> ResolveOptions(const Simulation& simulation,
                                               const BoundSimulation& bound,
                                               std::optional<SaveAt> save = std::nullopt);

// Below this rtol, `auto` takes dopri8 instead of tsit5. Measured (gradient_bench, "method auto"):
// at 1e-9 dopri8 takes 0.4 of the time of tsit5 on Lotka-Volterra, Lorenz and van der Pol, and less
// on the bursting neuron too; at 1e-8 the neuron, held back by stability, is still faster with
// tsit5.
inline constexpr double kHighOrderRtol = 1e-8;

}  // namespace costate

#endif  // COSTATE_ENGINE_RESOLVE_OPTIONS_H_

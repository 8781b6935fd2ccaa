// The reversible construction of McCallum and Foster (arXiv 2410.11648) over a Runge-Kutta method
// with increment Psi_h(t, y) and coupling lambda in (0, 1]; z starts as y.
//
//   y1 = lambda (y0 - z0) + z0 + Psi_h(t0, z0)
//   z1 = z0 - Psi_{-h}(t1, y1)
// and back
//   z0 = z1 + Psi_{-h}(t1, y1)
//   y0 = (y1 - z0 - Psi_h(t0, z0)) / lambda + z0
//
// The error is the embedded one of the second increment. Dense output, from that of the base:
//   y(t + theta h) = z0 + Psi_h(theta) + w(theta) (y0 - z0),  w = 1 - theta + theta lambda.
// A step keeps the stages of both increments and y1.
#ifndef COSTATE_ENGINE_SOLVERS_REVERSIBLE_COUPLED_H_
#define COSTATE_ENGINE_SOLVERS_REVERSIBLE_COUPLED_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/solvers/stepper.h"

namespace costate::reversible {

inline constexpr double kDefaultCoupling = 0.999;

constexpr int CoupledStages(int base_stages) { return 2 * base_stages + 1; }

// `scheme.coupling` is set, and the method has a table.
absl::StatusOr<std::unique_ptr<Stepper>> MakeCoupledStepper(const Scheme& scheme,
                                                            const VectorField& field, int lanes);
absl::StatusOr<std::unique_ptr<StepReplay>> MakeCoupledReplay(const Scheme& scheme,
                                                              const VectorField& field,
                                                              const ReplayUse& use);
absl::StatusOr<std::unique_ptr<StepInverse>> MakeCoupledInverse(const Scheme& scheme,
                                                                const VectorField& field,
                                                                int lanes);
absl::StatusOr<std::unique_ptr<LaneReplay>> MakeCoupledLaneReplay(const Scheme& scheme,
                                                                  const VectorField& field);

}  // namespace costate::reversible

#endif  // COSTATE_ENGINE_SOLVERS_REVERSIBLE_COUPLED_H_

// The explicit Runge-Kutta family: factories, defined for each method in its own source.
#ifndef COSTATE_ENGINE_SOLVERS_RK_ERK_H_
#define COSTATE_ENGINE_SOLVERS_RK_ERK_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/solvers/rk/tableau.h"
#include "engine/solvers/stepper.h"

namespace costate::rk {

// T is one of the tables of this folder.
template <typename T>
absl::StatusOr<std::unique_ptr<Stepper>> MakeErkStepper(const VectorField& field, int lanes);
template <typename T>
absl::StatusOr<std::unique_ptr<StepReplay>> MakeErkReplay(const VectorField& field,
                                                          const ReplayUse& use);
template <typename T>
absl::StatusOr<std::unique_ptr<LaneReplay>> MakeErkLaneReplay(const VectorField& field);

// The table of a method at run time, for tests and analysis.
TableauView GetTableau(Method method);

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_ERK_H_

#include "engine/solvers/rk/tsit5.h"

#include "engine/solvers/rk/erk_stepper.h"

namespace costate::rk {

template absl::StatusOr<std::unique_ptr<Stepper>> MakeErkStepper<Tsit5>(const VectorField& field,
                                                                        int lanes);

}  // namespace costate::rk

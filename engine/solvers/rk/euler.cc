#include "engine/solvers/rk/euler.h"

#include "engine/solvers/rk/erk_lane_replay.h"
#include "engine/solvers/rk/erk_replay.h"
#include "engine/solvers/rk/erk_stepper.h"

namespace costate::rk {

template absl::StatusOr<std::unique_ptr<Stepper>> MakeErkStepper<Euler>(const VectorField& field,
                                                                        int lanes);
template absl::StatusOr<std::unique_ptr<StepReplay>> MakeErkReplay<Euler>(const VectorField& field,
                                                                          const ReplayUse& use);
template absl::StatusOr<std::unique_ptr<LaneReplay>> MakeErkLaneReplay<Euler>(
    const VectorField& field);

}  // namespace costate::rk

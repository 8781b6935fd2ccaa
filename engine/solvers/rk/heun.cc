#include "engine/solvers/rk/heun.h"

#include "engine/solvers/rk/erk_lane_replay.h"
#include "engine/solvers/rk/erk_replay.h"
#include "engine/solvers/rk/erk_stepper.h"

namespace costate::rk {

template absl::StatusOr<std::unique_ptr<Stepper>> MakeErkStepper<Heun>(const VectorField& field,
                                                                       int lanes);
template absl::StatusOr<std::unique_ptr<StepReplay>> MakeErkReplay<Heun>(const VectorField& field,
                                                                         const ReplayUse& use);
template absl::StatusOr<std::unique_ptr<LaneReplay>> MakeErkLaneReplay<Heun>(
    const VectorField& field);

}  // namespace costate::rk

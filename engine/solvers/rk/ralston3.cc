#include "engine/solvers/rk/ralston3.h"

#include "engine/solvers/rk/erk_lane_replay.h"
#include "engine/solvers/rk/erk_replay.h"
#include "engine/solvers/rk/erk_stepper.h"

namespace costate::rk {

template absl::StatusOr<std::unique_ptr<Stepper>> MakeErkStepper<Ralston3>(const VectorField& field,
                                                                           int lanes);
template absl::StatusOr<std::unique_ptr<StepReplay>> MakeErkReplay<Ralston3>(
    const VectorField& field, const ReplayUse& use);
template absl::StatusOr<std::unique_ptr<LaneReplay>> MakeErkLaneReplay<Ralston3>(
    const VectorField& field);

}  // namespace costate::rk

#include "engine/solvers/rk/midpoint.h"

#include "engine/solvers/rk/erk_lane_replay.h"
#include "engine/solvers/rk/erk_replay.h"
#include "engine/solvers/rk/erk_stepper.h"

namespace costate::rk {

template absl::StatusOr<std::unique_ptr<Stepper>> MakeErkStepper<Midpoint>(const VectorField& field,
                                                                           int lanes);
template absl::StatusOr<std::unique_ptr<StepReplay>> MakeErkReplay<Midpoint>(
    const VectorField& field, const ReplayUse& use);
template absl::StatusOr<std::unique_ptr<LaneReplay>> MakeErkLaneReplay<Midpoint>(
    const VectorField& field);

}  // namespace costate::rk

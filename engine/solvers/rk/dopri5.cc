#include "engine/solvers/rk/dopri5.h"

#include "engine/solvers/rk/erk_lane_replay.h"
#include "engine/solvers/rk/erk_replay.h"
#include "engine/solvers/rk/erk_stepper.h"

namespace costate::rk {

template absl::StatusOr<std::unique_ptr<Stepper>> MakeErkStepper<Dopri5>(const VectorField& field,
                                                                         int lanes);
template absl::StatusOr<std::unique_ptr<StepReplay>> MakeErkReplay<Dopri5>(const VectorField& field,
                                                                           const ReplayUse& use);
template absl::StatusOr<std::unique_ptr<LaneReplay>> MakeErkLaneReplay<Dopri5>(
    const VectorField& field);

}  // namespace costate::rk

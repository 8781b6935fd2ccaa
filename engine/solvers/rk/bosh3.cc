#include "engine/solvers/rk/bosh3.h"

#include "engine/solvers/rk/erk_lane_replay.h"
#include "engine/solvers/rk/erk_replay.h"
#include "engine/solvers/rk/erk_stepper.h"

namespace costate::rk {

template absl::StatusOr<std::unique_ptr<Stepper>> MakeErkStepper<Bosh3>(const VectorField& field,
                                                                        int lanes);
template absl::StatusOr<std::unique_ptr<StepReplay>> MakeErkReplay<Bosh3>(const VectorField& field,
                                                                          const ReplayUse& use);
template absl::StatusOr<std::unique_ptr<LaneReplay>> MakeErkLaneReplay<Bosh3>(
    const VectorField& field);

}  // namespace costate::rk

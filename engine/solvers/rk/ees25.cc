#include "engine/solvers/rk/ees25.h"

#include "engine/solvers/rk/erk_lane_replay.h"
#include "engine/solvers/rk/erk_replay.h"
#include "engine/solvers/rk/erk_stepper.h"

namespace costate::rk {

template absl::StatusOr<std::unique_ptr<Stepper>> MakeErkStepper<Ees25>(const VectorField& field,
                                                                        int lanes);
template absl::StatusOr<std::unique_ptr<StepReplay>> MakeErkReplay<Ees25>(const VectorField& field,
                                                                          const ReplayUse& use);
template absl::StatusOr<std::unique_ptr<LaneReplay>> MakeErkLaneReplay<Ees25>(
    const VectorField& field);

}  // namespace costate::rk

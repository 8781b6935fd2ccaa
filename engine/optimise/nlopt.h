// Derivative-free and global methods of NLopt (Johnson, "The NLopt nonlinear-optimization
// package"), asked and told.
//
// NLopt calls the objective, so an unfinished search runs on a thread of its own that waits for
// answers. Its state is the list of values told: they are a function of the seed and the answers,
// so that a restored search is the same search told the same values again, point for point.
#ifndef COSTATE_ENGINE_OPTIMISE_NLOPT_H_
#define COSTATE_ENGINE_OPTIMISE_NLOPT_H_

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/optimise/optimiser.h"
#include "engine/optimise/state_bytes.h"

namespace costate::optimise {

// INVALID_ARGUMENT for "nlopt_algorithm" with the names that work, unless `name` is one.
absl::Status CheckNloptAlgorithm(std::string_view name);

// INVALID_ARGUMENT for "nlopt_algorithm" where the method needs bounds the box has not.
absl::StatusOr<std::unique_ptr<Optimiser>> MakeNlopt(const OptimiserOptions& options, Box box,
                                                     std::vector<double> start);

// Null if what follows in `reader` is not its state, or leads to other points.
std::unique_ptr<Optimiser> RestoreNlopt(const OptimiserOptions& options, Box box,
                                        StateReader& reader);

}  // namespace costate::optimise

#endif  // COSTATE_ENGINE_OPTIMISE_NLOPT_H_

// Gradients of passes that are solved: what calls that solve and calls on a kept solve share.
#ifndef COSTATE_ENGINE_SOLVED_PASS_H_
#define COSTATE_ENGINE_SOLVED_PASS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/bind.h"
#include "engine/engine.h"
#include "engine/gradient_pass.h"
#include "engine/gradients/loss.h"

namespace costate {

// ValidateLoss against every span of the batch.
absl::Status ValidateLossForAll(const Loss& loss, const BoundSimulation& bound);

// The same for cotangents of one trajectory, which have linear and terminal terms alone. Field
// paths: cotangents[v]...
absl::Status ValidateCotangents(const std::vector<Loss>& cotangents, const BoundSimulation& bound);

// RESOURCE_EXHAUSTED if gradients [rows, columns] pass limits::kMaxSavedBytes; `what` are the rows.
absl::Status CheckGradientRoom(int64_t rows, std::string_view what, int64_t columns);

// Loss, gradient, termination and stats at the saved values of `pass`, where they stay. `loss` is
// prepared; `value` receives it with its cotangents, NaN where the solve ended early.
absl::StatusOr<GradientResult::PerTrajectory> DifferentiateSolved(const Loss& loss,
                                                                  const PassInput& input,
                                                                  GradientPass* pass,
                                                                  LossValue* value);

// Fills gradients [V, q] and values [V] of `result`, whose wrt is set: all cotangents pulled back
// together.
absl::Status PullBackSolved(const std::vector<Loss>& cotangents, const PassInput& input,
                            GradientPass* pass, VjpResult* result);

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVED_PASS_H_

// Losses that are texts, made fit for the passes: expressions compiled, running losses made a state
// of the model.
//
// All preparation happens after the names and options of a request were resolved, so no message
// speaks of what is added here.
#ifndef COSTATE_ENGINE_PREPARE_LOSS_H_
#define COSTATE_ENGINE_PREPARE_LOSS_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/bind.h"
#include "engine/engine.h"
#include "engine/gradients/loss.h"
#include "engine/gradients/loss_curvature.h"
#include "engine/solvers/problem.h"

namespace costate {

struct PreparedLoss {
  Loss loss;                           // as EvaluateLoss takes it
  std::shared_ptr<const Model> model;  // keeps the extended model; null: the model is as it was
  int64_t num_states = 0;              // of the model as it was
  absl::Duration compile;

  // Removes the state of a running loss from values that are returned.
  void Hide(SavedValues* saved) const;
  // Likewise: a state at fault that no one knows of is named in words alone.
  void Hide(Termination* termination) const;
};

// Compiles what `loss` says in text. With a running loss `bound` and `options` become those of the
// model with one more state, q' = the sum of the integrands with q(t0) = 0, and L += q(t1): q is
// solved along under error control, with the state's rtol and the smallest atol.
//
// `loss` is valid (ValidateLoss); the spans are not looked at. Errors are those of the texts, at
// <path>.terms[i].expression.text, ...expression.data[j].name and ...integral.integrand.
absl::StatusOr<PreparedLoss> PrepareLoss(const Loss& loss, BoundSimulation* bound,
                                         SolveOptions* options, std::string_view path = "loss");

// Kernels of the second derivatives of a prepared loss; adds the time it took to `compile`.
absl::StatusOr<CurvatureKernels> PrepareCurvature(const Model& model, const PreparedLoss& prepared,
                                                  absl::Duration* compile);

// A bound simulation of a model with `added` states more, which start at 0 and follow the init map.
void ExtendStates(std::shared_ptr<const Model> model, int64_t added, BoundSimulation* bound);

}  // namespace costate

#endif  // COSTATE_ENGINE_PREPARE_LOSS_H_

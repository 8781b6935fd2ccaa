// One trajectory solved once, then differentiated: what all gradient calls are made of.
#ifndef COSTATE_ENGINE_GRADIENT_PASS_H_
#define COSTATE_ENGINE_GRADIENT_PASS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/stop_source.h"
#include "engine/bind.h"
#include "engine/engine.h"
#include "engine/gradients/adjoint.h"
#include "engine/gradients/forward.h"
#include "engine/gradients/loss.h"
#include "engine/solvers/problem.h"

namespace costate {

// A trajectory of a bound simulation and how to go about it. All outlive the pass.
struct PassInput {
  const BoundSimulation* bound = nullptr;
  int64_t trajectory = 0;
  const SolveOptions* options = nullptr;  // with the save times of the pass
  const std::vector<WrtEntry>* wrt = nullptr;
  TangentControl control = TangentControl::kFull;
  const AdjointOptions* adjoint = nullptr;        // of methods in reverse
  bool want_times = false;                        // derivatives to the save times too
  const DifferenceOptions* difference = nullptr;  // of methods by differences
  std::vector<StepCompanion*> companions;         // of the forward solve
  const StopSource* stop = &kNeverStops;          // may change between calls of the pass
};

// What a solve left behind. `values.terminal_*` are NaN if it ended early.
struct PassPrimal {
  SavedValues values;
  Termination termination;
  GradientStats stats;
  std::vector<double> grid;  // with options.return_grid
  bool reached() const { return termination.reason == Termination::Reason::kReachedEnd; }
};

struct PassGradients {
  std::vector<double> values;  // [V, q], in the order of wrt
  std::vector<double> times;   // [V, K], with PassInput::want_times
};

// Solve, then PullBack for any number of cotangents of the same saved values.
class GradientPass {
 public:
  virtual ~GradientPass() = default;

  virtual absl::Status Solve() = 0;

  // Gradients of V cotangents. NaN where the solve did not reach the end. Ends early, with NaN and
  // a termination in primal(), when the work is cancelled or the wall budget is spent.
  virtual absl::Status PullBack(absl::Span<const Cotangents> cotangents,
                                PassGradients* gradients) = 0;

  // Gradient of a loss with `value` at the saved values: its cotangents pulled back, except by
  // methods that take differences of the loss itself.
  virtual absl::Status Differentiate(const Loss& /*loss*/, const LossValue& value,
                                     PassGradients* gradients) {
    return PullBack(absl::MakeConstSpan(&value.cotangents, 1), gradients);
  }

  // Memory held for PullBack, beside primal(); the largest so far.
  virtual int64_t stored_bytes() const { return 0; }

  PassPrimal& primal() { return primal_; }

 protected:
  PassPrimal primal_;
};

// `method` is not kAuto.
std::unique_ptr<GradientPass> MakeGradientPass(GradientMethod method, const PassInput& input);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENT_PASS_H_

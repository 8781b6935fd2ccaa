// One trajectory solved once, then differentiated: what all gradient calls are made of.
#ifndef COSTATE_ENGINE_GRADIENT_PASS_H_
#define COSTATE_ENGINE_GRADIENT_PASS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/bind.h"
#include "engine/engine.h"
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
  const Cancellation* cancellation = nullptr;
  absl::Time deadline = absl::InfiniteFuture();  // of the wall budget
};

// What a solve left behind. `values.terminal_*` are NaN if it ended early.
struct PassPrimal {
  SavedValues values;
  Termination termination;
  GradientStats stats;
  std::vector<double> grid;  // with options.return_grid
  bool reached() const { return termination.reason == Termination::Reason::kReachedEnd; }
};

// Solve, then Gradient for any number of cotangents of the same saved values.
class GradientPass {
 public:
  virtual ~GradientPass() = default;

  virtual absl::Status Solve() = 0;

  // gradient [q], in the order of wrt. The solve reached the end. Ends early, with NaN and a
  // termination in primal(), when the work is cancelled or the wall budget is spent.
  virtual absl::Status Gradient(const Cotangents& cotangents, absl::Span<double> gradient) = 0;

  PassPrimal& primal() { return primal_; }

 protected:
  PassPrimal primal_;
};

// `method` is kForward or kBackprop.
std::unique_ptr<GradientPass> MakeGradientPass(GradientMethod method, const PassInput& input);

// Solves with tangents in `num_directions` directions of the space of wrt, [V, q] row-major.
struct TangentPass {
  PassPrimal primal;
  std::vector<double> states;    // [K, n, V]
  std::vector<double> terminal;  // [n, V]
};
absl::StatusOr<TangentPass> SolveInDirections(const PassInput& input, int64_t num_directions,
                                              absl::Span<const double> directions);

// RESOURCE_EXHAUSTED when that many directions cannot be held.
absl::Status CheckTangentRoom(const PassInput& input, int64_t num_directions);

// The unit directions, [q, q].
std::vector<double> UnitDirections(int64_t columns);

// d(p)/d(direction), [m, V].
std::vector<double> ParamTangents(const PassInput& input, int64_t num_directions,
                                  absl::Span<const double> directions);

// d(t0 or t1)/d(direction), [V]; empty if wrt has no entry of that kind.
std::vector<double> TimeTangents(const PassInput& input, WrtEntry::Kind kind,
                                 int64_t num_directions, absl::Span<const double> directions);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENT_PASS_H_

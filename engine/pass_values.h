// What every gradient pass does around its derivatives: saved values with their outputs, and
// cotangents of outputs turned into cotangents of states.
#ifndef COSTATE_ENGINE_PASS_VALUES_H_
#define COSTATE_ENGINE_PASS_VALUES_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/engine.h"
#include "engine/gradient_pass.h"

namespace costate {

// Options of the solve itself: what is left of the wall budget.
SolveOptions WithBudget(const PassInput& input);

// Saved values of a trajectory, outputs included. `terminal_state` is empty if it ended early.
absl::Status FillPrimal(const PassInput& input, Trajectory trajectory,
                        absl::Span<const double> terminal_state, PassPrimal* primal);

// Cotangents of states alone: those of outputs pulled back through the output map.
struct StateLoss {
  std::vector<double> saved;     // [K, n]
  std::vector<double> terminal;  // [n]
  std::vector<double> params;    // [m], the loss's own and through the output map
  double t1 = 0;                 // through the output map at t1
  std::vector<double> times;     // [K], like params; empty: none
};
absl::StatusOr<StateLoss> PullBackOutputs(const PassInput& input, const SavedValues& values,
                                          const Cotangents& cotangents);

// Cancellation, budget and a solve backwards that failed as the end of a trajectory; other errors
// stay.
absl::Status EndEarly(const PassInput& input, const absl::Status& status, PassPrimal* primal);

// Calls visit(entry, first column of the entry).
template <typename F>
void ForEachEntry(const std::vector<WrtEntry>& wrt, F visit) {
  int64_t column = 0;
  for (const WrtEntry& entry : wrt) {
    visit(entry, column);
    column += entry.size;
  }
}

}  // namespace costate

#endif  // COSTATE_ENGINE_PASS_VALUES_H_

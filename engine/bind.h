// From names and arrays to the flat vectors a solver takes.
#ifndef COSTATE_ENGINE_BIND_H_
#define COSTATE_ENGINE_BIND_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/cancellation.h"
#include "engine/engine.h"
#include "engine/solvers/problem.h"

namespace costate {

// The numbers of a Simulation. Refers to its model.
struct BoundSimulation {
  const Model* model = nullptr;
  int64_t num_trajectories = 1;  // B
  bool batched = false;
  std::vector<double> t0;      // [1] or [B]
  std::vector<double> t1;      // [1] or [B]
  std::vector<double> params;  // [m] or [B, m]
  std::vector<double> y0;      // [B, n]
  std::vector<bool> given;     // [n]: the initial value was given, init plays no part
  absl::Duration compile;      // spent on the kernel of the init map

  // All trajectories, or one of them; views into this object.
  Problem all() const;
  Problem one(int64_t trajectory) const;
};

// Checks names, shapes, batch sizes, bounds and finiteness, then evaluates the init map. A
// cancellation ends it with the status of PollCancellation.
absl::StatusOr<BoundSimulation> Bind(const Simulation& simulation,
                                     const Cancellation* cancellation = nullptr);

// Looks up names for differentiation; none means every parameter. Field paths: wrt[i].
absl::StatusOr<std::vector<WrtEntry>> ResolveWrt(const ModelIr& ir,
                                                 const std::vector<std::string>& names);

// The derivative to t0 or t1 is that of the first or the last step, so there must be one.
absl::Status CheckSpans(const BoundSimulation& bound, const std::vector<WrtEntry>& wrt);

// Sum of the entries' sizes.
int64_t NumColumns(const std::vector<WrtEntry>& wrt);

}  // namespace costate

#endif  // COSTATE_ENGINE_BIND_H_

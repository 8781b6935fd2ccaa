// Forward tangents, from a bound simulation to its columns.
#ifndef COSTATE_ENGINE_TANGENT_PASS_H_
#define COSTATE_ENGINE_TANGENT_PASS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradient_pass.h"
#include "engine/gradients/forward.h"

namespace costate {

std::unique_ptr<GradientPass> MakeForwardPass(const PassInput& input);

// Solves with tangents in `num_directions` directions of the space of wrt, [V, q] row-major.
struct TangentPass {
  PassPrimal primal;
  std::vector<double> states;    // [K, n, V]
  std::vector<double> terminal;  // [n, V]
  std::vector<double> slopes;    // [K, n] of the dense output, with PassInput::want_times
};
absl::StatusOr<TangentPass> SolveInDirections(const PassInput& input, int64_t num_directions,
                                              absl::Span<const double> directions);

// RESOURCE_EXHAUSTED when that many directions cannot be held.
absl::Status CheckTangentRoom(const PassInput& input, int64_t num_directions);

// The seeds of tangents in those directions.
absl::StatusOr<TangentSeeds> MakeSeeds(const PassInput& input, int64_t num_directions,
                                       absl::Span<const double> directions);

// |value| of each column's quantity, or 1 where that is 0; |t1 - t0| for the times. [q]
std::vector<double> ColumnSizes(const PassInput& input);

// The unit directions, [q, q].
std::vector<double> UnitDirections(int64_t columns);

// d(p)/d(direction), [m, V].
std::vector<double> ParamTangents(const PassInput& input, int64_t num_directions,
                                  absl::Span<const double> directions);

// d(t0 or t1)/d(direction), [V]; empty if wrt has no entry of that kind.
std::vector<double> TimeTangents(const PassInput& input, WrtEntry::Kind kind,
                                 int64_t num_directions, absl::Span<const double> directions);

}  // namespace costate

#endif  // COSTATE_ENGINE_TANGENT_PASS_H_

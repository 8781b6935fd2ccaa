// A map and its derivatives along the rows of an array: initial values of a batch, outputs at
// saved times. Rows run in lanes; results do not depend on that.
#ifndef COSTATE_ENGINE_MAP_ROWS_H_
#define COSTATE_ENGINE_MAP_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/base/cancellation.h"
#include "engine/solvers/vector_field.h"

namespace costate {

// Points at which a map g(t, y, p) is taken. All arrays are row-major.
struct MapPoints {
  int64_t rows = 0;           // R
  const double* t = nullptr;  // [R], or [1] with t_stride 0
  int64_t t_stride = 1;
  const double* y = nullptr;  // [R, num_states]
  const double* p = nullptr;  // [R, m] with p_stride m, or [m] with p_stride 0
  int64_t p_stride = 0;
  // Both looked at in every group of rows.
  const Cancellation* cancellation = nullptr;
  absl::Duration budget = absl::InfiniteDuration();  // wall-clock time for the call
};

// Null and untouched ones are OK; otherwise CANCELLED, DEADLINE_EXCEEDED or UNAVAILABLE by the
// reason. `doing` completes the message: "cancelled while ...".
absl::Status PollCancellation(const Cancellation* cancellation, const char* doing);

// Builds kernels ahead of the numerical work, so that both can be timed. Returns the time spent. A
// cancellation is seen between kernels.
struct KernelNeed {
  const DifferentiableMap* map;
  MapKernel kind;
  int lanes;  // 0: not needed after all
};
absl::StatusOr<absl::Duration> PrepareKernels(const absl::InlinedVector<KernelNeed, 6>& needs,
                                              const Cancellation* cancellation = nullptr);

// Lane count of the kernels the calls below use for that many rows.
int RowLanes(const DifferentiableMap& map, int64_t rows);

// Each call does nothing for a map without values. A cancellation ends it with the status of
// PollCancellation, a spent budget with ABORTED; the rows not come to are left as they were.

// values [R, num_values] = g.
absl::Status EvaluateRows(const DifferentiableMap& map, const MapPoints& points, double* values);

// Reverse: cotangents [R, num_values]. Adds to c_t [R], c_y [R, num_states] and c_p [m], the last
// summed over the rows in order; null ones are left out. p_stride must be 0.
absl::Status TransposeRows(const DifferentiableMap& map, const MapPoints& points,
                           const double* cotangents, double* c_t, double* c_y, double* c_p);

// Tangents of columns q = 0..C-1 at every row: d_t [C] (null: zero), d_y [R, num_states, C] and
// d_p [m, C] give d_values [R, num_values, C]. p_stride must be 0.
absl::Status PushRows(const DifferentiableMap& map, const MapPoints& points, int64_t columns,
                      const double* d_t, const double* d_y, const double* d_p, double* d_values);

}  // namespace costate

#endif  // COSTATE_ENGINE_MAP_ROWS_H_

// Forward tangents: dy/dq for columns q, carried along the solve step by step.
#ifndef COSTATE_ENGINE_GRADIENTS_FORWARD_H_
#define COSTATE_ENGINE_GRADIENTS_FORWARD_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/cancellation.h"
#include "engine/solvers/integrate.h"
#include "engine/solvers/problem.h"

namespace costate {

// Whose error decides about a step. A state's weight never contains its tangents.
enum class TangentControl {
  kFull,        // state and every tangent column, each with weights of its own; the largest decides
  kPrimalOnly,  // the state alone: the same steps, with the same bits, as the plain solve
};

// Columns q = 0..C-1. The weight of column q, element i is
//   atol_i / scale_q + rtol * max(|S_iq|) at the ends of the step
// with scale_q = |value of the parameter| or 1 where that is 0 (CVODES guide, "Sensitivity
// tolerances"). Row-major.
struct TangentSeeds {
  int64_t num_columns = 0;      // C
  std::vector<double> initial;  // [n, C], d y(t0) / dq
  std::vector<double> params;   // [m, C], d p / dq; empty: all zero
  std::vector<double> t0;       // [C]; empty: all zero
  std::vector<double> t1;       // [C]; empty: all zero
  std::vector<double> scale;    // [C], > 0
  bool want_slopes = false;     // fill TangentResult::slopes
};

struct TangentStats {
  int64_t jvp_evaluations = 0;        // kernel calls
  double max_error_ratio = 0;         // largest scaled tangent error of an accepted step
  double error_ratio_quantile90 = 0;  // over accepted steps (the maximum under 50 steps)
  double share_above_one = 0;         // of accepted steps
  // Largest scale_q |S_q| / |y| at the end of a step, over columns (Euclidean norms), and its time.
  double amplification = 0;
  double amplification_time = 0;
};

struct TangentResult {
  Trajectory trajectory;               // values, from the same pass
  std::vector<double> tangents;        // [K, n, C] at trajectory.times
  std::vector<double> terminal_state;  // [n]
  std::vector<double> terminal;        // [n, C] at t1, which moves with t1
  // [K, n], of the dense output at the saved times, each in the step that made it (at t0 the
  // first); 0 in a span without steps.
  std::vector<double> slopes;
  TangentStats stats;
};

// B must be 1. Results do not depend on how columns are split into blocks. Methods without an
// error estimate, fixed steps and grids have no control: kFull is then the same as kPrimalOnly.
absl::StatusOr<TangentResult> SolveWithTangents(const Problem& problem, const SolveOptions& options,
                                                const TangentSeeds& seeds, TangentControl control,
                                                const IntegrateHooks& hooks = {});

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_FORWARD_H_

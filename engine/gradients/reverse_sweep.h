// The discrete adjoint itself: cotangents pulled back through one recorded step after another.
// Exact for the accepted steps; the choice of step sizes is not differentiated (this is also ACA,
// Zhuang et al. 2020, arXiv 2006.02493).
#ifndef COSTATE_ENGINE_GRADIENTS_REVERSE_SWEEP_H_
#define COSTATE_ENGINE_GRADIENTS_REVERSE_SWEEP_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradients/adjoint.h"
#include "engine/solvers/stepper.h"

namespace costate {

// Holds lambda = dL/dy at the current grid point, for V cotangents: alone, or in blocks of SIMD
// lanes. A cotangent's bits do not depend on V. Thread-safety: one thread.
class ReverseSweep {
 public:
  // `params`, `times` ([N + 1], the recorded grid) and the arrays of `cotangents` outlive the
  // sweep. INVALID_ARGUMENT for sizes that do not fit.
  static absl::StatusOr<std::unique_ptr<ReverseSweep>> Create(
      const Scheme& scheme, const VectorField& field, absl::Span<const double> params,
      absl::Span<const double> times, absl::Span<const StateCotangents> cotangents,
      bool want_times);

  // For i = N - 1 .. 0.
  void Step(int64_t i, const StepRecord& step);

  // After the last step; adds counts to `stats`.
  std::vector<AdjointResult> Take(AdjointStats* stats) &&;

 private:
  // W cotangents at once; arrays are [element][lane].
  struct Block {
    std::vector<double> saved;                        // [K][n][W]
    std::vector<double> lambda;                       // [carried][n][W]
    std::vector<double> params;                       // [m][W]
    std::vector<double> t0, t1;                       // [W]
    std::vector<double> times;                        // [K][W]; empty unless wanted
    std::vector<StepReplay::SavedCotangent> in_step;  // of the step in hand
  };

  ReverseSweep(absl::Span<const double> params, absl::Span<const double> times,
               absl::Span<const StateCotangents> cotangents, std::unique_ptr<StepReplay> replay,
               int carried, int width, bool want_times);
  void FillBlock(int64_t first);
  void CollectSaved(Block& block, int64_t first_row, int64_t last_row, const StepRecord& step,
                    bool last);
  void AddTimeDerivatives(int64_t first_row, int64_t last_row, const StepRecord& step);
  void AddToLambda(Block& block, int64_t row) const;
  void PullStart(Block& block, const StepRecord& step);

  const absl::Span<const double> params_;
  const absl::Span<const double> times_;
  const absl::Span<const StateCotangents> cotangents_;
  const std::unique_ptr<StepReplay> replay_;
  const int carried_;
  const int width_;  // W
  const int64_t n_;
  const int64_t num_steps_;
  const bool want_times_;
  int64_t remaining_;  // rows of the cotangents not yet used
  std::vector<Block> blocks_;
  std::vector<double> slope_;  // [n]
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_REVERSE_SWEEP_H_

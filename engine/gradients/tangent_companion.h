// Tangent columns that ride along with a solve, in blocks of SIMD lanes.
#ifndef COSTATE_ENGINE_GRADIENTS_TANGENT_COMPANION_H_
#define COSTATE_ENGINE_GRADIENTS_TANGENT_COMPANION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradients/error_ratios.h"
#include "engine/gradients/forward.h"
#include "engine/solvers/integrate.h"
#include "engine/solvers/stepper.h"
#include "engine/solvers/stop_watch.h"

namespace costate {

// Carries S = dy/dq, [n, C], from step to step by replaying each step's tangent. Blocks of W
// columns are independent of each other, so results do not depend on W.
// Thread-safety: one thread.
class TangentCompanion : public StepCompanion {
 public:
  // `problem`, `options` and `seeds` must outlive the companion; B is 1. `cancellation` may be
  // null; it and the wall budget are looked at between blocks, of which a step may have many.
  // RESOURCE_EXHAUSTED when columns and saved tangents would pass limits::kMaxSavedBytes.
  static absl::StatusOr<std::unique_ptr<TangentCompanion>> Create(
      const Problem& problem, const SolveOptions& options, const TangentSeeds& seeds,
      TangentControl control, const Cancellation* cancellation = nullptr);

  absl::Status Begin(double t0, const double* y0) override;
  double TrialError(const StepRecord& step, const double* y_new) override;
  absl::Status Accept(const StepRecord& step, const double* y_new,
                      absl::Span<const double> saved_theta) override;

  // After the solve, which it describes.
  TangentResult Take(Trajectory trajectory) &&;

 private:
  // W columns in lanes; arrays are [element][lane].
  struct Block {
    std::unique_ptr<StepReplay> replay;
    int64_t first_column = 0;
    int64_t columns = 0;             // <= W, the other lanes are zero
    std::vector<double> t0, t1;      // [W] seeds
    std::vector<double> params;      // [m][W] seeds
    std::vector<double> state;       // [n][W] at the current point
    std::vector<double> next;        // [n][W] at the end of the tried step
    std::vector<double> error;       // [n][W] of the tried step
    std::vector<double> slope;       // [n][W] tangent of f at the current point, once known
    std::vector<double> next_slope;  // [n][W] at the end of the tried step (FSAL methods)
    std::vector<double> weight;      // [n][W] atol_i / scale_q
    std::vector<double> d_t, d_h;    // [W] of the tried step
  };

  TangentCompanion(const Problem& problem, const SolveOptions& options, const TangentSeeds& seeds,
                   TangentControl control, const Cancellation* cancellation);
  absl::Status Init(const TangentSeeds& seeds);
  absl::Status MakeBlock(const TangentSeeds& seeds, int64_t first_column);
  absl::Status SaveStart(const TangentSeeds& seeds);
  absl::Status CheckRoom(int64_t rows) const;

  bool Stopped();

  // Tangents of the tried step in all blocks; the largest error ratio over columns. Infinite, with
  // blocks left out, when stopped.
  double Try(const StepRecord& step);
  void Start(const StepRecord& step);
  double ErrorRatio(const Block& block) const;
  void MeasureAmplification(const StepRecord& step, const double* y_new);
  bool IsFirst(const StepRecord& step) const;
  bool IsLast(const StepRecord& step) const;
  void SaveRow(const StepRecord& step, double theta);
  void SaveSlope(double theta);
  void CopyOut(const Block& block, const std::vector<double>& lanes, double* rows) const;

  const Problem& problem_;
  const SolveOptions& options_;
  const int64_t n_;
  const int64_t columns_;
  const int64_t carried_;  // rows of what a step carries
  const bool fsal_;
  const bool has_error_;  // the method estimates an error
  const bool judges_;     // and it takes part in step control
  const bool wants_slopes_;
  int lanes_ = 1;
  std::vector<Block> blocks_;
  std::vector<double> interpolated_;  // [n][W]
  bool started_ = false;              // Block::state holds all that is carried
  bool slope_known_ = false;          // Block::slope holds
  double tried_ratio_ = 0;
  ErrorRatios ratios_;         // of accepted steps
  std::vector<double> scale_;  // [C]
  double amplification_ = 0;
  double amplification_time_ = 0;
  StopWatch watch_;
  std::optional<Termination::Reason> stopped_;  // then tangents are not whole any more
  int64_t rows_ = 0;                            // saved so far
  std::vector<double> tangents_;                // [rows, n, C]
  std::vector<double> slopes_;                  // [rows, n], behind tangents_ until the first step
  std::vector<double> last_state_;              // [n]
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_TANGENT_COMPANION_H_

// A fit that is ready to run: its objective and the options in force.
#ifndef COSTATE_SERVER_JOBS_PREPARED_FIT_H_
#define COSTATE_SERVER_JOBS_PREPARED_FIT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "costate/v1/fit.pb.h"
#include "engine/fit/fit.h"
#include "engine/fit/objective.h"
#include "server/call.h"
#include "server/metrics.h"

namespace costate::jobs {

struct PreparedFit {
  std::shared_ptr<const fit::Objective> objective;
  fit::FitOptions options;
  double cost_per_start = 0;   // element operations, a guess: nobody knows the iterations
  double bytes_per_start = 0;  // held at once while it runs
  double result_bytes = 0;     // of the whole fit, traces left out
};

// Resolves the model and checks everything. Errors have field paths that begin with `field`, a
// FitRequest that was validated.
absl::StatusOr<PreparedFit> PrepareFit(CallContext& call, const std::string& field,
                                       const v1::FitRequest& request);

// Tells the metrics of the solver steps of an objective that this task alone evaluates.
class StepMeter {
 public:
  // Both outlive it.
  StepMeter(Metrics& metrics, const fit::Objective& objective)
      : metrics_(metrics), objective_(objective) {}
  ~StepMeter() { Record(); }
  StepMeter(const StepMeter&) = delete;
  StepMeter& operator=(const StepMeter&) = delete;

  // Those since the last time.
  void Record();

 private:
  Metrics& metrics_;
  const fit::Objective& objective_;
  SolveStats recorded_;
};

// The starts of a fit in tasks of one size, a multiple of the lanes.
struct Chunks {
  int64_t starts = 1;
  int64_t count = 1;

  int64_t size() const;
  int64_t first(int64_t task) const { return task * size(); }
  int64_t length(int64_t task) const;
};

// As many starts to a task as make it seconds to minutes long, and hold a quarter of
// `memory` at most.
Chunks ChooseChunks(const PreparedFit& fit, int64_t memory);

// Starts per kernel, and of which chunks are multiples.
inline constexpr int64_t kChunkLanes = 8;

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_PREPARED_FIT_H_

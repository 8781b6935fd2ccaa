// How long work is expected to take, learned from the work that was done.
#ifndef COSTATE_SERVER_DELAY_MODEL_H_
#define COSTATE_SERVER_DELAY_MODEL_H_

#include "absl/time/time.h"

namespace costate {

// Seconds per unit of estimated cost, as a ratio of exponentially forgotten sums, so that an
// estimate that is always too high by the same factor does no harm. Not thread-safe.
class DelayModel {
 public:
  // A task of estimated cost `cost` (> 0) took `time`.
  void Record(double cost, absl::Duration time);

  absl::Duration TimeFor(double cost) const;

 private:
  // The prior: 10^9 units took 0.1 s.
  double cost_sum_ = 1e9;
  double seconds_sum_ = 0.1;
};

}  // namespace costate

#endif  // COSTATE_SERVER_DELAY_MODEL_H_

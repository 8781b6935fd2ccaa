// Accepted steps of a solve, evenly chosen, in bounded memory.
#ifndef COSTATE_ENGINE_STABILITY_STEP_SAMPLER_H_
#define COSTATE_ENGINE_STABILITY_STEP_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "engine/solvers/integrate.h"

namespace costate::stability {

// Keeps every k-th step, k a power of two that doubles whenever more than 2 * count - 1 would be
// kept. Thread-safety: one thread.
class StepSampler : public StepCompanion {
 public:
  // count >= 1.
  StepSampler(int64_t num_states, int64_t count);

  double TrialError(const StepRecord& step, const double* y_new) override;
  absl::Status Accept(const StepRecord& step, const double* y_new,
                      absl::Span<const double> saved_theta) override;

  struct Sample {
    int64_t step = 0;  // number among the accepted ones, from 0
    double t = 0, h = 0;
    std::vector<double> y;  // [n] at t
  };
  // At most `count`, evenly spaced among the kept ones, the first step included; all steps if there
  // are no more than `count`.
  std::vector<Sample> Take() &&;

  int64_t num_steps() const { return steps_; }

 private:
  const int64_t n_;
  const int64_t count_;
  int64_t stride_ = 1;
  int64_t steps_ = 0;
  std::vector<Sample> samples_;
};

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_STEP_SAMPLER_H_

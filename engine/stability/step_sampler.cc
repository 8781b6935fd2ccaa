#include "engine/stability/step_sampler.h"

#include <utility>

namespace costate::stability {

StepSampler::StepSampler(int64_t num_states, int64_t count) : n_(num_states), count_(count) {}

double StepSampler::TrialError(const StepRecord& /*step*/, const double* /*y_new*/) { return 0; }

absl::Status StepSampler::Accept(const StepRecord& step, const double* /*y_new*/,
                                 absl::Span<const double> /*saved_theta*/) {
  const int64_t number = steps_++;
  if (number % stride_ != 0) return absl::OkStatus();
  if (static_cast<int64_t>(samples_.size()) >= 2 * count_ - 1) {
    for (size_t i = 0; 2 * i < samples_.size(); ++i) {
      if (i > 0) samples_[i] = std::move(samples_[2 * i]);
    }
    samples_.resize((samples_.size() + 1) / 2);
    stride_ *= 2;
    if (number % stride_ != 0) return absl::OkStatus();
  }
  samples_.push_back({number, step.t, step.h, std::vector<double>(step.y, step.y + n_)});
  return absl::OkStatus();
}

std::vector<StepSampler::Sample> StepSampler::Take() && {
  const int64_t size = static_cast<int64_t>(samples_.size());
  if (size <= count_) return std::move(samples_);
  std::vector<Sample> taken;
  taken.reserve(count_);
  for (int64_t i = 0; i < count_; ++i) taken.push_back(std::move(samples_[i * size / count_]));
  return taken;
}

}  // namespace costate::stability

#include "engine/stability/step_sampler.h"

#include <vector>

#include <gtest/gtest.h>

namespace costate::stability {
namespace {

std::vector<StepSampler::Sample> Sampled(int64_t steps, int64_t count) {
  StepSampler sampler(2, count);
  for (int64_t i = 0; i < steps; ++i) {
    const double y[] = {static_cast<double>(i), -static_cast<double>(i), 99};  // carries more
    StepRecord step;
    step.t = 0.5 * static_cast<double>(i);
    step.h = 0.5;
    step.y = y;
    EXPECT_EQ(sampler.TrialError(step, y), 0);
    EXPECT_TRUE(sampler.Accept(step, y, {}).ok());
  }
  EXPECT_EQ(sampler.num_steps(), steps);
  return std::move(sampler).Take();
}

TEST(StepSamplerTest, FewStepsAreAllKept) {
  const auto samples = Sampled(7, 7);
  ASSERT_EQ(samples.size(), 7u);
  for (int64_t i = 0; i < 7; ++i) {
    EXPECT_EQ(samples[i].step, i);
    EXPECT_EQ(samples[i].t, 0.5 * static_cast<double>(i));
    EXPECT_EQ(samples[i].h, 0.5);
    const std::vector<double> y = {static_cast<double>(i), -static_cast<double>(i)};
    EXPECT_EQ(samples[i].y, y);
  }
}

// From the first to near the last, with gaps that differ by no more than a factor of two.
TEST(StepSamplerTest, ManyStepsAreEvenlyChosen) {
  for (const int64_t count : {1, 2, 3, 10, 50}) {
    for (const int64_t steps : {51, 99, 100, 101, 1000, 4097, 30'000}) {
      SCOPED_TRACE(testing::Message() << count << " of " << steps);
      const auto samples = Sampled(steps, count);
      ASSERT_EQ(static_cast<int64_t>(samples.size()), std::min(count, steps));
      EXPECT_EQ(samples[0].step, 0);
      int64_t least = steps, most = 0;
      for (size_t i = 0; i < samples.size(); ++i) {
        const int64_t next = i + 1 < samples.size() ? samples[i + 1].step : steps;
        least = std::min(least, next - samples[i].step);
        most = std::max(most, next - samples[i].step);
        EXPECT_EQ(samples[i].y[0], static_cast<double>(samples[i].step));
      }
      EXPECT_GT(least, 0);
      if (steps <= 2 * count) continue;
      EXPECT_LE(most, 4 * least + 2);
    }
  }
}

}  // namespace
}  // namespace costate::stability

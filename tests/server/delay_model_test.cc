#include "server/delay_model.h"

#include <gtest/gtest.h>

namespace costate {
namespace {

TEST(DelayModel, LearnsTheRateOfEstimates) {
  DelayModel model;
  for (int i = 0; i < 500; ++i) model.Record(1e9, absl::Milliseconds(1));  // 1e-12 s a unit
  EXPECT_NEAR(absl::ToDoubleSeconds(model.TimeFor(1e12)), 1.0, 0.05);
}

TEST(DelayModel, ForgetsOldRates) {
  DelayModel model;
  for (int i = 0; i < 500; ++i) model.Record(1e9, absl::Seconds(1));
  for (int i = 0; i < 500; ++i) model.Record(1e9, absl::Milliseconds(10));
  EXPECT_NEAR(absl::ToDoubleSeconds(model.TimeFor(1e9)), 0.01, 1e-3);
}

TEST(DelayModel, TakesNoWorkForNoTime) {
  DelayModel model;
  EXPECT_EQ(model.TimeFor(0), absl::ZeroDuration());
  model.Record(0, absl::ZeroDuration());
  model.Record(0, absl::Seconds(-1));
  EXPECT_GE(model.TimeFor(1), absl::ZeroDuration());
}

}  // namespace
}  // namespace costate

#include "engine/gradients/error_ratios.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace costate {
namespace {

TEST(ErrorRatios, OfNothingAreZero) {
  const ErrorRatios ratios;
  EXPECT_EQ(ratios.max(), 0);
  EXPECT_EQ(ratios.share_above_one(), 0);
  EXPECT_EQ(ratios.Quantile90(), 0);
}

TEST(ErrorRatios, OfFewTheQuantileIsTheMaximum) {
  ErrorRatios ratios;
  for (int i = 0; i < 49; ++i) ratios.Add(i == 7 ? 5 : 0.5);
  EXPECT_EQ(ratios.Quantile90(), 5);
  EXPECT_EQ(ratios.max(), 5);
  EXPECT_DOUBLE_EQ(ratios.share_above_one(), 1.0 / 49);
}

// 7 is prime to every number of ratios here, so the sequence takes each value once.
TEST(ErrorRatios, QuantileOfAllThatWereKept) {
  ErrorRatios ratios;
  for (int64_t i = 0; i < 1000; ++i) ratios.Add(static_cast<double>(i * 7 % 1000) / 500);
  EXPECT_EQ(ratios.Quantile90(), 900.0 / 500);
  EXPECT_EQ(ratios.max(), 999.0 / 500);
  EXPECT_DOUBLE_EQ(ratios.share_above_one(), 499.0 / 1000);
}

// However many come, the count, the maximum and the share are exact, and the quantile that of an
// even sample: 64 to 128 of ascending values are within a sample's distance of all of them.
TEST(ErrorRatios, ManyAreSampledEvenly) {
  for (const int64_t count : {128, 129, 1000, 1023, 1024, 54321}) {
    ErrorRatios ratios(128);
    for (int64_t i = 0; i < count; ++i) {
      ratios.Add(2 * static_cast<double>(i + 1) / static_cast<double>(count));
    }
    EXPECT_EQ(ratios.count(), count);
    EXPECT_EQ(ratios.max(), 2);
    EXPECT_DOUBLE_EQ(ratios.share_above_one(),
                     static_cast<double>(count - count / 2) / static_cast<double>(count));
    EXPECT_NEAR(ratios.Quantile90(), 1.8, 2 * 2.0 / 64) << count;
  }
}

}  // namespace
}  // namespace costate

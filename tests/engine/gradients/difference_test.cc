#include "engine/gradients/difference.h"

#include <cmath>
#include <vector>

#include "engine/gradients/random_signs.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

// sin(x + 0.3) with noise of the given size, new at every call.
class NoisySine {
 public:
  explicit NoisySine(double noise) : noise_(noise), bits_(7) {}
  absl::StatusOr<double> operator()(double x) const {
    return std::sin(x + 0.3) + noise_ * bits_.Uniform();
  }

 private:
  const double noise_;
  mutable RandomBits bits_;
};

TEST(MeasureNoise, FindsItsSize) {
  for (const double noise : {1e-12, 1e-8, 1e-4}) {
    NoisySine f(noise);
    const double measured = MeasureNoise(f, 1e-6).value();
    // The deviation of uniform noise is its bound over sqrt(3).
    EXPECT_GT(measured, noise / std::sqrt(3.0) / 4) << noise;
    EXPECT_LT(measured, noise / std::sqrt(3.0) * 4) << noise;
  }
}

TEST(MeasureNoise, IsRoundingForASmoothFunction) {
  NoisySine f(0);
  const double measured = MeasureNoise(f, 1e-6).value();
  EXPECT_GT(measured, 1e-17);
  EXPECT_LT(measured, 1e-15);
}

// Within its own estimate of the error, and about as good as the best step allows.
TEST(DifferentiateLine, BalancesNoiseAndTruncation) {
  for (const double noise : {0.0, 1e-12, 1e-8, 1e-5}) {
    for (const int side : {0, 1, -1}) {
      NoisySine f(noise);
      const double measured = MeasureNoise(f, 1e-7).value();
      const LineDerivative d = DifferentiateLine(f, measured, 0.1, side).value();
      const double best = std::pow(std::max(noise, 1e-16), 2.0 / 3.0);
      EXPECT_NEAR(d.value, std::cos(0.3), 20 * best) << noise << " " << side;
      EXPECT_LT(std::fabs(d.value - std::cos(0.3)), 10 * d.error + 1e-15) << noise << " " << side;
    }
  }
}

TEST(DifferentiateLine, GivesTheThirdDerivative) {
  NoisySine f(1e-12);
  const LineDerivative d = DifferentiateLine(f, 1e-12, 0.3).value();
  EXPECT_NEAR(d.third, std::cos(0.3), 0.1);
}

TEST(DifferentiateLine, IsNaNWithoutValues) {
  const auto f = [](double x) -> absl::StatusOr<double> { return x < 0 ? std::sqrt(x) : x; };
  EXPECT_TRUE(std::isnan(DifferentiateLine(f, 1e-16, 0.1).value().value));
  EXPECT_NEAR(DifferentiateLine(f, 1e-16, 0.1, 1).value().value, 1, 1e-9);
}

}  // namespace
}  // namespace costate

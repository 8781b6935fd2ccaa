#include "engine/stability/arnoldi.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>

namespace costate::stability {
namespace {

// The heat equation on n points: eigenvalues -4 sin^2(k pi / (2 n + 2)).
void Heat(const double* v, double* jv, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    jv[i] = -2 * v[i] + (i > 0 ? v[i - 1] : 0) + (i + 1 < n ? v[i + 1] : 0);
  }
}

double Distance(const std::vector<Complex>& values, Complex expected) {
  double nearest = std::numeric_limits<double>::infinity();
  for (const Complex value : values) nearest = std::min(nearest, std::abs(value - expected));
  return nearest;
}

TEST(ArnoldiTest, BothEndsOfASymmetricSpectrum) {
  constexpr int64_t n = 300;
  ArnoldiOptions options;
  options.max_restarts = 1000;
  options.tolerance = 1e-9;
  auto found = FindOuterEigenvalues([](const double* v, double* jv) { Heat(v, jv, n); }, n, options,
                                    nullptr, kNeverStops);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->converged);
  const auto eigenvalue = [](int64_t k) {
    const double s = std::sin(static_cast<double>(k) * std::numbers::pi / (2 * n + 2));
    return -4 * s * s;
  };
  for (int64_t k = 0; k < options.largest; ++k) {
    EXPECT_LT(Distance(found->values, eigenvalue(n - k)), 1e-9) << k;
  }
  for (int64_t k = 1; k <= options.rightmost; ++k) {
    EXPECT_LT(Distance(found->values, eigenvalue(k)), 1e-9) << k;
  }
  for (size_t i = 0; i + 1 < found->values.size(); ++i) {
    EXPECT_GE(std::abs(found->values[i]), std::abs(found->values[i + 1]));
  }
}

// Damped oscillators -k / n +- i k, two by two, with a coupling that makes the matrix non-normal.
TEST(ArnoldiTest, ConjugatePairsOfANonNormalMatrix) {
  constexpr int64_t n = 600;
  const auto multiply = [](const double* v, double* jv) {
    for (int64_t i = 0; i < n; i += 2) {
      const double k = static_cast<double>(i / 2 + 1);
      jv[i] = -k / n * v[i] - k * v[i + 1] + (i + 2 < n ? 0.5 * v[i + 2] : 0);
      jv[i + 1] = k * v[i] - k / n * v[i + 1];
    }
  };
  auto found =
      FindOuterEigenvalues(multiply, n, {.largest = 10, .rightmost = 2}, nullptr, kNeverStops);
  ASSERT_TRUE(found.ok());
  EXPECT_TRUE(found->converged);
  for (int k = 300; k > 295; --k) {
    EXPECT_LT(Distance(found->values, Complex(-k / 600.0, k)), 1e-5);
    EXPECT_LT(Distance(found->values, Complex(-k / 600.0, -k)), 1e-5);
  }
  // The rightmost, -1 / 600 +- i, lie in the middle of the others and are not claimed.
  for (const Complex value : found->values) EXPECT_GT(std::abs(value), 200);
}

TEST(ArnoldiTest, StartsWhereTheLastOneEnded) {
  constexpr int64_t n = 400;
  const auto multiply = [](const double* v, double* jv) {
    for (int64_t i = 0; i < n; ++i) jv[i] = -std::pow(0.97, static_cast<double>(i)) * v[i];
  };
  const ArnoldiOptions options = {.largest = 4, .rightmost = 0, .tolerance = 1e-10};
  auto first = FindOuterEigenvalues(multiply, n, options, nullptr, kNeverStops);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(first->converged);
  for (int k = 0; k < 4; ++k) EXPECT_LT(std::abs(first->values[k] + std::pow(0.97, k)), 1e-9);
  auto second = FindOuterEigenvalues(multiply, n, options, first->start.data(), kNeverStops);
  ASSERT_TRUE(second.ok());
  EXPECT_LT(second->products, first->products);
  auto again = FindOuterEigenvalues(multiply, n, options, nullptr, kNeverStops);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(first->values, again->values);  // a function of its arguments
}

// The largest eigenvalues of a fine grid lie together to 1e-5: they are found as values long before
// any vector is, and the work ends there.
TEST(ArnoldiTest, EndsWhenClustersStandStill) {
  constexpr int64_t n = 3000;
  const auto heat = [](const double* v, double* jv) { Heat(v, jv, n); };
  auto found = FindOuterEigenvalues(heat, n, {.tolerance = 1e-5}, nullptr, kNeverStops);
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->converged);
  EXPECT_LT(found->products, 2000);
  EXPECT_NEAR(found->values[0].real(), -4, 1e-3);
}

TEST(ArnoldiTest, SaysWhenItHasNotConverged) {
  constexpr int64_t n = 5000;
  auto found = FindOuterEigenvalues([](const double* v, double* jv) { Heat(v, jv, n); }, n,
                                    {.max_restarts = 1}, nullptr, kNeverStops);
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->converged);
}

// Rank one: every space is invariant at once.
TEST(ArnoldiTest, InvariantSubspaces) {
  constexpr int64_t n = 400;
  const auto multiply = [](const double* v, double* jv) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += v[i];
    for (int64_t i = 0; i < n; ++i) jv[i] = -sum / n;
  };
  auto found = FindOuterEigenvalues(multiply, n, {}, nullptr, kNeverStops);
  ASSERT_TRUE(found.ok());
  EXPECT_LT(Distance(found->values, -1), 1e-12);
  for (const Complex value : found->values) {
    EXPECT_LT(std::min(std::abs(value), std::abs(value + 1.0)), 1e-10);
  }
}

TEST(ArnoldiTest, ErrorsAndCancellation) {
  constexpr int64_t n = 400;
  const auto bad = [](const double*, double* jv) {
    std::fill(jv, jv + n, std::numeric_limits<double>::quiet_NaN());
  };
  EXPECT_TRUE(absl::IsInternal(FindOuterEigenvalues(bad, n, {}, nullptr, kNeverStops).status()));
  Cancellation cancellation;
  cancellation.Cancel(Cancellation::Reason::kShuttingDown);
  const StopSource stop = {&cancellation};
  const auto heat = [](const double* v, double* jv) { Heat(v, jv, n); };
  EXPECT_TRUE(absl::IsUnavailable(FindOuterEigenvalues(heat, n, {}, nullptr, stop).status()));
  EXPECT_LE(ArnoldiDimension(10, {}), 10);
}

}  // namespace
}  // namespace costate::stability

#include "engine/fit/chi_squared.h"

#include <cmath>

#include "gtest/gtest.h"

namespace costate::fit {
namespace {

// Tables (Abramowitz and Stegun, table 26.8, and the NIST handbook) to the digits printed.
TEST(ChiSquaredTest, AgreesWithTables) {
  const struct {
    double p, quantile;
  } kTable[] = {{0.1, 0.0157908}, {0.5, 0.454936},  {0.6827, 1.0},
                {0.9, 2.70554},   {0.95, 3.841459}, {0.975, 5.02389},
                {0.99, 6.63490},  {0.995, 7.87944}, {0.999, 10.828}};
  for (const auto& row : kTable) {
    EXPECT_NEAR(ChiSquaredQuantile(row.p), row.quantile, 1e-4 * row.quantile) << row.p;
  }
}

// P(X <= q) = erf(sqrt(q / 2)), and its complement where p is near 1.
TEST(ChiSquaredTest, InvertsTheDistribution) {
  for (double p = 1e-9; p < 0.7; p *= 1.7) {
    const double q = ChiSquaredQuantile(p);
    EXPECT_NEAR(std::erf(std::sqrt(q / 2)), p, 1e-13 * p) << p;
  }
  for (double tail = 0.5; tail > 1e-14; tail *= 0.3) {
    const double p = 1 - tail;
    EXPECT_NEAR(std::erfc(std::sqrt(ChiSquaredQuantile(p) / 2)), 1 - p, 1e-12 * (1 - p)) << p;
  }
}

}  // namespace
}  // namespace costate::fit

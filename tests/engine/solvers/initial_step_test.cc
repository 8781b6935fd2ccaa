#include "engine/solvers/initial_step.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

double Choose(double y0, double k, int order, double longest, double rtol) {
  const GenericMap<Decay> field;
  InitialStep initial(*field.Get(MapKernel::kValue, 1), 1, order);
  const double atol[] = {1e-9};
  const double* f = initial.Derivative(0, &y0, &k);
  EXPECT_EQ(f[0], -k * y0);
  return initial.Choose(0, &y0, &k, f, 1, longest, atol, rtol);
}

// Hairer's recipe by hand for y' = -k y: d0 = |y|/w, d1 = k d0, h0 = 0.01 / k, f1 - f0 = k^2 h0 y,
// so d2 = k^2 d0 and h1 = (0.01 / max(d1, d2))^(1/(p+1)).
TEST(InitialStep, FollowsTheRecipe) {
  for (const double k : {0.1, 1.0, 40.0}) {
    for (const int order : {1, 4, 7}) {
      const double d0 = 1 / (1e-9 + 1e-4);
      const double d1 = k * d0, d2 = k * k * d0;
      const double h1 = std::pow(0.01 / std::max(d1, d2), 1.0 / (order + 1));
      EXPECT_NEAR(Choose(1, k, order, 1e9, 1e-4) / std::min(1 / k, h1), 1, 1e-8);
    }
  }
}

TEST(InitialStep, KeepsToTheSpan) { EXPECT_EQ(Choose(1, 1e-3, 4, 0.01, 1e-4), 0.01); }

TEST(InitialStep, IsPositiveInEveryCase) {
  for (const double y0 : {0.0, 1e-320, 1e-20, 1.0, 1e150, 1e308}) {
    for (const double k : {0.0, 1e-200, 1.0, 1e100, 1e150}) {
      const double h = Choose(y0, k, 4, 10, 1e-6);
      EXPECT_GT(h, 0) << y0 << " " << k;
      EXPECT_LE(h, 10) << y0 << " " << k;
    }
  }
}

}  // namespace
}  // namespace costate

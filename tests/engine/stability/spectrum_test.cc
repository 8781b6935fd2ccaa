#include "engine/stability/spectrum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate::stability {
namespace {

// y_i' = p (y_{i-1} - 2 y_i + y_{i+1}) - q y_i^3: at y = 0 the eigenvalues are known.
template <int64_t N>
struct Diffusion {
  static constexpr int64_t kStates = N, kParams = 2, kValues = N;
  template <typename S>
  void operator()(const S& /*t*/, const S* y, const S* p, S* f) const {
    for (int64_t i = 0; i < N; ++i) {
      f[i] = -2.0 * p[0] * y[i] - p[1] * y[i] * y[i] * y[i];
      if (i > 0) f[i] = f[i] + p[0] * y[i - 1];
      if (i + 1 < N) f[i] = f[i] + p[0] * y[i + 1];
    }
  }
  static double Eigenvalue(int64_t k, double p) {  // k = 1..N
    const double s = std::sin(static_cast<double>(k) * std::numbers::pi / (2 * N + 2));
    return -4 * p * s * s;
  }
};

TEST(SpectrumTest, WholeJacobianInLanes) {
  constexpr int64_t n = 45;  // not a multiple of the lanes
  const GenericMap<Diffusion<n>> field;
  auto solver = SpectrumSolver::Create(field, 20);
  ASSERT_TRUE(solver.ok());
  EXPECT_TRUE((*solver)->dense());
  const std::vector<double> y(n, 0.0), params = {3, 1};
  auto spectrum = (*solver)->Solve(0, y, params, kNeverStops);
  ASSERT_TRUE(spectrum.ok());
  EXPECT_TRUE(spectrum->complete);
  ASSERT_EQ(spectrum->eigenvalues.size(), static_cast<size_t>(n));
  for (int64_t k = 0; k < n; ++k) {
    EXPECT_LT(std::abs(spectrum->eigenvalues[k] - Diffusion<n>::Eigenvalue(n - k, 3)), 1e-12) << k;
  }
}

// Lorenz at the origin: -beta and the roots of x^2 + (sigma + 1) x + sigma (1 - rho).
TEST(SpectrumTest, DependsOnTheState) {
  const GenericMap<Lorenz> field;
  auto solver = SpectrumSolver::Create(field, 20);
  ASSERT_TRUE(solver.ok());
  const std::vector<double> params = {10, 28, 8.0 / 3};
  const std::vector<double> origin = {0, 0, 0};
  auto spectrum = (*solver)->Solve(0, origin, params, kNeverStops);
  ASSERT_TRUE(spectrum.ok());
  const double root = std::sqrt(121.0 + 1080);
  EXPECT_LT(std::abs(spectrum->eigenvalues[0] - (-11 - root) / 2), 1e-12);
  EXPECT_LT(std::abs(spectrum->eigenvalues[1] - (-11 + root) / 2), 1e-12);
  EXPECT_LT(std::abs(spectrum->eigenvalues[2] + 8.0 / 3), 1e-12);
  // At a fixed point there is a pair; its sum and product are those of the characteristic cubic.
  const double c = std::sqrt(8.0 / 3 * 27);
  const std::vector<double> fixed = {c, c, 27};
  auto pair = (*solver)->Solve(0, fixed, params, kNeverStops);
  ASSERT_TRUE(pair.ok());
  Complex sum = 0, product = 1;
  for (const Complex lambda : pair->eigenvalues) {
    sum += lambda;
    product *= lambda;
  }
  EXPECT_LT(std::abs(sum + (10 + 1 + 8.0 / 3)), 1e-12);
  EXPECT_LT(std::abs(product + 2 * 10 * 8.0 / 3 * 27), 1e-10);
}

TEST(SpectrumTest, LargeSystemsGiveTheOuterEigenvalues) {
  constexpr int64_t n = 240;
  const GenericMap<Diffusion<n>> field;
  auto solver = SpectrumSolver::Create(field, 6);
  ASSERT_TRUE(solver.ok());
  EXPECT_FALSE((*solver)->dense());
  const std::vector<double> y(n, 0.0), params = {3, 1};
  auto spectrum = (*solver)->Solve(0, y, params, kNeverStops);
  ASSERT_TRUE(spectrum.ok());
  EXPECT_FALSE(spectrum->complete);
  EXPECT_TRUE(spectrum->converged);
  for (int64_t k = 0; k < 6; ++k) {
    EXPECT_LT(std::abs(spectrum->eigenvalues[k] - Diffusion<n>::Eigenvalue(n - k, 3)), 1e-6) << k;
  }
  EXPECT_LT(std::abs(spectrum->eigenvalues.back() - Diffusion<n>::Eigenvalue(1, 3)), 1e-6);
  // All of them, if so many are wanted.
  EXPECT_TRUE(TakesWholeJacobian(n, 200));
  EXPECT_FALSE(TakesWholeJacobian(100'000, 200));
}

TEST(SpectrumTest, NotFiniteIsNotKnown) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const GenericMap<Diffusion<5>> small;
  auto dense = SpectrumSolver::Create(small, 20);
  ASSERT_TRUE(dense.ok());
  const std::vector<double> params = {1, 1};
  auto spectrum = (*dense)->Solve(0, std::vector<double>(5, nan), params, kNeverStops);
  ASSERT_TRUE(spectrum.ok());
  for (const Complex lambda : spectrum->eigenvalues) EXPECT_TRUE(std::isnan(lambda.real()));
  const GenericMap<Diffusion<240>> large;
  auto outer = SpectrumSolver::Create(large, 6);
  ASSERT_TRUE(outer.ok());
  spectrum = (*outer)->Solve(0, std::vector<double>(240, nan), params, kNeverStops);
  ASSERT_TRUE(spectrum.ok());
  EXPECT_FALSE(spectrum->converged);
  EXPECT_TRUE(std::isnan(spectrum->eigenvalues.at(0).real()));
}

TEST(SpectrumTest, StopsWhenCancelled) {
  Cancellation cancellation;
  cancellation.Cancel(Cancellation::Reason::kClientCancelled);
  const StopSource stop = {&cancellation};
  const GenericMap<Diffusion<5>> field;
  auto solver = SpectrumSolver::Create(field, 20);
  ASSERT_TRUE(solver.ok());
  const std::vector<double> y(5, 0.0), params = {1, 1};
  EXPECT_TRUE(absl::IsCancelled((*solver)->Solve(0, y, params, stop).status()));
}

}  // namespace
}  // namespace costate::stability

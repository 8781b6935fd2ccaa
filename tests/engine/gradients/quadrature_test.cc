// The parameter integral by adaptive quadrature after the solve of lambda.
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/gradients/continuous_testing.h"

namespace costate {
namespace {

using ::costate::testing::Adjoint;
using ::costate::testing::Hum;
using ::costate::testing::MixedProblem;
using ::costate::testing::Tolerance;

// lambda is constant: panels as long as its steps miss the integrand, and have to be halved.
TEST(Quadrature, HalvesPanelsUntilTheIntegralIsSeen) {
  const GenericMap<Hum> field;
  const std::vector<double> y0 = {0.3}, p = {2.0};
  const double t0 = 0, t1 = 3;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&t1, 1);
  problem.y0 = y0;
  problem.params = p;
  const auto evaluations = [&](double rtol) {
    AdjointOptions adjoint;
    adjoint.backward_rtol = rtol;
    adjoint.backward_atol = rtol * 1e-3;
    Adjoint solved(GradientMethod::kQuadrature, problem, Tolerance(1e-10), adjoint);
    const auto result = solved.PullBack({}, {}, {1.0});
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_NEAR(result->params[0], (1 - std::cos(120.0)) / 40, 0.1 * rtol + 1e-9);
    return solved.method().stats().vjp_evaluations;
  };
  EXPECT_GT(evaluations(1e-10), evaluations(1e-4));
}

// The field of Hum, whose derivative by the parameter is NaN.
class NaNByParam : public DifferentiableMap {
 public:
  NaNByParam() : kernel_(inner_.Get(MapKernel::kVjp, 1).value()) {}
  int64_t num_states() const override { return 1; }
  int64_t num_params() const override { return 1; }
  int64_t num_values() const override { return 1; }
  int simd_lanes() const override { return 1; }
  absl::StatusOr<Kernel> Get(MapKernel kind, int lanes) const override {
    if (kind != MapKernel::kVjp) return inner_.Get(kind, lanes);
    return Kernel(&Run, &kernel_, nullptr, 1, kernel_.scratch_size());
  }

 private:
  static void Run(const void* context, const double* const* in, double* const* out,
                  double* scratch) {
    (*static_cast<const Kernel*>(context))(in, out, scratch);
    out[2][0] = std::numeric_limits<double>::quiet_NaN();
  }
  const GenericMap<Hum> inner_;
  const Kernel kernel_;
};

// No halving mends it: one estimate of a panel is enough.
TEST(Quadrature, SpendsNothingOnAnIntegrandThatIsNaN) {
  const NaNByParam field;
  const std::vector<double> y0 = {0.3}, p = {2.0};
  const double t0 = 0, t1 = 3;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&t1, 1);
  problem.y0 = y0;
  problem.params = p;
  Adjoint solved(GradientMethod::kQuadrature, problem, Tolerance(1e-8));
  const auto result = solved.PullBack({}, {}, {1.0});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(std::isnan(result->params[0]));
  const AdjointStats stats = solved.method().stats();
  const int64_t steps = stats.backward_steps + stats.backward_rejected;
  EXPECT_LT(stats.vjp_evaluations, 50 * (steps + 1));
}

TEST(Quadrature, CountsWhatItKeepsOfLambda) {
  const MixedProblem mixed;
  Adjoint solved(GradientMethod::kQuadrature, mixed.problem(), Tolerance(1e-8));
  const int64_t forward = solved.method().stats().peak_stored_bytes;
  ASSERT_TRUE(solved.PullBack({}, {}, {1, 2, 3}).ok());
  const AdjointStats stats = solved.method().stats();
  EXPECT_GE(stats.peak_stored_bytes, forward + 8 * (1 + 3) * stats.backward_steps);
}

}  // namespace
}  // namespace costate

#include "engine/gradients/growth.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

// diag(1, ..., n) rotated by a reflection: singular values are known.
TEST(LargestSingularValue, OfAMatrixWithKnownSpectrum) {
  const int64_t n = 60;
  const auto reflect = [n](std::vector<double> x, double start) {
    double dot = 0, square = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double w = std::sin(start + static_cast<double>(i));
      dot += w * x[i];
      square += w * w;
    }
    for (int64_t i = 0; i < n; ++i) {
      x[i] -= 2 * dot / square * std::sin(start + static_cast<double>(i));
    }
    return x;
  };
  const auto sizes = [](int64_t i) { return i == 0 ? 1e12 : 1.0 / static_cast<double>(i); };
  const auto apply = [&](double from, double to) {
    return [&, from, to](absl::Span<const double> x, absl::Span<double> result) {
      std::vector<double> y = reflect({x.begin(), x.end()}, from);
      for (int64_t i = 0; i < n; ++i) y[i] *= sizes(i);
      y = reflect(y, to);
      std::copy(y.begin(), y.end(), result.begin());
      return absl::OkStatus();
    };
  };
  const auto forwards = apply(0.1, 0.7);
  const auto transposed = apply(0.7, 0.1);
  EXPECT_NEAR(LargestSingularValue(n, kLanczosSteps, forwards, transposed).value(), 1e12, 1e6);
}

class GrowthTest : public ::testing::Test {
 protected:
  template <typename Field>
  Recording Record(const Field& field, std::vector<double> y0, std::vector<double> p, double t1,
                   std::vector<StepCompanion*> companions = {}, double rtol = 1e-9) {
    y0_ = std::move(y0);
    p_ = std::move(p);
    t1_ = t1;
    problem_.field = &field;
    problem_.t0 = absl::MakeConstSpan(&t0_, 1);
    problem_.t1 = absl::MakeConstSpan(&t1_, 1);
    problem_.y0 = y0_;
    problem_.params = p_;
    options_.control.rtol = rtol;
    options_.control.atol = {rtol};
    Recorder recorder(options_.method, field.num_states(), int64_t{1} << 30);
    companions.push_back(&recorder);
    IntegrateHooks hooks;
    hooks.companions = companions;
    EXPECT_TRUE(Integrate(problem_, options_, hooks).ok());
    return std::move(recorder).Take();
  }

  double t0_ = 0, t1_ = 1;
  std::vector<double> y0_, p_;
  Problem problem_;
  SolveOptions options_;
};

// y0' = a y0, y1' = -b y1 + c y0: growth exp(a t) up to the coupling.
struct Saddle {
  static constexpr int64_t kStates = 2, kParams = 2, kValues = 2;
  template <typename S>
  void operator()(const S& /*t*/, const S* y, const S* p, S* f) const {
    f[0] = p[0] * y[0];
    f[1] = -p[1] * y[1];
  }
};

TEST_F(GrowthTest, OfALinearSystem) {
  const GenericMap<Saddle> field;
  const Recording recording = Record(field, {1, 1}, {1.5, 3}, 10);
  StopCheck stop(&kNeverStops);
  const auto growth = EstimateGrowth(field, recording, p_, {{1.0, 1.0}}, &stop);
  ASSERT_TRUE(growth.ok()) << growth.status();
  EXPECT_NEAR(growth->sigma, std::exp(15), 1e-6 * std::exp(15));
  EXPECT_GT(growth->jvp_evaluations, 0);
  // Diagonal, so units play no part.
  EXPECT_NEAR(EstimateGrowth(field, recording, p_, {{1e3, 1e-3}}, &stop)->sigma, std::exp(15),
              1e-6 * std::exp(15));
}

// 40 independent rates: too many for all columns.
struct Rates {
  static constexpr int64_t kStates = 40, kParams = 1, kValues = 40;
  template <typename S>
  void operator()(const S& /*t*/, const S* y, const S* p, S* f) const {
    for (int i = 0; i < 40; ++i) f[i] = p[0] * (1.0 - 0.25 * i) * y[i];
  }
};

TEST_F(GrowthTest, ByLanczosWhereStatesAreMany) {
  const GenericMap<Rates> field;
  const Recording recording = Record(field, std::vector<double>(40, 1.0), {1}, 12);
  StopCheck stop(&kNeverStops);
  const auto growth = EstimateGrowth(field, recording, p_, std::vector<double>(40, 1.0), &stop);
  ASSERT_TRUE(growth.ok()) << growth.status();
  EXPECT_NEAR(growth->sigma, std::exp(12), 1e-3 * std::exp(12));
  EXPECT_GT(growth->vjp_evaluations, 0);
}

}  // namespace
}  // namespace costate

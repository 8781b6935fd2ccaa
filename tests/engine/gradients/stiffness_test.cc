#include "engine/gradients/stiffness.h"

#include <cmath>
#include <vector>

#include "engine/solvers/integrate.h"
#include "gtest/gtest.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

// y0' = a y0, y1' = -b y1.
struct Saddle {
  static constexpr int64_t kStates = 2, kParams = 2, kValues = 2;
  template <typename S>
  void operator()(const S& /*t*/, const S* y, const S* p, S* f) const {
    f[0] = p[0] * y[0];
    f[1] = -p[1] * y[1];
  }
};

// Over [0, 20]; also that the companion changes nothing.
template <typename Field>
double Share(const Field& field, std::vector<double> y0, std::vector<double> p, double rtol) {
  const double t0 = 0, t1 = 20;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&t1, 1);
  problem.y0 = y0;
  problem.params = p;
  SolveOptions options;
  options.control.rtol = rtol;
  options.control.atol = {rtol};
  auto companion = StiffnessCompanion::Create(problem, options.method, 0.7).value();
  IntegrateHooks hooks;
  hooks.companions = {companion.get()};
  EXPECT_TRUE(std::isnan(companion->share()));
  const auto with = Integrate(problem, options, hooks).value();
  const auto without = Integrate(problem, options).value();
  EXPECT_EQ(with[0].states, without[0].states);
  EXPECT_GT(companion->jvp_evaluations(), with[0].stats.accepted_steps);
  return companion->share();
}

// At a loose tolerance every step sits at the limit of a fast decaying mode; at a tight one
// accuracy sets it. A rotation, whose eigenvalues are imaginary, is not stiff.
TEST(StiffnessCompanion, Share) {
  const GenericMap<Saddle> saddle;
  EXPECT_GT(Share(saddle, {1, 1}, {-0.1, 500}, 1e-3), 0.8);
  EXPECT_LT(Share(saddle, {1, 1}, {-0.1, 0.2}, 1e-6), 0.01);
  const GenericMap<Oscillator> oscillator;
  EXPECT_LT(Share(oscillator, {1, 0}, {3}, 1e-6), 0.01);
}

}  // namespace
}  // namespace costate

// The bursting neuron against reference values computed in quadruple precision (numerics.md D.2,
// D.3): u(500) and the gradients of A = V(500) and B = sum_{k=1}^{500} V(k)^2.
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileProblem;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;
using ::costate::testing::TerminalState;
using ::costate::testing::TestEngine;

const std::vector<double>& ReferenceState() {
  static const auto& values = *new std::vector<double>{
      -6.0446283907582339e+1, 9.4504106209693531e+0, 1.3640514846166237e-3, 8.9680296026971633e-1,
      2.5919435344647227e-1,  1.1621529577526458e-1, 3.3720350760395374e-2, 5.1976331843461902e-1,
      4.2504958361797931e-2,  7.3833241656570055e-2, 2.4343347766832354e-1, 3.2063979390461508e-1,
      2.4727722918953610e-2};
  return values;
}
const std::vector<double>& ReferenceA() {
  static const auto& values = *new std::vector<double>{
      9.1624870052180873e-2, -8.6857344689642665e-1, 8.8392347667344115e-1, -1.0401778149328381e+0,
      3.3002443751626450e-1, -9.2149316311551536e-2, 5.5759205180636705e+0, -2.6846924240905545e+1,
      6.5766311270545119e-1, -5.0035487274634124e+0, 1.8865237098656538e+0, -4.8353638459233282e+1,
      1.4907515565039217e+2};
  return values;
}
const std::vector<double>& ReferenceB() {
  static const auto& values = *new std::vector<double>{
      6.2286630942674447e+3, -1.6880805320804587e+4, -1.2112531367499652e+4, -2.2573446301575893e+4,
      3.8748248602210223e+3, 9.0706957343138437e+2,  -1.1719542904110556e+4, -4.0745315840161398e+5,
      9.7430087073899307e+3, -3.4696609446261724e+4, 2.7142547149705523e+4,  -1.0089088026967015e+6,
      1.9456624101306671e+6};
  return values;
}
constexpr double kLossB = 1.0888971344206580e6;

// |p (g - reference)| / |p reference|
double ScaledError(const std::vector<double>& gradient, const std::vector<double>& reference,
                   const std::vector<double>& p) {
  double error = 0, size = 0;
  for (size_t j = 0; j < p.size(); ++j) {
    error += std::pow(p[j] * (gradient[j] - reference[j]), 2);
    size += std::pow(p[j] * reference[j], 2);
  }
  return std::sqrt(error / size);
}

void ExpectReference(double rtol, double tolerance, GradientMethod method) {
  const auto model = CompileProblem("neuron.ode");
  std::vector<double> p;
  for (const TensorInfo& param : model->ir().params) p.push_back(param.defaults[0]);
  std::vector<double> weights(13);
  weights[0] = 1;
  std::vector<double> seconds;
  for (int k = 1; k <= 500; ++k) seconds.push_back(k);
  GradientRequest request = {.simulation = Simulate(model, 0, 500, rtol, rtol / 1000),
                             .loss = TerminalState(weights)};
  request.gradient.method = method;
  const auto a = TestEngine().Differentiate(request);
  ASSERT_TRUE(a.ok()) << a.status();
  const std::vector<double>& state = a->trajectories[0].saved.terminal_state;
  for (size_t i = 0; i < 13; ++i) {
    EXPECT_NEAR(state[i], ReferenceState()[i], tolerance * std::fabs(ReferenceState()[i])) << i;
  }
  EXPECT_LT(ScaledError(a->trajectories[0].gradient, ReferenceA(), p), tolerance);
  request.loss = Squares({Channel::Kind::kState, 0}, seconds, std::vector<double>(500, 0.0));
  const auto b = TestEngine().Differentiate(request);
  ASSERT_TRUE(b.ok()) << b.status();
  EXPECT_NEAR(b->trajectories[0].loss, kLossB, tolerance * kLossB);
  EXPECT_LT(ScaledError(b->trajectories[0].gradient, ReferenceB(), p), tolerance);
}

class TightTolerance : public ::testing::TestWithParam<GradientMethod> {};

TEST_P(TightTolerance, GivesTheReference) { ExpectReference(1e-11, 1e-9, GetParam()); }

INSTANTIATE_TEST_SUITE_P(NeuronGradient, TightTolerance,
                         ::testing::Values(GradientMethod::kForward, GradientMethod::kBackprop,
                                           GradientMethod::kCheckpointed,
                                           GradientMethod::kSegmented, GradientMethod::kGauss),
                         [](const auto& info) {
                           return std::string(GetGradientMethodInfo(info.param).name);
                         });

TEST(NeuronGradient, OrdinaryToleranceForward) {
  ExpectReference(1e-6, 1e-5, GradientMethod::kForward);
}

}  // namespace
}  // namespace costate

// Continuous adjoints of the bursting neuron against reference gradients computed in quadruple
// precision (numerics.md D.2, D.3): A = V(500), B = sum_{k=1}^{500} V(k)^2. And backsolve, which
// cannot work here: the state solved backwards is lost within a few of the 500 ms (D.6).
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/gradients/adjoint.h"
#include "engine/gradients/backward_solve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

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

class Neuron {
 public:
  // Saves every second where `seconds`.
  Neuron(GradientMethod method, double rtol, bool seconds, const AdjointOptions& adjoint = {})
      : model_(testing::CompileProblem("neuron.ode")), adjoint_(adjoint) {
    for (const TensorInfo& param : model_->ir().params) p_.push_back(param.defaults[0]);
    problem_.field = &model_->rhs();
    problem_.t0 = absl::MakeConstSpan(&t0_, 1);
    problem_.t1 = absl::MakeConstSpan(&t1_, 1);
    problem_.y0 = y0_;
    problem_.params = p_;
    options_.control.rtol = rtol;
    options_.control.atol = {rtol / 1000};
    if (seconds) {
      options_.save.kind = SaveAt::Kind::kTimes;
      for (int k = 1; k <= 500; ++k) options_.save.times.push_back(k);
    }
    const AdjointInput input = {.problem = problem_, .options = options_, .adjoint = adjoint_};
    method_ = MakeAdjointMethod(method, input).value();
    trajectory_ = method_->Solve().value();
  }

  absl::StatusOr<AdjointResult> GradientA() { return PullBack({}, UnitV()); }
  absl::StatusOr<AdjointResult> GradientB() {
    std::vector<double> saved(trajectory_.states.size());
    for (size_t i = 0; i < saved.size(); i += 13) saved[i] = 2 * trajectory_.states[i];
    return PullBack(saved, {});
  }

  // |p (g - reference)| / |p reference|
  double Error(const AdjointResult& result, const std::vector<double>& reference) const {
    double error = 0, size = 0;
    for (size_t j = 0; j < p_.size(); ++j) {
      error += std::pow(p_[j] * (result.params[j] - reference[j]), 2);
      size += std::pow(p_[j] * reference[j], 2);
    }
    return std::sqrt(error / size);
  }

  AdjointMethod& method() { return *method_; }

 private:
  static std::vector<double> UnitV() {
    std::vector<double> weights(13);
    weights[0] = 1;
    return weights;
  }
  absl::StatusOr<AdjointResult> PullBack(const std::vector<double>& saved,
                                         const std::vector<double>& terminal) {
    const absl::Span<const double> times =
        saved.empty() ? absl::Span<const double>() : trajectory_.times;
    const StateCotangents cotangents = {times, saved, terminal};
    auto results = method_->PullBack(absl::MakeConstSpan(&cotangents, 1));
    if (!results.ok()) return results.status();
    return std::move((*results)[0]);
  }

  const std::shared_ptr<const Model> model_;
  const AdjointOptions adjoint_;
  const double t0_ = 0, t1_ = 500;
  const std::vector<double> y0_ = {-60, 0.05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  std::vector<double> p_;
  Problem problem_;
  SolveOptions options_;
  std::unique_ptr<AdjointMethod> method_;
  Trajectory trajectory_;
};

class NeuronContinuous : public ::testing::TestWithParam<GradientMethod> {};

TEST_P(NeuronContinuous, TerminalLoss) {
  for (const double rtol : {1e-6, 1e-9}) {
    Neuron neuron(GetParam(), rtol, false);
    const auto a = neuron.GradientA();
    ASSERT_TRUE(a.ok()) << a.status();
    EXPECT_LT(neuron.Error(*a, ReferenceA()), 100 * rtol) << rtol;
  }
}

TEST_P(NeuronContinuous, LossAtEverySecond) {
  for (const double rtol : {1e-6, 1e-9}) {
    Neuron neuron(GetParam(), rtol, true);
    const auto b = neuron.GradientB();
    ASSERT_TRUE(b.ok()) << b.status();
    EXPECT_LT(neuron.Error(*b, ReferenceB()), 100 * rtol) << rtol;
  }
}

TEST_P(NeuronContinuous, KeepsATightBudget) {
  AdjointOptions adjoint;
  adjoint.memory_budget = 200'000;  // all states of the 3,300 steps take 378,488
  Neuron neuron(GetParam(), 1e-6, false, adjoint);
  const auto a = neuron.GradientA();
  ASSERT_TRUE(a.ok()) << a.status();
  EXPECT_LE(neuron.method().stats().peak_stored_bytes, adjoint.memory_budget);
  Neuron roomy(GetParam(), 1e-6, false);
  EXPECT_EQ(roomy.GradientA()->params, a->params);
  EXPECT_GT(roomy.method().stats().peak_stored_bytes, adjoint.memory_budget);
}

INSTANTIATE_TEST_SUITE_P(All, NeuronContinuous,
                         ::testing::Values(GradientMethod::kInterpolating,
                                           GradientMethod::kQuadrature, GradientMethod::kGauss),
                         [](const auto& info) {
                           return std::string(GetGradientMethodInfo(info.param).name);
                         });

// Whatever backsolve does here, it must not be a number without a warning.
void ExpectToldApart(Neuron& neuron, const absl::StatusOr<AdjointResult>& result) {
  EXPECT_GT(neuron.method().stats().reconstruction_error, 1e3);
  if (result.ok()) return;
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(BackwardEnd(result.status()).has_value());
  EXPECT_THAT(std::string(result.status().message()),
              ::testing::HasSubstr("the solve backwards failed"));
}

TEST(NeuronBacksolve, FailsOrSaysSo) {
  for (const double rtol : {1e-6, 1e-9}) {
    for (const bool seconds : {false, true}) {
      Neuron neuron(GradientMethod::kBacksolve, rtol, seconds);
      const auto result = seconds ? neuron.GradientB() : neuron.GradientA();
      ExpectToldApart(neuron, result);
    }
  }
}

}  // namespace
}  // namespace costate

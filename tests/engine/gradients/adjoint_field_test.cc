// The adjoint equations term by term, with y a part of the state and looked up.
#include "engine/gradients/adjoint_field.h"

#include <memory>
#include <vector>

#include "engine/solvers/integrate.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

using Parts = AdjointField::Parts;

std::vector<double> Evaluate(const AdjointField& field, double t, const std::vector<double>& state,
                             const std::vector<double>& params) {
  const Kernel kernel = field.Get(MapKernel::kValue, 1).value();
  std::vector<double> derivative(field.num_states());
  const double* in[] = {&t, state.data(), params.data()};
  double* out[] = {derivative.data()};
  kernel(in, out, nullptr);
  return derivative;
}

TEST(AdjointField, IsMinusTheTransposedDerivative) {
  const testing::MixedProblem mixed;
  ModelKernels kernels = ModelKernels::Create(mixed.field, mixed.params).value();
  const AdjointField field(Parts::kStateLambdaMu, mixed.field, &kernels, nullptr);
  ASSERT_EQ(field.num_states(), 3 + 3 + 4);
  const std::vector<double> y = {0.4, -1.2, 2.0}, lambda = {1.5, -0.5, 0.25};
  std::vector<double> state = y;
  state.insert(state.end(), lambda.begin(), lambda.end());
  state.resize(10, 99.0);  // mu does not act
  const std::vector<double> derivative = Evaluate(field, 0.7, state, mixed.params);
  std::vector<double> f(3), c(7);
  kernels.Value(0.7, y.data(), f.data());
  kernels.Vjp(0.7, y.data(), lambda.data(), c.data(), c.data() + 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(derivative[i], f[i]);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(derivative[3 + i], -c[i]);
}

TEST(AdjointField, LooksUpTheState) {
  const testing::MixedProblem mixed;
  auto states =
      DenseStates::Create(Method::kTsit5, mixed.field, mixed.params, {.max_bytes = 1 << 20})
          .value();
  IntegrateHooks hooks;
  hooks.companions = {states.get()};
  ASSERT_TRUE(Integrate(mixed.problem(), SolveOptions(), hooks).ok());
  ModelKernels kernels = ModelKernels::Create(mixed.field, mixed.params).value();
  const AdjointField both(Parts::kLambdaMu, mixed.field, &kernels, states.get());
  const AdjointField alone(Parts::kLambda, mixed.field, &kernels, states.get());
  const std::vector<double> lambda = {1.5, -0.5, 0.25};
  std::vector<double> y(3), c(7), state = lambda;
  state.resize(7);
  states->Evaluate(1.1, y.data());
  kernels.Vjp(1.1, y.data(), lambda.data(), c.data(), c.data() + 3);
  const std::vector<double> with_mu = Evaluate(both, 1.1, state, mixed.params);
  const std::vector<double> without = Evaluate(alone, 1.1, lambda, mixed.params);
  ASSERT_EQ(without.size(), 3u);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(with_mu[i], -c[i]);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(without[i], -c[i]);
}

TEST(AdjointField, NamesItsElementsAndRefusesOtherKernels) {
  const testing::MixedProblem mixed;
  ModelKernels kernels = ModelKernels::Create(mixed.field, mixed.params).value();
  const AdjointField field(Parts::kStateLambdaMu, mixed.field, &kernels, nullptr);
  EXPECT_EQ(field.StateName(1), "state 1, solved backwards,");
  EXPECT_EQ(field.StateName(4), "the adjoint of state 1");
  EXPECT_EQ(field.StateName(8), "the integral of parameter element 2");
  EXPECT_FALSE(field.Get(MapKernel::kVjp, 1).ok());
  EXPECT_FALSE(field.Get(MapKernel::kValue, 4).ok());
}

}  // namespace
}  // namespace costate

// Transposed products against tangents by dual numbers: c . (J d) = (J^T c) . d.
#include "engine/gradients/model_kernels.h"

#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

TEST(ModelKernels, TransposeTheDerivatives) {
  const testing::MixedProblem mixed;
  auto kernels = ModelKernels::Create(mixed.field, mixed.params);
  ASSERT_TRUE(kernels.ok()) << kernels.status();
  const double t = 0.7;
  const std::vector<double> y = {0.4, -1.2, 2.0}, c = {1.5, -0.5, 0.25};
  std::vector<double> f(3), c_y(3), c_p(4);
  kernels->Value(t, y.data(), f.data());
  kernels->Vjp(t, y.data(), c.data(), c_y.data(), c_p.data());
  EXPECT_EQ(kernels->rhs_evaluations(), 1);
  EXPECT_EQ(kernels->vjp_evaluations(), 1);
  for (int column = 0; column < 7; ++column) {
    std::vector<testing::Dual> x(y.begin(), y.end());
    x.insert(x.end(), mixed.params.begin(), mixed.params.end());
    x[column].d = 1;
    testing::Dual dy[3];
    testing::MixedField::Eval(testing::Dual(t), x.data(), x.data() + 3, dy);
    double expected = 0;
    for (int i = 0; i < 3; ++i) {
      EXPECT_NEAR(f[i], dy[i].v, 1e-15);
      expected += c[i] * dy[i].d;
    }
    EXPECT_NEAR(column < 3 ? c_y[column] : c_p[column - 3], expected, 1e-14) << column;
  }
}

}  // namespace
}  // namespace costate

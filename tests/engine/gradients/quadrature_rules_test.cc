// Rules integrate monomials exactly up to their degree, and not beyond it.
#include "engine/gradients/quadrature_rules.h"

#include <cmath>

#include "gtest/gtest.h"

namespace costate {
namespace {

// int_{-1}^{1} x^d dx
double Moment(int d) { return d % 2 == 1 ? 0.0 : 2.0 / (d + 1); }

TEST(GaussLegendre, ExactToItsDegreeOnly) {
  for (int q = 1; q <= 5; ++q) {
    ASSERT_EQ(GaussLegendre(q).size(), static_cast<size_t>(q));
    const auto sum = [&](int d) {
      double total = 0;
      for (const QuadratureNode& node : GaussLegendre(q)) total += node.w * std::pow(node.x, d);
      return total;
    };
    for (int d = 0; d < 2 * q; ++d) EXPECT_NEAR(sum(d), Moment(d), 1e-15) << q << " " << d;
    EXPECT_GT(std::fabs(sum(2 * q) - Moment(2 * q)), 1e-4) << q;
  }
}

TEST(GaussKronrod, ExactToTheirDegreesOnly) {
  const auto sum = [](int d, double KronrodNode::* weight) {
    double total = 0;
    for (const KronrodNode& node : GaussKronrod15()) total += node.*weight * std::pow(node.x, d);
    return total;
  };
  for (int d = 0; d <= 23; ++d) EXPECT_NEAR(sum(d, &KronrodNode::kronrod), Moment(d), 2e-15) << d;
  for (int d = 0; d <= 13; ++d) EXPECT_NEAR(sum(d, &KronrodNode::gauss), Moment(d), 2e-15) << d;
  EXPECT_GT(std::fabs(sum(24, &KronrodNode::kronrod) - Moment(24)), 1e-9);
  EXPECT_GT(std::fabs(sum(14, &KronrodNode::gauss) - Moment(14)), 1e-5);
}

}  // namespace
}  // namespace costate

#include "engine/stability/polynomial.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace costate::stability {
namespace {

using ::testing::ElementsAre;

TEST(PolynomialTest, Arithmetic) {
  const Polynomial p = {{1, 2, 3}}, q = {{-1, 4}};
  EXPECT_THAT(Multiply(p, q).coefficients, ElementsAre(-1, 2, 5, 12));
  EXPECT_THAT(Combine(2, q, p).coefficients, ElementsAre(-1, 10, 3));
  EXPECT_THAT(Combine(2, p, q).coefficients, ElementsAre(1, 8, 6));
  EXPECT_THAT(Reflect(p).coefficients, ElementsAre(1, -2, 3));
  EXPECT_THAT(Trimmed({{1, 0, 2, 0, 0}}).coefficients, ElementsAre(1, 0, 2));
  EXPECT_EQ(Evaluate(p, 2.0), 17);
  EXPECT_EQ(Evaluate(p, Complex(0, 1)), Complex(-2, 2));
  Complex value, slope;
  EvaluateWithSlope(p, Complex(0, 1), &value, &slope);
  EXPECT_EQ(value, Complex(-2, 2));
  EXPECT_EQ(slope, Complex(2, 6));
}

// (z - 1)(z + 2)(z - 3)(z^2 + 1), scaled as stability polynomials are.
TEST(PolynomialTest, FindsAllRoots) {
  Polynomial p = {{1e-9}};
  for (const Polynomial& factor :
       {Polynomial{{-1, 1}}, Polynomial{{2, 1}}, Polynomial{{-3, 1}}, Polynomial{{1, 0, 1}}}) {
    p = Multiply(p, factor);
  }
  const std::vector<Complex> roots = Solve(p, 0);
  ASSERT_EQ(roots.size(), 5u);
  for (const Complex expected :
       {Complex(1), Complex(-2), Complex(3), Complex(0, 1), Complex(0, -1)}) {
    const double nearest =
        std::abs(*std::min_element(roots.begin(), roots.end(), [&](Complex a, Complex b) {
          return std::abs(a - expected) < std::abs(b - expected);
        }) - expected);
    EXPECT_LT(nearest, 1e-14) << expected;
  }
}

// Roots of the Taylor polynomial of exp of degree 12 = e^(i): coefficients over nine decades.
TEST(PolynomialTest, SolvesForAnyValue) {
  Polynomial p = {{1}};
  for (int k = 1; k <= 12; ++k) p.coefficients.push_back(p.coefficients.back() / k);
  const Complex value = std::polar(1.0, 1.0);
  for (const Complex z : Solve(p, value)) EXPECT_LT(std::abs(Evaluate(p, z) - value), 1e-12);
  EXPECT_TRUE(Solve({{5}}, 1).empty());
}

}  // namespace
}  // namespace costate::stability

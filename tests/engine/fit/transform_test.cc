#include "engine/fit/transform.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace costate::fit {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Transform kAll[] = {{Scale::kLinear, 0.5, 20},
                              {Scale::kLog, 0.5, 20},
                              {Scale::kLog10, 0.5, 20},
                              {Scale::kLogit, 0.5, 20}};

TEST(Transform, CoordinatesAreThoseOfTheScale) {
  EXPECT_EQ(kAll[0].ToSearch(3), 3);
  EXPECT_DOUBLE_EQ(kAll[1].ToSearch(3), std::log(3));
  EXPECT_DOUBLE_EQ(kAll[2].ToSearch(3), std::log10(3));
  EXPECT_DOUBLE_EQ(kAll[3].ToSearch(3), std::log(2.5 / 17));
}

TEST(Transform, ThereAndBackIsTheSame) {
  for (const Transform& transform : kAll) {
    for (const double v : {0.6, 1.0, 7.3, 19.9}) {
      EXPECT_NEAR(transform.ToNatural(transform.ToSearch(v)), v, 1e-12);
    }
  }
}

TEST(Transform, NaturalValuesStayWithinTheBounds) {
  for (const Transform& transform : kAll) {
    for (const double x : {-1e6, -800.0, 0.0, 800.0, 1e6}) {
      const double v = transform.ToNatural(x);
      EXPECT_GE(v, 0.5);
      EXPECT_LE(v, 20);
    }
    EXPECT_EQ(transform.ToNatural(transform.SearchLower()), 0.5);
    EXPECT_EQ(transform.ToNatural(transform.SearchUpper()), 20);
    EXPECT_TRUE(std::isnan(transform.ToNatural(NAN)));
  }
}

TEST(Transform, SearchCoordinatesStayWithinTheBox) {
  for (const Transform& transform : kAll) {
    for (const double v : {-3.0, 0.5, 20.0, 1e9}) {
      const double x = transform.ToSearch(v);
      EXPECT_TRUE(std::isfinite(x));
      EXPECT_GE(x, transform.SearchLower());
      EXPECT_LE(x, transform.SearchUpper());
    }
  }
}

TEST(Transform, SlopesAreDerivatives) {
  for (const Transform& transform : kAll) {
    for (const double v : {0.6, 1.0, 7.3, 19.9}) {
      const double x = transform.ToSearch(v), h = 1e-6;
      const double difference = (transform.ToNatural(x + h) - transform.ToNatural(x - h)) / (2 * h);
      EXPECT_NEAR(transform.Slope(x), difference, 1e-7 * (1 + std::fabs(difference)));
    }
  }
}

TEST(Transform, LogarithmsOfNoBoundAreNone) {
  const Transform open = {Scale::kLog, 0, kInfinity};
  EXPECT_EQ(open.SearchLower(), -kInfinity);
  EXPECT_EQ(open.SearchUpper(), kInfinity);
  EXPECT_EQ(kAll[3].SearchLower(), -kInfinity);
  EXPECT_EQ(kAll[3].SearchUpper(), kInfinity);
}

}  // namespace
}  // namespace costate::fit

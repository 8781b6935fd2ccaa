#include "engine/fit/curvature.h"

#include <Eigen/Dense>
#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate::fit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Curvature Analyse(const std::vector<double>& jacobian, const std::vector<double>& slopes,
                  std::vector<bool> at_bound = {}) {
  const std::vector<double> units(slopes.size(), 1.0);
  at_bound.resize(slopes.size(), false);
  return AnalyseCurvature({.elements = static_cast<int64_t>(slopes.size()),
                           .jacobian = jacobian,
                           .slopes = slopes,
                           .units = units,
                           .at_bound = std::move(at_bound)});
}

// J = diag(3, 4): information diag(9, 16) in search coordinates.
TEST(CurvatureTest, OfIndependentElements) {
  const Curvature c = Analyse({3, 0, 0, 4, 0, 0}, {2, 5});
  EXPECT_THAT(c.eigenvalues, ElementsAre(::testing::DoubleEq(9), ::testing::DoubleEq(16)));
  EXPECT_NEAR(c.search_errors[0], 1.0 / 3, 1e-15);
  EXPECT_NEAR(c.search_errors[1], 1.0 / 4, 1e-15);
  // v = 2 x and v = 5 x.
  EXPECT_NEAR(c.covariance[0], 4.0 / 9, 1e-15);
  EXPECT_NEAR(c.covariance[3], 25.0 / 16, 1e-15);
  EXPECT_NEAR(c.fisher_information[0], 9.0 / 4, 1e-14);
  EXPECT_NEAR(c.fisher_information[3], 16.0 / 25, 1e-14);
  EXPECT_EQ(c.correlation[0], 1);
  EXPECT_NEAR(c.correlation[1], 0, 1e-15);
  EXPECT_THAT(c.free_directions, IsEmpty());
  EXPECT_THAT(c.flat, IsEmpty());
}

// Columns of sizes from 1e-6 to 1e6, against the inverse in long double.
TEST(CurvatureTest, IsAccurateForBadlyScaledColumns) {
  const int rows = 20, q = 4;
  const double sizes[] = {1e-6, 1, 1e3, 1e6};
  std::vector<double> jacobian;
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < q; ++j) jacobian.push_back(sizes[j] * std::cos(0.3 * (i + 1) * (j + 1)));
  }
  using Matrix = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;
  Matrix j(rows, q);
  for (int i = 0; i < rows; ++i) {
    for (int k = 0; k < q; ++k) j(i, k) = jacobian[i * q + k];
  }
  const Matrix inverse = (j.transpose() * j).inverse();
  const Curvature c = Analyse(jacobian, {1, 1, 1, 1});
  for (int a = 0; a < q; ++a) {
    for (int b = 0; b < q; ++b) {
      const double size = std::sqrt(static_cast<double>(inverse(a, a) * inverse(b, b)));
      EXPECT_NEAR(c.covariance[a * q + b], static_cast<double>(inverse(a, b)), 1e-11 * size);
    }
  }
}

// Columns a, b, a, 2 b, c: two pairs and one alone.
TEST(CurvatureTest, SeparatesFreeDirections) {
  std::vector<double> jacobian;
  for (int i = 0; i < 9; ++i) {
    const double a = std::sin(i), b = std::cos(i), c = std::sin(2 * i + 1);
    for (const double v : {a, b, a, 2 * b, c}) jacobian.push_back(v);
  }
  const Curvature c = Analyse(jacobian, {1, 1, 1, 1, 1});
  ASSERT_EQ(c.free_directions.size(), 2u);
  for (const std::vector<double>& d : c.free_directions) {
    const bool first = d[0] != 0;
    EXPECT_EQ(d[first ? 1 : 0], 0);
    EXPECT_EQ(d[first ? 3 : 2], 0);
    EXPECT_EQ(d[4], 0);
    EXPECT_NEAR(first ? d[2] / d[0] : d[3] / d[1], first ? -1 : -0.5, 1e-10);
  }
  for (int k = 0; k < 4; ++k) {
    EXPECT_TRUE(std::isnan(c.search_errors[k]));
    EXPECT_TRUE(std::isnan(c.covariance[5 * k + k]));
    EXPECT_TRUE(std::isnan(c.covariance[5 * k + 4]));
    EXPECT_TRUE(std::isnan(c.correlation[5 * k + k]));
  }
  // The lone column is as certain as if the pairs had one member each.
  std::vector<double> reduced;
  for (int i = 0; i < 9; ++i) {
    for (const double v : {std::sin(i), std::cos(i), std::sin(2 * i + 1)}) reduced.push_back(v);
  }
  const Curvature r = Analyse(reduced, {1, 1, 1});
  EXPECT_NEAR(c.search_errors[4], r.search_errors[2], 1e-12);
  EXPECT_NEAR(c.eigenvalues[0], 0, 1e-14);
  EXPECT_NEAR(c.eigenvalues[1], 0, 1e-14);
}

TEST(CurvatureTest, FlatElementsAndFewerDataThanElements) {
  const Curvature flat = Analyse({1, 0, 2, 0, 3, 1e-11}, {1, 1});
  EXPECT_THAT(flat.flat, ElementsAre(1));
  EXPECT_THAT(flat.free_directions, IsEmpty());
  EXPECT_NEAR(flat.covariance[0], 1.0 / 14, 1e-15);
  EXPECT_TRUE(std::isnan(flat.covariance[3]));
  const Curvature few = Analyse({1, 1, 1}, {1, 1, 1});
  EXPECT_EQ(few.free_directions.size(), 2u);
  EXPECT_TRUE(std::isnan(few.search_errors[0]));
  const Curvature none = Analyse({}, {1, 1});
  EXPECT_THAT(none.flat, ElementsAre(0, 1));
}

// What is at a bound is known: the others' covariance is that of the smaller problem.
TEST(CurvatureTest, ElementsAtABoundAreTakenAsKnown) {
  const Curvature c = Analyse({1, 2, 2, 1, 0, 3}, {1, 1}, {false, true});
  EXPECT_NEAR(c.covariance[0], 1.0 / 5, 1e-15);
  EXPECT_TRUE(std::isnan(c.covariance[1]));
  EXPECT_TRUE(std::isnan(c.covariance[3]));
  EXPECT_NEAR(c.fisher_information[3], 14, 1e-12);  // is there all the same
}

// 80 elements take the other decomposition: J = Q diag(1..80) for an orthogonal Q.
TEST(CurvatureTest, OfManyElements) {
  const int q = 80;
  Eigen::MatrixXd m(q, q);
  for (int i = 0; i < q; ++i) {
    for (int j = 0; j < q; ++j) m(i, j) = std::sin(1 + i * j + i);
  }
  const Eigen::MatrixXd orthogonal = Eigen::HouseholderQR<Eigen::MatrixXd>(m).householderQ();
  std::vector<double> jacobian;
  for (int i = 0; i < q; ++i) {
    for (int j = 0; j < q; ++j) jacobian.push_back(orthogonal(i, j) * (j + 1));
  }
  const Curvature c = Analyse(jacobian, std::vector<double>(q, 1.0));
  for (int j = 0; j < q; ++j) {
    EXPECT_NEAR(c.search_errors[j], 1.0 / (j + 1), 1e-12);
    EXPECT_NEAR(c.eigenvalues[j], (j + 1.0) * (j + 1), 1e-9);
  }
}

}  // namespace
}  // namespace costate::fit

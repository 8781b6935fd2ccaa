#include "engine/optimise/box_least_squares.h"

#include <Eigen/QR>
#include <cmath>
#include <limits>

#include "engine/optimise/random.h"
#include "gtest/gtest.h"

namespace costate::optimise {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

BoxLeastSquares RandomProblem(RandomStream& random, int rows, int size, double reach) {
  const auto uniform = [&] { return 2 * random.Uniform() - 1; };
  BoxLeastSquares problem{Eigen::MatrixXd(rows, size), Eigen::VectorXd(rows), Eigen::VectorXd(size),
                          Eigen::VectorXd(size)};
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < size; ++j) problem.a(i, j) = uniform();
    problem.b[i] = uniform();
  }
  for (int j = 0; j < size; ++j) {
    problem.lower[j] = random.Below(4) == 0 ? 0 : -reach * random.Uniform();
    problem.upper[j] = random.Below(4) == 0 ? 0 : reach * random.Uniform();
  }
  return problem;
}

// The least of all minimisers with each element at its lower bound, its upper bound or free that
// lie in the box: 3^q systems.
double BruteForce(const BoxLeastSquares& problem) {
  const int q = static_cast<int>(problem.a.cols());
  double best = kInfinity;
  for (int code = 0; code < static_cast<int>(std::pow(3, q)); ++code) {
    Eigen::VectorXd p = Eigen::VectorXd::Zero(q);
    std::vector<int> free;
    for (int j = 0, rest = code; j < q; ++j, rest /= 3) {
      if (rest % 3 == 0) free.push_back(j);
      if (rest % 3 == 1) p[j] = problem.lower[j];
      if (rest % 3 == 2) p[j] = problem.upper[j];
    }
    if (!free.empty()) {
      Eigen::MatrixXd columns(problem.a.rows(), free.size());
      for (size_t i = 0; i < free.size(); ++i) columns.col(i) = problem.a.col(free[i]);
      const Eigen::VectorXd solution =
          columns.colPivHouseholderQr().solve(-(problem.b + problem.a * p));
      for (size_t i = 0; i < free.size(); ++i) p[free[i]] = solution[i];
    }
    if ((p.array() < problem.lower.array()).any() || (p.array() > problem.upper.array()).any()) {
      continue;
    }
    best = std::min(best, (problem.a * p + problem.b).squaredNorm() / 2);
  }
  return best;
}

TEST(BoxLeastSquaresTest, MatchesBruteForceInBoxes) {
  RandomStream random(3);
  for (int i = 0; i < 300; ++i) {
    const BoxLeastSquares problem = RandomProblem(random, 7, 1 + i % 6, 1.5);
    const BoxStep step = SolveBoxLeastSquares(problem, 1e6);
    EXPECT_FALSE(step.cut);
    EXPECT_TRUE((step.p.array() >= problem.lower.array()).all());
    EXPECT_TRUE((step.p.array() <= problem.upper.array()).all());
    const double value = (problem.a * step.p + problem.b).squaredNorm() / 2;
    EXPECT_NEAR(value, BruteForce(problem), 1e-12);
    EXPECT_NEAR(problem.b.squaredNorm() / 2 - step.decrease, value, 1e-12);
    EXPECT_NEAR(step.slope, problem.b.dot(problem.a * step.p), 1e-12);
  }
}

// Optimality within the ball: for the gradient y of the model, y + L p has the signs that bounds
// allow for one L >= 0, and |p| is the radius to a tenth.
TEST(BoxLeastSquaresTest, StepsOnTheRadiusAreOptimal) {
  RandomStream random(4);
  int cut = 0;
  for (int i = 0; i < 400; ++i) {
    const int size = 1 + i % 12;
    const BoxLeastSquares problem = RandomProblem(random, 3 + i % 14, size, 0.5);
    const double radius = 0.02 + 0.5 * random.Uniform();
    const BoxStep step = SolveBoxLeastSquares(problem, radius);
    EXPECT_LE(step.p.norm(), 1.1 * radius * (1 + 1e-9));
    if (!step.cut) continue;
    ++cut;
    EXPECT_GE(step.p.norm(), 0.9 * radius * (1 - 1e-9));
    const Eigen::VectorXd y = problem.a.transpose() * (problem.a * step.p + problem.b);
    double damping = -1;
    for (int j = 0; j < size; ++j) {
      if (step.p[j] > problem.lower[j] && step.p[j] < problem.upper[j] &&
          std::abs(step.p[j]) > 1e-6) {
        damping = -y[j] / step.p[j];
      }
    }
    if (damping < 0) continue;
    for (int j = 0; j < size; ++j) {
      const double slope = y[j] + damping * step.p[j];
      if (step.p[j] > problem.lower[j]) {
        EXPECT_LE(slope, 1e-7);
      }
      if (step.p[j] < problem.upper[j]) {
        EXPECT_GE(slope, -1e-7);
      }
    }
  }
  EXPECT_GT(cut, 100);
}

TEST(BoxLeastSquaresTest, RankDeficientWithoutBounds) {
  // Two equal columns and one of zeros: the shortest of all solutions.
  BoxLeastSquares problem{Eigen::MatrixXd(3, 3), Eigen::Vector3d(1, 2, 3),
                          Eigen::Vector3d::Constant(-kInfinity),
                          Eigen::Vector3d::Constant(kInfinity)};
  problem.a << 1, 1, 0, 0, 0, 0, 1, 1, 0;
  const BoxStep step = SolveBoxLeastSquares(problem, 100);
  EXPECT_NEAR(step.p[0], -1, 1e-12);
  EXPECT_NEAR(step.p[1], -1, 1e-12);
  EXPECT_EQ(step.p[2], 0);
}

TEST(BoxLeastSquaresTest, NothingToDo) {
  BoxLeastSquares problem{Eigen::MatrixXd::Identity(2, 2), Eigen::Vector2d(1, -1),
                          Eigen::Vector2d(0, -1), Eigen::Vector2d(1, 0)};
  const BoxStep step = SolveBoxLeastSquares(problem, 1);
  EXPECT_EQ(step.p.norm(), 0);
  EXPECT_EQ(step.decrease, 0);
  // No rows.
  problem.a.resize(0, 2);
  problem.b.resize(0);
  EXPECT_EQ(SolveBoxLeastSquares(problem, 1).p.norm(), 0);
}

}  // namespace
}  // namespace costate::optimise

#include "engine/optimise/lbfgsb.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/optimise/test_problems.h"

namespace costate::optimise {
namespace {

using ::testing::HasSubstr;

OptimiserOptions Options() {
  OptimiserOptions options;
  options.algorithm = Algorithm::kLbfgsb;
  options.max_iterations = 1000;
  options.function_tolerance = 0;
  options.step_tolerance = 0;
  return options;
}

// scipy.optimize.minimize(f, x0, jac=True, method="L-BFGS-B", bounds=..., options=dict(ftol=0,
// gtol=1e-12, maxcor=10, maxiter=1000)) of SciPy 1.17.1 for half the sum of squares.
TEST(LbfgsbTest, BoundsMatchScipy) {
  OptimiserOptions options = Options();
  options.gradient_tolerance = 1e-7;
  const Box box = {{-2, -2, -1.5, 0.75, -3, -3}, {2, 2, 0.5, 0.75, 3, 0.25}};
  const Course run = RunToEnd(options, box, {-1.2, 1, -1.2, 1, 1.5, -1}, Rosenbrock(6));
  EXPECT_EQ(run.progress.outcome, Outcome::kConverged) << run.progress.detail;
  const std::vector<double> solution = {1, 1, -0.8597583452164811, 0.75, 0.5048795422771076, 0.25};
  for (size_t j = 0; j < 6; ++j) EXPECT_NEAR(run.progress.best[j], solution[j], 1e-6);
  EXPECT_EQ(run.progress.best[5], 0.25);
  EXPECT_NEAR(run.progress.value, 1.8589736752798627, 1e-12);
}

// The same algorithm as SciPy's, which takes 49 evaluations and 40 iterations from this start to
// this gradient norm; sums are rounded differently.
TEST(LbfgsbTest, TakesWhatScipyTakes) {
  OptimiserOptions options = Options();
  options.gradient_tolerance = 1e-8;
  const Course run = RunToEnd(options, Unbounded(6), {-1.2, 1, -1.2, 1, -1.2, 1}, Rosenbrock(6));
  EXPECT_EQ(run.progress.outcome, Outcome::kConverged);
  EXPECT_NEAR(static_cast<double>(run.progress.evaluations), 49, 5);
  EXPECT_NEAR(static_cast<double>(run.progress.iteration), 40, 5);
  for (const double x : run.progress.best) EXPECT_NEAR(x, 1, 1e-7);
}

TEST(LbfgsbTest, ManyElements) {
  OptimiserOptions options = Options();
  options.gradient_tolerance = 1e-6;
  const size_t size = 2000;
  const Course run =
      RunToEnd(options, Unbounded(size), std::vector<double>(size, 0.5), [&](const Question& q) {
        Answer answer;
        answer.value = 0;
        for (size_t j = 0; j < size; ++j) {
          const double weight = 1 + static_cast<double>(j % 17);
          const double e = q.point[j] - static_cast<double>(j % 5);
          answer.value += weight * e * e / 2;
          answer.gradient.push_back(weight * e);
        }
        return answer;
      });
  EXPECT_EQ(run.progress.outcome, Outcome::kConverged);
  for (size_t j = 0; j < size; ++j) {
    EXPECT_NEAR(run.progress.best[j], static_cast<double>(j % 5), 1e-5);
  }
}

TEST(LbfgsbTest, EndsByEachTolerance) {
  for (const char* sentence : {"gradient norm", "value changed", "step was"}) {
    OptimiserOptions options = Options();
    options.gradient_tolerance = 0;
    if (sentence[0] == 'g') options.gradient_tolerance = 1e-3;
    if (sentence[0] == 'v') options.function_tolerance = 1e-3;
    if (sentence[0] == 's') options.step_tolerance = 1e-3;
    // The value at the minimum is not 0.
    const Course run = RunToEnd(options, {{-2, -2, -2, 0.75}, {2, 2, 0.5, 0.75}},
                                {-1.2, 1, -1.2, 1}, Rosenbrock(4));
    EXPECT_EQ(run.progress.outcome, Outcome::kConverged);
    EXPECT_THAT(run.progress.detail, HasSubstr(sentence));
  }
}

// After a failure at x + e the next trial is at x + e / 10.
TEST(LbfgsbTest, FailuresShortenTheStepByTen) {
  const LeastSquares rosenbrock = Rosenbrock(2);
  const std::vector<double> start = {-1.2, 1};
  int64_t asked = 0;
  const Course run = RunToEnd(Options(), Unbounded(2), start, [&](const Question& question) {
    ++asked;
    return asked == 2 || asked == 3 ? Answer{} : rosenbrock(question);
  });
  ASSERT_GE(run.questions.size(), 4u);
  for (size_t j = 0; j < 2; ++j) {
    const auto step = [&](size_t i) { return run.questions[i].point[j] - start[j]; };
    EXPECT_NEAR(step(2) / step(1), 0.1, 1e-6);
    EXPECT_NEAR(step(3) / step(1), 0.01, 1e-6);
  }
  EXPECT_EQ(run.progress.outcome, Outcome::kConverged);
  EXPECT_NEAR(run.progress.value, 0, 1e-12);
}

TEST(LbfgsbTest, StallsWhereTheGradientIsWrong) {
  const LeastSquares rosenbrock = Rosenbrock(2);
  const Course run = RunToEnd(Options(), Unbounded(2), {-1.2, 1}, [&](const Question& question) {
    Answer answer = rosenbrock(question);
    for (double& g : answer.gradient) g = -g;
    return answer;
  });
  EXPECT_EQ(run.progress.outcome, Outcome::kStalled);
}

}  // namespace
}  // namespace costate::optimise

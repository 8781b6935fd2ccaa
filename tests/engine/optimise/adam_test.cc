#include "engine/optimise/adam.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/optimise/test_problems.h"

namespace costate::optimise {
namespace {

OptimiserOptions Options(Algorithm algorithm, int64_t iterations) {
  OptimiserOptions options;
  options.algorithm = algorithm;
  options.max_iterations = iterations;
  options.gradient_tolerance = 0;
  options.learning_rate = 0.01;
  return options;
}

// The sums the recursions stand for: m_t = (1 - b) sum b^(t - i) g_i, likewise v_t of squares.
TEST(AdamTest, StepsAreThoseOfTheDefinition) {
  const OptimiserOptions options = Options(Algorithm::kAdam, 30);
  const LeastSquares objective = Rosenbrock(2);
  const Course run = RunToEnd(options, Unbounded(2), {-1.2, 1}, objective);
  ASSERT_EQ(run.questions.size(), 31u);
  std::vector<std::vector<double>> gradients;
  for (int t = 1; t <= 30; ++t) {
    gradients.push_back(objective(run.questions[t - 1]).gradient);
    for (size_t j = 0; j < 2; ++j) {
      double m = 0, v = 0, m_shares = 0, v_shares = 0;
      for (int i = 1; i <= t; ++i) {
        const double g = gradients[i - 1][j];
        m += std::pow(0.9, t - i) * g;
        m_shares += std::pow(0.9, t - i);
        v += std::pow(0.999, t - i) * g * g;
        v_shares += std::pow(0.999, t - i);
      }
      const double step = 0.01 * (m / m_shares) / (std::sqrt(v / v_shares) + 1e-8);
      EXPECT_NEAR(run.questions[t - 1].point[j] - run.questions[t].point[j], step, 1e-13);
    }
  }
  EXPECT_EQ(run.progress.outcome, Outcome::kMaxIterations);
}

// Where the gradient is 0, x_t = x_0 times the product of (1 - rate * decay).
TEST(AdamTest, DecayIsApartFromTheGradient) {
  OptimiserOptions options = Options(Algorithm::kAdamW, 50);
  options.gradient_tolerance = 0;
  options.weight_decay = 0.5;
  const Objective flat = [](const Question& question) {
    // A gradient in an element that is held, so that the search goes on.
    Answer answer;
    answer.value = 1;
    answer.gradient = {0, question.point[1] < 1 ? -1e-300 : 0};
    return answer;
  };
  const Course run = RunToEnd(options, Unbounded(2), {4, -1e6}, flat);
  ASSERT_EQ(run.questions.size(), 51u);
  for (int t = 0; t <= 50; ++t) {
    EXPECT_NEAR(run.questions[t].point[0], 4 * std::pow(1 - 0.01 * 0.5, t), 1e-13);
  }
}

// With a constant gradient every step is the rate.
std::vector<double> Rates(const OptimiserOptions& options) {
  const Course run = RunToEnd(options, Unbounded(1), {0}, [](const Question& question) {
    Answer answer;
    answer.value = question.point[0];
    answer.gradient = {1};
    return answer;
  });
  std::vector<double> rates;
  for (size_t i = 1; i < run.questions.size(); ++i) {
    rates.push_back(run.questions[i - 1].point[0] - run.questions[i].point[0]);
  }
  return rates;
}

TEST(ScheduleTest, Rates) {
  OptimiserOptions options = Options(Algorithm::kAdam, 101);
  options.epsilon = 1e-300;
  options.learning_rate = 2;
  for (const double rate : Rates(options)) EXPECT_NEAR(rate, 2, 1e-12);

  options.schedule = {Schedule::Kind::kExponential, 0.01, 0};
  std::vector<double> rates = Rates(options);
  ASSERT_EQ(rates.size(), 101u);
  EXPECT_NEAR(rates[0], 2, 1e-12);
  EXPECT_NEAR(rates[50], 0.2, 1e-12);
  EXPECT_NEAR(rates[100], 0.02, 1e-12);

  options.schedule = {Schedule::Kind::kCosine, 0.5, 0};
  rates = Rates(options);
  EXPECT_NEAR(rates[0], 2, 1e-12);
  EXPECT_NEAR(rates[50], 1.5, 1e-12);
  EXPECT_NEAR(rates[25], 1 + 0.5 * (1 + std::sqrt(0.5)), 1e-12);
  EXPECT_NEAR(rates[100], 1, 1e-12);

  options.schedule = {Schedule::Kind::kConstant, 0.5, 10};
  rates = Rates(options);
  for (int i = 0; i < 10; ++i) EXPECT_NEAR(rates[i], 2 * (i + 1) / 10.0, 1e-12);
  EXPECT_NEAR(rates[30], 2, 1e-12);
}

// Clipping scales the whole gradient: what Adam sees of g is what it sees of a multiple of g,
// unless norms vary.
TEST(AdamTest, ClippedGradientsHaveTheGivenNorm) {
  OptimiserOptions options = Options(Algorithm::kAdam, 3);
  options.clip_norm = 0.5;
  options.epsilon = 1;  // so that the size of gradients shows
  int64_t asked = 0;
  const Course run = RunToEnd(options, Unbounded(2), {0, 0}, [&](const Question&) {
    const double size = std::pow(10.0, static_cast<double>(asked++));
    Answer answer;
    answer.value = 1;
    answer.gradient = {3 * size, 4 * size};
    return answer;
  });
  // Norm 1/2 each time: gradients (0.3, 0.4), so that steps are 0.01 g / (|g| + 1).
  for (size_t t = 1; t < run.questions.size(); ++t) {
    EXPECT_NEAR(run.questions[t - 1].point[0] - run.questions[t].point[0], 0.01 * 0.3 / 1.3, 1e-15);
    EXPECT_NEAR(run.questions[t - 1].point[1] - run.questions[t].point[1], 0.01 * 0.4 / 1.4, 1e-15);
  }
}

TEST(AdamTest, ConvergesByTheGradient) {
  OptimiserOptions options = Options(Algorithm::kAdam, 5000);
  options.gradient_tolerance = 1e-3;
  options.schedule = {Schedule::Kind::kExponential, 0.01, 0};
  const LeastSquares objective = {1, 1, [](const auto& x, auto& s, auto& j) {
                                    s = {x[0] - 3};
                                    j = {1};
                                  }};
  const Course run = RunToEnd(options, Unbounded(1), {2}, objective);
  EXPECT_EQ(run.progress.outcome, Outcome::kConverged);
  EXPECT_NEAR(run.progress.best[0], 3, 1e-3);
}

TEST(BatchesTest, EveryEpochTakesEachPartOnce) {
  OptimiserOptions options = Options(Algorithm::kAdam, 40);
  options.num_parts = 7;
  options.batch_size = 3;
  options.seed = 11;
  const LeastSquares objective = Rosenbrock(14);
  const Course run = RunToEnd(options, Unbounded(14), std::vector<double>(14, 0.5), objective);
  std::vector<std::vector<int64_t>> epochs(1);
  for (size_t i = 1; i < run.questions.size(); ++i) {
    const Question& question = run.questions[i];
    if (question.parts.empty()) {
      EXPECT_EQ(question.wanted, Wanted::kValue);
      epochs.emplace_back();
      continue;
    }
    EXPECT_EQ(question.wanted, Wanted::kGradient);
    EXPECT_TRUE(std::is_sorted(question.parts.begin(), question.parts.end()));
    epochs.back().insert(epochs.back().end(), question.parts.begin(), question.parts.end());
  }
  // 40 steps of 3 a whole epoch: 13 epochs and one step; then the last look.
  ASSERT_EQ(epochs.size(), 15u);
  int different = 0;
  for (size_t e = 0; e < 13; ++e) {
    EXPECT_THAT(epochs[e], testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6));
    different += epochs[e] != epochs[0];
  }
  EXPECT_GT(different, 6);
  EXPECT_EQ(epochs[13].size(), 3u);
  EXPECT_EQ(run.questions.back().parts.size(), 0u);
  EXPECT_EQ(run.progress.value, objective({run.progress.best, Wanted::kValue}).value);
}

// Batches of all parts are no batches.
TEST(BatchesTest, WholeBatches) {
  OptimiserOptions options = Options(Algorithm::kAdam, 10);
  options.num_parts = 3;
  options.batch_size = 3;
  const Course run = RunToEnd(options, Unbounded(6), std::vector<double>(6, 0.5), Rosenbrock(6));
  for (const Question& question : run.questions) EXPECT_TRUE(question.parts.empty());
  EXPECT_EQ(run.questions.size(), 11u);
}

// From x with a step to y that fails, a quarter of the step is tried.
TEST(AdamTest, FailedStepsAreShortened) {
  OptimiserOptions options = Options(Algorithm::kAdam, 10);
  options.learning_rate = 1;
  const Course run = RunToEnd(options, Unbounded(1), {0}, [](const Question& question) {
    Answer answer;
    if (question.point[0] < -0.1) return answer;
    answer.value = question.point[0];
    answer.gradient = {1};
    return answer;
  });
  EXPECT_NEAR(run.questions[1].point[0], -1, 1e-7);
  EXPECT_NEAR(run.questions[2].point[0], -0.25, 1e-7);
  EXPECT_NEAR(run.questions[3].point[0], -0.0625, 1e-7);
  EXPECT_NEAR(run.questions[4].point[0], -1.0625, 1e-7);
}

}  // namespace
}  // namespace costate::optimise

#include "engine/optimise/nlopt.h"

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/field_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/optimise/test_problems.h"

namespace costate::optimise {
namespace {

using ::testing::HasSubstr;

OptimiserOptions Options(const std::string& name, int64_t evaluations = 10000) {
  OptimiserOptions options;
  options.algorithm = Algorithm::kNlopt;
  options.nlopt_algorithm = name;
  options.max_iterations = evaluations;
  options.seed = 3;
  return options;
}

TEST(NloptTest, LocalMethodsFindTheMinimum) {
  for (const char* name : {"LN_BOBYQA", "LN_COBYLA", "LN_NELDERMEAD", "LN_PRAXIS", "LN_SBPLX"}) {
    auto search = MakeOptimiser(Options(name), {{-3, -3}, {3, 3}}, {-1.2, 1}).value();
    EXPECT_EQ(search->question().point, (std::vector<double>{-1.2, 1})) << name;
    const LeastSquares objective = Rosenbrock(2);
    while (!search->done()) search->Tell(objective(search->question()));
    EXPECT_NE(search->progress().outcome, Outcome::kDiverged) << name;
    EXPECT_LT(search->progress().value, 1e-3) << name << ": " << search->progress().detail;
  }
}

// Rastrigin's function has 11^2 minima in this box; the lowest is at 0.3.
TEST(NloptTest, GlobalMethodsLeaveLocalMinima) {
  const Objective rastrigin = [](const Question& question) {
    Answer answer;
    answer.value = 0;
    for (const double x : question.point) {
      const double e = x - 0.3;
      answer.value += e * e + 10 * (1 - std::cos(2 * M_PI * e));
    }
    return answer;
  };
  for (const char* name : {"GN_CRS2_LM", "GN_DIRECT", "GN_ESCH", "GN_ISRES", "GN_MLSL_LDS"}) {
    auto search = MakeOptimiser(Options(name, 4000), {{-5, -5}, {5, 5}}, {4.3, -4.7}).value();
    while (!search->done()) search->Tell(rastrigin(search->question()));
    // Among the lowest five; the start is in one of 41.
    EXPECT_LT(search->progress().value, 1.5) << name << ": " << search->progress().detail;
  }
}

TEST(NloptTest, RandomMethodsFollowTheSeed) {
  const Box box = {{-3, -3}, {3, 3}};
  OptimiserOptions options = Options("GN_CRS2_LM", 100);
  const Course a = RunToEnd(options, box, {0, 0}, Rosenbrock(2));
  options.seed = 4;
  const Course b = RunToEnd(options, box, {0, 0}, Rosenbrock(2));
  EXPECT_NE(a.questions[50].point, b.questions[50].point);
}

// Searches side by side do not disturb each other's random numbers.
TEST(NloptTest, SearchesSideBySide) {
  const Box box = {{-3, -3}, {3, 3}};
  const OptimiserOptions options = Options("GN_CRS2_LM", 200);
  const LeastSquares objective = Rosenbrock(2);
  const Course alone = RunToEnd(options, box, {0, 0}, objective);
  std::vector<std::unique_ptr<Optimiser>> searches;
  for (int i = 0; i < 20; ++i) {
    searches.push_back(MakeOptimiser(options, box, {0, 0}).value());
  }
  for (const Question& expected : alone.questions) {
    for (auto& search : searches) {
      ASSERT_FALSE(search->done());
      EXPECT_EQ(search->question().point, expected.point);
      search->Tell(objective(search->question()));
    }
  }
  for (auto& search : searches) EXPECT_TRUE(search->done());
}

// Another thread may go on with it.
TEST(NloptTest, MovesBetweenThreads) {
  auto search = MakeOptimiser(Options("LN_SBPLX", 50), Unbounded(2), {0, 0}).value();
  const LeastSquares objective = Rosenbrock(2);
  while (!search->done()) {
    std::thread([&] { search->Tell(objective(search->question())); }).join();
  }
  EXPECT_EQ(search->progress().evaluations, 50);
}

TEST(NloptTest, LimitCountsEvaluations) {
  const Course run = RunToEnd(Options("LN_NELDERMEAD", 17), Unbounded(2), {-1.2, 1}, Rosenbrock(2));
  EXPECT_EQ(run.progress.evaluations, 17);
  EXPECT_EQ(run.progress.outcome, Outcome::kMaxIterations);
}

TEST(NloptTest, RefusesOtherNames) {
  for (const char* name : {"", "LD_LBFGS", "GD_STOGO", "LN_AUGLAG", "LN_NEWUOA", "BOBYQA", "x"}) {
    const absl::Status status = ValidateOptions(Options(name));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_EQ(FieldOf(status), "nlopt_algorithm");
    EXPECT_THAT(std::string(status.message()), HasSubstr("LN_BOBYQA"));
  }
}

TEST(NloptTest, GlobalMethodsNeedFiniteBounds) {
  const absl::Status status = MakeOptimiser(Options("GN_DIRECT"), Unbounded(2), {0, 0}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(status), "nlopt_algorithm");
  EXPECT_THAT(std::string(status.message()), HasSubstr("finite bounds"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("LN_SBPLX"));
}

// Told other values, a search asks other points: the saved state then does not fit.
TEST(NloptTest, ReplayIsCheckedPointForPoint) {
  const OptimiserOptions options = Options("LN_SBPLX");
  const Course run = RunToEnd(options, {{-3, -3}, {3, 3}}, {-1.2, 1}, Rosenbrock(2));
  OptimiserOptions other = options;
  other.nlopt_algorithm = "LN_NELDERMEAD";
  const auto restored = RestoreOptimiser(other, {{-3, -3}, {3, 3}}, run.states[30]);
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kDataLoss);
}

// BOBYQA writes past its arrays for so many.
TEST(NloptTest, RefusesMoreElementsThanItsMethodsTake) {
  OptimiserOptions options;
  options.algorithm = Algorithm::kNlopt;
  options.nlopt_algorithm = "LN_BOBYQA";
  const size_t many = 30000;
  const Box box = {std::vector<double>(many, -1), std::vector<double>(many, 1)};
  const auto made = MakeOptimiser(options, box, std::vector<double>(many));
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace costate::optimise

// A point has the same bits alone, in any group of questions, in lanes and on any number of
// threads.
#include "engine/fit/evaluate_batch.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "engine/base/workers.h"
#include "gtest/gtest.h"
#include "tests/engine/fit/fit_fixture.h"
#include "tests/engine/fit/thread_workers.h"

namespace costate::fit {
namespace {

using optimise::Answer;
using optimise::Question;
using optimise::Wanted;
using testing::By;
using testing::FreeOf;
using testing::Growth;
using testing::MakeObjective;
using testing::Measured;
using testing::StartOf;
using testing::ThreadWorkers;

// Three conditions, of which two share lanes, an estimated sigma and a point that fails.
FitProblem Several() {
  FitProblem problem = Growth(1e-7);
  for (const char* name : {"one", "two", "three"}) {
    Condition condition;
    condition.name = name;
    condition.params = {costate::testing::Scalar("K", 3.0 + static_cast<double>(name[1] % 5))};
    problem.conditions.push_back(condition);
    Series series = Measured("u", {1, 2, 6}, {1, 2, 5});
    series.condition = name;
    problem.data.push_back(series);
  }
  problem.data.erase(problem.data.begin());
  problem.data[2].times = {0.5, 4, 3};
  problem.data[1].sigma.clear();
  problem.free[2].per_condition = {"two"};
  return problem;
}

std::vector<Question> Questions(const Objective& objective, int64_t count) {
  std::vector<Question> questions;
  const std::vector<double> start = StartOf(objective);
  for (int64_t i = 0; i < count; ++i) {
    Question question;
    question.point = start;
    for (size_t e = 0; e < start.size(); ++e) {
      question.point[e] += 0.05 * static_cast<double>((i * 7 + static_cast<int64_t>(e)) % 11);
    }
    question.wanted = static_cast<Wanted>(i % 3);
    if (i % 5 == 4 && objective.num_parts() > 1) question.parts = {0, 2};
    questions.push_back(std::move(question));
  }
  return questions;
}

bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

void ExpectSame(const Answer& a, const Answer& b, size_t index) {
  EXPECT_EQ(a.value, b.value) << index;
  EXPECT_TRUE(SameBits(a.gradient, b.gradient)) << index;
  EXPECT_TRUE(SameBits(a.residuals, b.residuals)) << index;
  EXPECT_TRUE(SameBits(a.jacobian, b.jacobian)) << index;
}

std::vector<Answer> AskAll(const Objective& objective, const std::vector<Question>& questions,
                           Workers& workers) {
  std::vector<const Question*> pointers;
  for (const Question& question : questions) pointers.push_back(&question);
  auto answers = objective.Evaluate(pointers, kNeverStops, workers);
  EXPECT_TRUE(answers.ok()) << answers.status();
  return answers.ok() ? *std::move(answers) : std::vector<Answer>(questions.size());
}

TEST(EvaluateBatch, BitsDoNotDependOnTheGroup) {
  for (const GradientMethod method :
       {GradientMethod::kForward, GradientMethod::kBackprop, GradientMethod::kCheckpointed,
        GradientMethod::kSegmented, GradientMethod::kGauss}) {
    const auto objective = MakeObjective(Several(), By(method));
    ASSERT_NE(objective, nullptr);
    const std::vector<Question> questions = Questions(*objective, 45);
    NoWorkers none;
    std::vector<Answer> alone;
    for (const Question& question : questions) {
      alone.push_back(AskAll(*objective, {question}, none)[0]);
      EXPECT_TRUE(std::isfinite(alone.back().value));
    }
    std::vector<Question> reversed = questions;
    std::reverse(reversed.begin(), reversed.end());
    for (const int64_t width : {1, 3}) {
      ThreadWorkers workers(width);
      const std::vector<Answer> together = AskAll(*objective, questions, workers);
      std::vector<Answer> backwards = AskAll(*objective, reversed, workers);
      std::reverse(backwards.begin(), backwards.end());
      for (size_t i = 0; i < questions.size(); ++i) {
        ExpectSame(together[i], alone[i], i);
        ExpectSame(backwards[i], alone[i], i);
      }
    }
  }
}

TEST(EvaluateBatch, BitsOfReversibleSchemesDoNotDependOnTheGroup) {
  FitProblem problem = Several();
  problem.simulation.method_auto = false;
  problem.simulation.options.method = Method::kMidpoint;
  problem.simulation.options.coupling = 0.999;
  problem.simulation.options.control.kind = StepControl::Kind::kFixed;
  problem.simulation.options.control.fixed_step = 0.05;
  const auto objective = MakeObjective(problem, By(GradientMethod::kReversible));
  ASSERT_NE(objective, nullptr);
  const std::vector<Question> questions = Questions(*objective, 30);
  NoWorkers workers;
  const std::vector<Answer> together = AskAll(*objective, questions, workers);
  for (size_t i = 0; i < questions.size(); ++i) {
    ExpectSame(together[i], AskAll(*objective, {questions[i]}, workers)[0], i);
  }
}

// So many tangents that trajectories do not share lanes.
TEST(EvaluateBatch, ManyTangentsHaveTheBitsOfOneAlone) {
  FitProblem problem;
  problem.simulation = costate::testing::Simulate(
      costate::testing::CompileText("param a[20] = 0.3\nparam W[30, 20] = 0.02\n"
                                    "state y[30] = 1\ny' = W @ a - 0.5*y*y + sin(t)\n"),
      0, 2, 1e-9, 1e-11);
  problem.data = {testing::MeasuredState("y[3]", {1, 2}, {0.9, 1.3})};
  problem.free = {FreeOf("a")};
  const auto objective = MakeObjective(problem, By(GradientMethod::kForward));
  ASSERT_NE(objective, nullptr);
  const std::vector<Question> questions = Questions(*objective, 12);
  ThreadWorkers workers(3);
  const std::vector<Answer> together = AskAll(*objective, questions, workers);
  for (size_t i = 0; i < questions.size(); ++i) {
    NoWorkers none;
    ExpectSame(together[i], AskAll(*objective, {questions[i]}, none)[0], i);
  }
  const std::vector<double> point = StartOf(*objective);
  testing::ExpectClose(testing::GradientOfRows(testing::Ask(*objective, point, Wanted::kResiduals)),
                       testing::DifferenceGradient(*objective, point), 1e-6);
}

// Jacobians of all answers are held at once.
TEST(EvaluateBatch, JacobiansThatDoNotFitAreRefused) {
  FitProblem problem;
  problem.simulation = costate::testing::Simulate(
      costate::testing::CompileText("param w[2000]\nstate y = 1\ny' = -sum(w)*y\n"), 0, 1);
  problem.data = {testing::MeasuredState("y", std::vector<double>(300'000, 0.5),
                                         std::vector<double>(300'000, 1.0))};
  problem.free = {FreeOf("w")};
  const auto objective = MakeObjective(problem);
  ASSERT_NE(objective, nullptr);
  const Question question = {StartOf(*objective), Wanted::kResiduals, {}};
  const Question* pointer = &question;
  NoWorkers workers;
  EXPECT_EQ(
      objective->Evaluate(absl::MakeConstSpan(&pointer, 1), kNeverStops, workers).status().code(),
      absl::StatusCode::kResourceExhausted);
}

// One that fails does not disturb the others in its lanes.
TEST(EvaluateBatch, AFailureStaysAlone) {
  FitProblem problem;
  problem.simulation = costate::testing::Simulate(
      costate::testing::CompileText("param a = 0.5\nstate y = a\ny' = y^2\noutput v = y\n"), 0, 1);
  problem.data = {Measured("v", {0.5, 1}, {1, 1})};
  problem.free = {FreeOf("a")};
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    const auto objective = MakeObjective(problem, By(method));
    ASSERT_NE(objective, nullptr);
    for (const Wanted wanted : {Wanted::kValue, Wanted::kGradient, Wanted::kResiduals}) {
      std::vector<Question> questions;
      for (int i = 0; i < 20; ++i) questions.push_back({{0.05 + 0.1 * i}, wanted, {}});
      NoWorkers workers;
      const std::vector<Answer> together = AskAll(*objective, questions, workers);
      for (size_t i = 0; i < questions.size(); ++i) {
        EXPECT_EQ(std::isfinite(together[i].value), i < 10) << i;
        ExpectSame(together[i], AskAll(*objective, {questions[i]}, workers)[0], i);
      }
    }
  }
}

// A budget that holds one trajectory but not many gives the same bits as one that holds all.
TEST(EvaluateBatch, LittleMemoryChangesNothing) {
  FitProblem problem = Several();
  GradientOptions small = By(GradientMethod::kBackprop);
  small.adjoint.memory_budget = 20'000;
  const auto roomy = MakeObjective(problem, By(GradientMethod::kBackprop));
  const auto tight = MakeObjective(problem, small);
  std::vector<Question> questions = Questions(*roomy, 30);
  for (Question& question : questions) question.wanted = Wanted::kGradient;
  NoWorkers workers;
  const std::vector<Answer> expected = AskAll(*roomy, questions, workers);
  const std::vector<Answer> got = AskAll(*tight, questions, workers);
  for (size_t i = 0; i < questions.size(); ++i) ExpectSame(got[i], expected[i], i);
}

}  // namespace
}  // namespace costate::fit

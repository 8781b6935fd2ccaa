// Problems for the tests of fits, and witnesses: differences of the value.
#ifndef COSTATE_TESTS_ENGINE_FIT_FIT_FIXTURE_H_
#define COSTATE_TESTS_ENGINE_FIT_FIT_FIXTURE_H_

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/workers.h"
#include "engine/fit/objective.h"
#include "engine/fit/problem.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate::testing {

// Cuts work for `width` threads and runs it on as many.
class ThreadWorkers final : public Workers {
 public:
  explicit ThreadWorkers(int64_t width) : width_(width) {}
  int64_t width() const override { return width_; }
  void Run(int64_t count, absl::FunctionRef<void(int64_t)> piece) override {
    std::vector<std::thread> threads;
    for (int64_t w = 0; w < width_; ++w) {
      threads.emplace_back([&, w] {
        for (int64_t i = w; i < count; i += width_) piece(i);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

 private:
  const int64_t width_;
};

inline std::unique_ptr<fit::Objective> MakeObjective(const fit::FitProblem& problem,
                                                     const GradientOptions& gradient = {}) {
  auto objective = fit::Objective::Create(TestEngine(), problem, gradient);
  EXPECT_TRUE(objective.ok()) << objective.status();
  return objective.ok() ? *std::move(objective) : nullptr;
}

inline std::vector<double> StartOf(const fit::Objective& objective) {
  std::vector<double> natural;
  for (const fit::FreeElement& element : objective.elements()) natural.push_back(element.start);
  return objective.ToSearch(natural);
}

inline optimise::Answer Ask(const fit::Objective& objective, std::vector<double> point,
                            optimise::Wanted wanted, std::vector<int64_t> parts = {}) {
  const optimise::Question question = {std::move(point), wanted, std::move(parts)};
  const optimise::Question* pointer = &question;
  NoWorkers workers;
  auto answers = objective.Evaluate(absl::MakeConstSpan(&pointer, 1), kNeverStops, workers);
  EXPECT_TRUE(answers.ok()) << answers.status();
  return answers.ok() ? (*answers)[0] : optimise::Answer();
}

// J's of an answer with residuals.
inline std::vector<double> GradientOfRows(const optimise::Answer& answer) {
  if (answer.residuals.empty()) return {};
  const size_t q = answer.jacobian.size() / answer.residuals.size();
  std::vector<double> gradient(q);
  for (size_t row = 0; row < answer.residuals.size(); ++row) {
    for (size_t e = 0; e < q; ++e) {
      gradient[e] += answer.jacobian[row * q + e] * answer.residuals[row];
    }
  }
  return gradient;
}

// Fourth-order central differences of the value.
inline std::vector<double> DifferenceGradient(const fit::Objective& objective,
                                              const std::vector<double>& point,
                                              const std::vector<int64_t>& parts = {},
                                              double step = 1e-3) {
  std::vector<double> gradient(point.size());
  for (size_t e = 0; e < point.size(); ++e) {
    const double h = step * std::max(0.1, std::fabs(point[e]));
    const auto at = [&](double shift) {
      std::vector<double> moved = point;
      moved[e] += shift;
      return Ask(objective, moved, optimise::Wanted::kValue, parts).value;
    };
    gradient[e] = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  }
  return gradient;
}

inline void ExpectClose(const std::vector<double>& actual, const std::vector<double>& expected,
                        double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  double size = 0;
  for (const double x : expected) size = std::max(size, std::fabs(x));
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], tolerance * std::max(size, 1e-3)) << "element " << i;
  }
}

}  // namespace costate::testing

#endif  // COSTATE_TESTS_ENGINE_FIT_FIT_FIXTURE_H_

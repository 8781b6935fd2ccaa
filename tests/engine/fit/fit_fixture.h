// Problems for the tests of fits, and witnesses: differences of the value.
#ifndef COSTATE_TESTS_ENGINE_FIT_FIT_FIXTURE_H_
#define COSTATE_TESTS_ENGINE_FIT_FIT_FIXTURE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/workers.h"
#include "engine/fit/objective.h"
#include "engine/fit/problem.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate::fit::testing {

// Logistic growth with a decaying companion; an output of a parameter and of time, another of
// shape [2], and initial values from a parameter.
constexpr char kGrowth[] =
    "model growth\nparam r = 0.8 in [0, 10]\nparam K = 5\nparam d = 0.3\nparam a = 0.4\n"
    "param c[2] = [0.1, 0.01]\n"
    "state x = a\nstate z = 1 + a\n"
    "x' = r*x*(1 - x/K)\nz' = -d*z + c[0]*x\n"
    "output u = x + d*z + c[1]*t\noutput w = [x, z]\n";

inline Free FreeOf(std::string name, Scale scale = Scale::kLinear) {
  Free free;
  free.name = std::move(name);
  free.scale = scale;
  return free;
}

inline Free Between(std::string name, double lower, double upper, Scale scale = Scale::kLinear) {
  Free free = FreeOf(std::move(name), scale);
  free.lower = lower;
  free.upper = upper;
  return free;
}

inline Series Measured(std::string output, std::vector<double> times, std::vector<double> values,
                       Noise noise = Noise::kGaussian) {
  Series series;
  series.channel = std::move(output);
  series.times = std::move(times);
  series.values = std::move(values);
  series.noise = noise;
  series.sigma = {0.3};
  return series;
}

inline Series MeasuredState(std::string state, std::vector<double> times,
                            std::vector<double> values, Noise noise = Noise::kGaussian) {
  Series series = Measured(std::move(state), std::move(times), std::move(values), noise);
  series.channel_kind = Channel::Kind::kState;
  return series;
}

// A repeated time, and one at t0.
inline FitProblem Growth(double rtol = 1e-10) {
  FitProblem problem;
  problem.simulation =
      costate::testing::Simulate(costate::testing::CompileText(kGrowth), 0, 6, rtol, rtol * 1e-2);
  problem.data = {Measured("u", {0, 4, 1, 2, 2, 6}, {0.9, 4.1, 1.4, 2.2, 2.6, 5.3})};
  problem.free = {Between("r", 0.01, 8, Scale::kLog), FreeOf("d"),
                  Between("a", 0.1, 1, Scale::kLogit)};
  return problem;
}

inline std::unique_ptr<Objective> MakeObjective(const FitProblem& problem,
                                                const GradientOptions& gradient = {}) {
  auto objective = Objective::Create(costate::testing::TestEngine(), problem, gradient);
  EXPECT_TRUE(objective.ok()) << objective.status();
  return objective.ok() ? *std::move(objective) : nullptr;
}

inline GradientOptions By(GradientMethod method) {
  GradientOptions gradient;
  gradient.method = method;
  return gradient;
}

inline std::vector<double> StartOf(const Objective& objective) {
  std::vector<double> natural;
  for (const FreeElement& element : objective.elements()) natural.push_back(element.start);
  return objective.ToSearch(natural);
}

inline std::vector<std::string> NamesOf(const Objective& objective) {
  std::vector<std::string> names;
  for (const FreeElement& element : objective.elements()) names.push_back(element.name);
  return names;
}

inline optimise::Answer Ask(const Objective& objective, std::vector<double> point,
                            optimise::Wanted wanted, std::vector<int64_t> parts = {},
                            bool expected = false) {
  const optimise::Question question = {std::move(point), wanted, std::move(parts), expected};
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

// J'J of an answer with residuals.
inline std::vector<double> Information(const optimise::Answer& answer) {
  const size_t q = answer.jacobian.size() / answer.residuals.size();
  std::vector<double> information(q * q);
  for (size_t row = 0; row < answer.residuals.size(); ++row) {
    const double* j = answer.jacobian.data() + row * q;
    for (size_t a = 0; a < q; ++a) {
      for (size_t b = 0; b < q; ++b) information[a * q + b] += j[a] * j[b];
    }
  }
  return information;
}

// Fourth-order central differences of the value.
inline std::vector<double> DifferenceGradient(const Objective& objective,
                                              const std::vector<double>& point,
                                              const std::vector<int64_t>& parts = {}) {
  std::vector<double> gradient(point.size());
  for (size_t e = 0; e < point.size(); ++e) {
    const double h = 1e-3 * std::max(0.1, std::fabs(point[e]));
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
  double size = 1e-3;
  for (const double x : expected) size = std::max(size, std::fabs(x));
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], tolerance * size) << "element " << i;
  }
}

// Value, gradient and rows agree with each other and with differences, by tangents and in reverse,
// at a point beside the start.
inline void ExpectDerivatives(const FitProblem& problem, const std::vector<int64_t>& parts = {},
                              double tolerance = 3e-7) {
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    const auto objective = MakeObjective(problem, By(method));
    ASSERT_NE(objective, nullptr);
    std::vector<double> point = StartOf(*objective);
    for (size_t e = 0; e < point.size(); ++e) point[e] += 0.01 * static_cast<double>(e + 1);
    const auto value = Ask(*objective, point, optimise::Wanted::kValue, parts);
    const auto gradient = Ask(*objective, point, optimise::Wanted::kGradient, parts);
    const auto rows = Ask(*objective, point, optimise::Wanted::kResiduals, parts);
    ASSERT_TRUE(std::isfinite(value.value));
    EXPECT_NEAR(gradient.value, value.value, 1e-7 * (1 + std::fabs(value.value)));
    EXPECT_NEAR(rows.value, value.value, 1e-7 * (1 + std::fabs(value.value)));
    const std::vector<double> witness = DifferenceGradient(*objective, point, parts);
    ExpectClose(gradient.gradient, witness, tolerance);
    ExpectClose(GradientOfRows(rows), witness, tolerance);
  }
}

}  // namespace costate::fit::testing

#endif  // COSTATE_TESTS_ENGINE_FIT_FIT_FIXTURE_H_

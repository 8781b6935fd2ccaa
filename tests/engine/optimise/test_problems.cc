#include "tests/engine/optimise/test_problems.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "gtest/gtest.h"

namespace costate::optimise {

Answer LeastSquares::operator()(const Question& question) const {
  std::vector<double> s, j;
  residuals(question.point, s, j);
  std::vector<int64_t> chosen = question.parts;
  if (chosen.empty()) {
    chosen.resize(parts);
    std::iota(chosen.begin(), chosen.end(), 0);
  }
  const double share = static_cast<double>(parts) / static_cast<double>(chosen.size());
  const size_t rows = s.size() / parts;
  Answer answer;
  answer.value = 0;
  answer.gradient.assign(size, 0);
  for (const int64_t part : chosen) {
    for (size_t i = part * rows; i < (part + 1) * rows; ++i) {
      answer.value += share * s[i] * s[i] / 2;
      for (size_t k = 0; k < size; ++k) answer.gradient[k] += share * j[i * size + k] * s[i];
    }
  }
  if (question.wanted == Wanted::kValue) answer.gradient.clear();
  if (question.wanted == Wanted::kResiduals) {
    answer.gradient.clear();
    answer.residuals = std::move(s);
    answer.jacobian = std::move(j);
  }
  return answer;
}

LeastSquares Rosenbrock(size_t size) {
  return {size, static_cast<int64_t>(size / 2),
          [size](const std::vector<double>& x, std::vector<double>& s, std::vector<double>& j) {
            s.assign(size, 0);
            j.assign(size * size, 0);
            for (size_t i = 0; i < size; i += 2) {
              s[i] = 10 * (x[i + 1] - x[i] * x[i]);
              s[i + 1] = 1 - x[i];
              j[i * size + i] = -20 * x[i];
              j[i * size + i + 1] = 10;
              j[(i + 1) * size + i] = -1;
            }
          }};
}

LeastSquares PowellSingular() {
  return {4, 1, [](const std::vector<double>& x, std::vector<double>& s, std::vector<double>& j) {
            const double u = x[1] - 2 * x[2], v = x[0] - x[3];
            const double root5 = std::sqrt(5.0), root10 = std::sqrt(10.0);
            s = {x[0] + 10 * x[1], root5 * (x[2] - x[3]), u * u, root10 * v * v};
            j = {1,
                 10,
                 0,
                 0,
                 0,
                 0,
                 root5,
                 -root5,
                 0,
                 2 * u,
                 -4 * u,
                 0,
                 2 * root10 * v,
                 0,
                 0,
                 -2 * root10 * v};
          }};
}

Box Unbounded(size_t size) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {std::vector<double>(size, -kInfinity), std::vector<double>(size, kInfinity)};
}

Course RunToEnd(const OptimiserOptions& options, const Box& box, const std::vector<double>& start,
                const Objective& objective, int64_t restore_every, int64_t limit) {
  Course run;
  auto made = MakeOptimiser(options, box, start);
  EXPECT_TRUE(made.ok()) << made.status();
  run.progress.trace = {run.progress.value};
  if (!made.ok()) return run;
  std::unique_ptr<Optimiser> optimiser = *std::move(made);
  for (int64_t i = 0; !optimiser->done(); ++i) {
    if (i >= limit) {
      ADD_FAILURE() << "no end after " << limit << " questions";
      break;
    }
    run.states.push_back(optimiser->Save());
    if (restore_every > 0 && i % restore_every == 0) {
      auto restored = RestoreOptimiser(options, box, run.states.back());
      EXPECT_TRUE(restored.ok()) << restored.status();
      if (!restored.ok()) return run;
      optimiser = *std::move(restored);
    }
    const Question& question = optimiser->question();
    for (size_t j = 0; j < question.point.size(); ++j) {
      EXPECT_GE(question.point[j], box.lower[j]);
      EXPECT_LE(question.point[j], box.upper[j]);
    }
    run.questions.push_back(question);
    optimiser->Tell(objective(question));
  }
  run.states.push_back(optimiser->Save());
  run.progress = optimiser->progress();
  return run;
}

}  // namespace costate::optimise

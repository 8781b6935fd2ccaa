// Objectives with residuals, gradient and parts for the tests of optimisers.
#ifndef COSTATE_TESTS_ENGINE_OPTIMISE_TEST_PROBLEMS_H_
#define COSTATE_TESTS_ENGINE_OPTIMISE_TEST_PROBLEMS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/optimise/optimiser.h"

namespace costate::optimise {

// value = s's / 2 over parts of equal numbers of residuals.
struct LeastSquares {
  size_t size = 0;  // q
  int64_t parts = 1;
  // Fills s and its Jacobian, row-major.
  std::function<void(const std::vector<double>& x, std::vector<double>& s, std::vector<double>& j)>
      residuals;

  Answer operator()(const Question& question) const;
};

// Extended Rosenbrock: s = 10 (x_{2i} - x_{2i-1}^2), 1 - x_{2i-1}; a part for each pair; `size` is
// even. Minimum 0 at 1.
LeastSquares Rosenbrock(size_t size);

// Powell's singular function: x1 + 10 x2, 5^(1/2) (x3 - x4), (x2 - 2 x3)^2, 10^(1/2) (x1 - x4)^2.
// Minimum 0 at 0, where the Jacobian has rank 2.
LeastSquares PowellSingular();

// Without bounds.
Box Unbounded(size_t size);

using Objective = std::function<Answer(const Question&)>;

// What a run asked, and how it ended.
struct Course {
  std::vector<Question> questions;
  std::vector<std::string> states;  // before each question
  Progress progress;
};

// Runs to the end, at most `limit` questions (a test failure), asserting that points are in the
// box. With restore_every > 0, what answers next is restored from its saved state every so often.
Course RunToEnd(const OptimiserOptions& options, const Box& box, const std::vector<double>& start,
                const Objective& objective, int64_t restore_every = 0, int64_t limit = 20000);

}  // namespace costate::optimise

#endif  // COSTATE_TESTS_ENGINE_OPTIMISE_TEST_PROBLEMS_H_

// Solves a NIST problem with Ceres, for the tests to compare with. A program of its own: Ceres is
// built for other vector instructions than Costate, and inline functions of Eigen that both hold
// must not meet in one.
//
//   optimise_ceres_witness <problem> <tolerance> <start>... <lower>... <upper>...
//
// Prints the number of evaluations and the solution.
#include <ceres/ceres.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/engine/optimise/nist_problems.h"

namespace costate::optimise {
namespace {

class NistCost final : public ceres::CostFunction {
 public:
  explicit NistCost(const NistProblem& problem) : problem_(problem) {
    set_num_residuals(static_cast<int>(problem.y.size()));
    mutable_parameter_block_sizes()->push_back(static_cast<int>(problem.certified.size()));
  }

  bool Evaluate(double const* const* b, double* s, double** jacobian) const override {
    const size_t q = problem_.certified.size();
    const Answer answer =
        costate::optimise::Evaluate(problem_, std::vector<double>(b[0], b[0] + q));
    if (!std::isfinite(answer.value)) return false;
    std::copy(answer.residuals.begin(), answer.residuals.end(), s);
    if (jacobian == nullptr || jacobian[0] == nullptr) return true;
    std::copy(answer.jacobian.begin(), answer.jacobian.end(), jacobian[0]);
    return std::all_of(answer.jacobian.begin(), answer.jacobian.end(),
                       [](double v) { return std::isfinite(v); });
  }

 private:
  const NistProblem& problem_;
};

int Solve(const NistProblem& problem, double tolerance, char** numbers) {
  const size_t q = problem.certified.size();
  std::vector<double> x(q);
  for (size_t j = 0; j < q; ++j) x[j] = std::strtod(numbers[j], nullptr);
  ceres::Problem ceres_problem;
  ceres_problem.AddResidualBlock(new NistCost(problem), nullptr, x.data());
  for (size_t j = 0; j < q; ++j) {
    const double lower = std::strtod(numbers[q + j], nullptr);
    const double upper = std::strtod(numbers[2 * q + j], nullptr);
    const int i = static_cast<int>(j);
    if (std::isfinite(lower)) ceres_problem.SetParameterLowerBound(x.data(), i, lower);
    if (std::isfinite(upper)) ceres_problem.SetParameterUpperBound(x.data(), i, upper);
  }
  ceres::Solver::Options options;
  options.linear_solver_type = ceres::DENSE_QR;
  options.max_num_iterations = 2000;
  options.gradient_tolerance = 0;
  options.function_tolerance = tolerance;
  options.parameter_tolerance = tolerance;
  options.logging_type = ceres::SILENT;
  ceres::Solver::Summary summary;
  ceres::Solve(options, &ceres_problem, &summary);
  std::printf("%d", summary.num_successful_steps + summary.num_unsuccessful_steps);
  for (const double v : x) std::printf(" %.17g", v);
  std::printf("\n");
  return 0;
}

}  // namespace
}  // namespace costate::optimise

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_minloglevel = 3;
  for (const auto& problem : costate::optimise::ReadNistProblems()) {
    if (argc < 3 || problem.name != argv[1]) continue;
    if (argc != 3 + 3 * static_cast<int>(problem.certified.size())) break;
    return costate::optimise::Solve(problem, std::strtod(argv[2], nullptr), argv + 3);
  }
  std::fprintf(stderr, "optimise_ceres_witness: no such problem, or not its numbers\n");
  return 1;
}

// The nonlinear regression problems of NIST's Statistical Reference Datasets, with certified
// solutions: witnesses of least-squares methods.
#ifndef COSTATE_TESTS_ENGINE_OPTIMISE_NIST_PROBLEMS_H_
#define COSTATE_TESTS_ENGINE_OPTIMISE_NIST_PROBLEMS_H_

#include <string>
#include <vector>

#include "engine/optimise/optimiser.h"

namespace costate::optimise {

struct NistProblem {
  std::string name;
  std::vector<double> starts[2];       // [q]
  std::vector<double> certified;       // [q]
  std::vector<double> deviations;      // [q], certified standard deviations
  double sum_of_squares = 0;           // certified
  std::vector<double> y;               // [M]
  std::vector<std::vector<double>> x;  // [M][predictors]
};

// All 27, from nist_strd.txt.
std::vector<NistProblem> ReadNistProblems();

// s_i = model(b, x_i) - y_i, their Jacobian by complex steps, value = s's / 2.
Answer Evaluate(const NistProblem& problem, const std::vector<double>& b);

// Smallest number of digits of `b` that agree with the certified values.
double DigitsAgreeing(const NistProblem& problem, const std::vector<double>& b);

}  // namespace costate::optimise

#endif  // COSTATE_TESTS_ENGINE_OPTIMISE_NIST_PROBLEMS_H_

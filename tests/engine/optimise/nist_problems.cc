#include "tests/engine/optimise/nist_problems.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <fstream>
#include <limits>
#include <numbers>
#include <sstream>

namespace costate::optimise {
namespace {

template <typename T>
T Ratio(const std::vector<T>& b, double x, int numerator) {
  T top = 0.0, bottom = 0.0;
  for (int i = numerator; i-- > 0;) top = top * x + b[i];
  for (int i = static_cast<int>(b.size()); i-- > numerator;) bottom = bottom * x + b[i];
  return top / (1.0 + bottom * x);
}

template <typename T>
T Square(T v) {
  return v * v;
}

// b1 + sum of two cosines of free periods and one of a year.
template <typename T>
T Enso(const std::vector<T>& b, double x) {
  using std::cos, std::sin;
  const double w = 2 * std::numbers::pi * x;
  return b[0] + b[1] * cos(w / 12) + b[2] * sin(w / 12) + b[4] * cos(w / b[3]) +
         b[5] * sin(w / b[3]) + b[7] * cos(w / b[6]) + b[8] * sin(w / b[6]);
}

template <typename T>
T Model(const std::string& name, const std::vector<T>& b, const std::vector<double>& xs) {
  using std::exp, std::pow, std::sqrt, std::atan;
  const double x = xs[0];
  if (name == "Bennett5") return b[0] * pow(b[1] + x, -1.0 / b[2]);
  if (name == "BoxBOD" || name == "Misra1a") return b[0] * (1.0 - exp(-b[1] * x));
  if (name == "Chwirut1" || name == "Chwirut2") return exp(-b[0] * x) / (b[1] + b[2] * x);
  if (name == "DanWood") return b[0] * exp(b[1] * std::log(x));
  if (name == "ENSO") return Enso(b, x);
  if (name == "Eckerle4") return b[0] / b[1] * exp(-0.5 * Square((x - b[2]) / b[1]));
  if (name.starts_with("Gauss")) {
    return b[0] * exp(-b[1] * x) + b[2] * exp(-Square((x - b[3]) / b[4])) +
           b[5] * exp(-Square((x - b[6]) / b[7]));
  }
  if (name == "Hahn1" || name == "Thurber") return Ratio(b, x, 4);
  if (name == "Kirby2") return Ratio(b, x, 3);
  if (name.starts_with("Lanczos")) {
    return b[0] * exp(-b[1] * x) + b[2] * exp(-b[3] * x) + b[4] * exp(-b[5] * x);
  }
  if (name == "MGH09") return b[0] * (x * x + x * b[1]) / (x * x + x * b[2] + b[3]);
  if (name == "MGH10") return b[0] * exp(b[1] / (x + b[2]));
  if (name == "MGH17") return b[0] + b[1] * exp(-x * b[3]) + b[2] * exp(-x * b[4]);
  if (name == "Misra1b") return b[0] * (1.0 - 1.0 / Square(1.0 + b[1] * x / 2.0));
  if (name == "Misra1c") return b[0] * (1.0 - 1.0 / sqrt(1.0 + 2.0 * b[1] * x));
  if (name == "Misra1d") return b[0] * b[1] * x / (1.0 + b[1] * x);
  if (name == "Nelson") return b[0] - b[1] * x * exp(-b[2] * xs[1]);
  if (name == "Rat42") return b[0] / (1.0 + exp(b[1] - b[2] * x));
  if (name == "Rat43") return b[0] / pow(1.0 + exp(b[1] - b[2] * x), 1.0 / b[3]);
  if (name == "Roszman1") {
    return b[0] - b[1] * x - atan(b[2] / (x - b[3])) / std::numbers::pi;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

std::vector<double> ReadNumbers(std::istream& file) {
  std::string line;
  std::getline(file, line);
  std::istringstream words(line);
  std::vector<double> numbers;
  for (double number; words >> number;) numbers.push_back(number);
  return numbers;
}

}  // namespace

std::vector<NistProblem> ReadNistProblems() {
  std::ifstream file(COSTATE_SOURCE_DIR "/tests/engine/optimise/nist_strd.txt");
  std::vector<NistProblem> problems;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("problem")) continue;
    std::istringstream words(line);
    std::string word;
    size_t parameters, observations, predictors;
    NistProblem problem;
    words >> word >> problem.name >> parameters >> observations >> predictors;
    problem.starts[0] = ReadNumbers(file);
    problem.starts[1] = ReadNumbers(file);
    problem.certified = ReadNumbers(file);
    problem.deviations = ReadNumbers(file);
    problem.sum_of_squares = ReadNumbers(file)[0];
    for (size_t i = 0; i < observations; ++i) {
      const std::vector<double> row = ReadNumbers(file);
      problem.y.push_back(problem.name == "Nelson" ? std::log(row[0]) : row[0]);
      problem.x.emplace_back(row.begin() + 1, row.end());
    }
    problems.push_back(std::move(problem));
  }
  return problems;
}

Answer Evaluate(const NistProblem& problem, const std::vector<double>& b) {
  constexpr double kStep = 1e-150;
  const size_t q = b.size();
  Answer answer;
  answer.value = 0;
  std::vector<std::complex<double>> shifted(b.begin(), b.end());
  for (size_t i = 0; i < problem.y.size(); ++i) {
    const double s = Model(problem.name, b, problem.x[i]) - problem.y[i];
    answer.residuals.push_back(s);
    answer.value += s * s / 2;
    for (size_t j = 0; j < q; ++j) {
      shifted[j] = {b[j], kStep};
      answer.jacobian.push_back(Model(problem.name, shifted, problem.x[i]).imag() / kStep);
      shifted[j] = b[j];
    }
  }
  answer.gradient.assign(q, 0);
  for (size_t i = 0; i < problem.y.size(); ++i) {
    for (size_t j = 0; j < q; ++j) {
      answer.gradient[j] += answer.jacobian[i * q + j] * answer.residuals[i];
    }
  }
  if (!std::isfinite(answer.value)) answer.value = std::numeric_limits<double>::infinity();
  return answer;
}

double DigitsAgreeing(const NistProblem& problem, const std::vector<double>& b) {
  double digits = 16;
  for (size_t j = 0; j < b.size(); ++j) {
    const double error = std::abs(b[j] / problem.certified[j] - 1);
    digits = std::min(digits, error == 0 ? 16 : -std::log10(error));
  }
  return digits;
}

}  // namespace costate::optimise

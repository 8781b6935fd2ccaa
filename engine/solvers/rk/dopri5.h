#ifndef COSTATE_ENGINE_SOLVERS_RK_DOPRI5_H_
#define COSTATE_ENGINE_SOLVERS_RK_DOPRI5_H_

#include "engine/solvers/rk/tableau.h"

namespace costate::rk {

// Weights of Shampine's fourth-order interpolant in monomials: theta b_i
//   + theta (1 - theta) (d_i1 - b_i) + theta^2 (1 - theta) (2 b_i - d_i1 - d_i7)
//   + theta^2 (1 - theta)^2 w_i
// with w the weights given below (Hairer, Norsett, Wanner I, II.6, CONTD5).
constexpr std::array<std::array<double, 4>, 7> ShampineDense(const double (&b)[7],
                                                             const double (&w)[7]) {
  std::array<std::array<double, 4>, 7> dense{};
  for (int i = 0; i < 7; ++i) {
    const double first = i == 0, last = i == 6;
    const double linear = first - b[i], quadratic = 2 * b[i] - first - last;
    dense[i][0] = first;
    dense[i][1] = -linear + quadratic + w[i];
    dense[i][2] = -quadratic - 2 * w[i];
    dense[i][3] = w[i];
  }
  return dense;
}

// Dormand-Prince 5(4), FSAL, with Shampine's fourth-order interpolant.
struct Dopri5 {
  static constexpr Method kMethod = Method::kDopri5;
  static constexpr std::string_view kName = "dopri5";
  static constexpr std::string_view kCitation =
      "Dormand, Prince, A family of embedded Runge-Kutta formulae, J. Comput. Appl. Math. 6 (1980) "
      "19-26; dense output: Shampine, Some practical Runge-Kutta formulas, Math. Comp. 46 (1986)";
  static constexpr int kOrder = 5, kErrorOrder = 4, kDenseOrder = 4;
  static constexpr int kStages = 7, kExtraStages = 0, kDenseDegree = 4;

  static constexpr double kC[7] = {0, 0.2, 0.3, 0.8, 8.0 / 9, 1, 1};
  static constexpr double kA[7][7] = {
      {},
      {1.0 / 5},
      {3.0 / 40, 9.0 / 40},
      {44.0 / 45, -56.0 / 15, 32.0 / 9},
      {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
      {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
      {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84},
  };
  static constexpr double kB[7] = {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784,
                                   11.0 / 84,  0};
  static constexpr double kE[7] = {71.0 / 57600,      0,          -71.0 / 16695, 71.0 / 1920,
                                   -17253.0 / 339200, 22.0 / 525, -1.0 / 40};
  static constexpr double kShampine[7] = {
      -12715105075.0 / 11282082432.0,  0,
      87487479700.0 / 32700410799.0,   -10690763975.0 / 1880347072.0,
      701980252875.0 / 199316789632.0, -1453857185.0 / 822651844.0,
      69997945.0 / 29380423.0};
  static constexpr auto kDense = ShampineDense(kB, kShampine);
};

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_DOPRI5_H_

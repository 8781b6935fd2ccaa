#ifndef COSTATE_ENGINE_SOLVERS_RK_RALSTON3_H_
#define COSTATE_ENGINE_SOLVERS_RK_RALSTON3_H_

#include "engine/solvers/rk/tableau.h"

namespace costate::rk {

// Ralston's third-order method of least truncation error. The estimate compares with the midpoint
// rule on its first two stages (order 2). Dense output: cubic Hermite.
struct Ralston3 {
  static constexpr Method kMethod = Method::kRalston3;
  static constexpr std::string_view kName = "ralston3";
  static constexpr std::string_view kCitation =
      "Ralston, Runge-Kutta methods with minimum error bounds, Math. Comp. 16 (1962) 431-437";
  static constexpr int kOrder = 3, kErrorOrder = 2, kDenseOrder = 3;
  static constexpr int kStages = 3, kExtraStages = 1, kDenseDegree = 3;

  static constexpr double kC[4] = {0, 0.5, 0.75, 1};
  static constexpr double kA[4][4] = {{}, {0.5}, {0, 0.75}, {2.0 / 9, 1.0 / 3, 4.0 / 9}};
  static constexpr double kB[3] = {2.0 / 9, 1.0 / 3, 4.0 / 9};
  static constexpr double kE[3] = {2.0 / 9, -2.0 / 3, 4.0 / 9};
  static constexpr auto kDense = HermiteDense<3, 4>(kB, 3);
};

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_RALSTON3_H_

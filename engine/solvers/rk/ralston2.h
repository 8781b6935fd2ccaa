#ifndef COSTATE_ENGINE_SOLVERS_RK_RALSTON2_H_
#define COSTATE_ENGINE_SOLVERS_RK_RALSTON2_H_

#include "engine/solvers/rk/tableau.h"

namespace costate::rk {

// Ralston's second-order method of least truncation error, with Euler for the estimate. Dense
// output: cubic Hermite.
struct Ralston2 {
  static constexpr Method kMethod = Method::kRalston2;
  static constexpr std::string_view kName = "ralston2";
  static constexpr std::string_view kCitation =
      "Ralston, Runge-Kutta methods with minimum error bounds, Math. Comp. 16 (1962) 431-437";
  static constexpr int kOrder = 2, kErrorOrder = 1, kDenseOrder = 2;
  static constexpr int kStages = 2, kExtraStages = 1, kDenseDegree = 3;

  static constexpr double kC[3] = {0, 2.0 / 3, 1};
  static constexpr double kA[3][3] = {{}, {2.0 / 3}, {0.25, 0.75}};
  static constexpr double kB[2] = {0.25, 0.75};
  static constexpr double kE[2] = {-0.75, 0.75};
  static constexpr auto kDense = HermiteDense<2, 3>(kB, 2);
};

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_RALSTON2_H_

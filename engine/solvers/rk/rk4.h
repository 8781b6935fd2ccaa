#ifndef COSTATE_ENGINE_SOLVERS_RK_RK4_H_
#define COSTATE_ENGINE_SOLVERS_RK_RK4_H_

#include "engine/solvers/rk/tableau.h"

namespace costate::rk {

// The classical fourth-order method. Dense output: cubic Hermite.
struct Rk4 {
  static constexpr Method kMethod = Method::kRk4;
  static constexpr std::string_view kName = "rk4";
  static constexpr std::string_view kCitation =
      "Kutta 1901; Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, 2nd ed. "
      "(1993), II.1";
  static constexpr int kOrder = 4, kErrorOrder = 0, kDenseOrder = 3;
  static constexpr int kStages = 4, kExtraStages = 1, kDenseDegree = 3;

  static constexpr double kC[5] = {0, 0.5, 0.5, 1, 1};
  static constexpr double kA[5][5] = {
      {}, {0.5}, {0, 0.5}, {0, 0, 1}, {1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6}};
  static constexpr double kB[4] = {1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6};
  static constexpr double kE[4] = {0, 0, 0, 0};
  static constexpr auto kDense = HermiteDense<4, 5>(kB, 4);
};

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_RK4_H_

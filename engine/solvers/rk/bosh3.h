#ifndef COSTATE_ENGINE_SOLVERS_RK_BOSH3_H_
#define COSTATE_ENGINE_SOLVERS_RK_BOSH3_H_

#include "engine/solvers/rk/tableau.h"

namespace costate::rk {

// Bogacki-Shampine 3(2), FSAL. Dense output: cubic Hermite.
struct Bosh3 {
  static constexpr Method kMethod = Method::kBosh3;
  static constexpr std::string_view kName = "bosh3";
  static constexpr std::string_view kCitation =
      "Bogacki, Shampine, A 3(2) pair of Runge-Kutta formulas, Appl. Math. Lett. 2 (1989) 321-325";
  static constexpr int kOrder = 3, kErrorOrder = 2, kDenseOrder = 3;
  static constexpr int kStages = 4, kExtraStages = 0, kDenseDegree = 3;

  static constexpr double kC[4] = {0, 0.5, 0.75, 1};
  static constexpr double kA[4][4] = {{}, {0.5}, {0, 0.75}, {2.0 / 9, 1.0 / 3, 4.0 / 9}};
  static constexpr double kB[4] = {2.0 / 9, 1.0 / 3, 4.0 / 9, 0};
  static constexpr double kE[4] = {-5.0 / 72, 1.0 / 12, 1.0 / 9, -1.0 / 8};
  static constexpr auto kDense = HermiteDense<4, 4>(kB, 3);
};

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_BOSH3_H_

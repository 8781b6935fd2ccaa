#ifndef COSTATE_ENGINE_SOLVERS_RK_EES25_H_
#define COSTATE_ENGINE_SOLVERS_RK_EES25_H_

#include "engine/solvers/rk/tableau.h"

namespace costate::rk {

// EES(2,5; x = 1/10), explicit and effectively symmetric: order 2, and a step back undoes a step to
// O(h^6). The estimate compares with Euler. Dense output: cubic Hermite.
struct Ees25 {
  static constexpr Method kMethod = Method::kEes25;
  static constexpr std::string_view kName = "ees25";
  static constexpr std::string_view kCitation =
      "Explicit and effectively symmetric Runge-Kutta methods, arXiv 2507.21006 (2025)";
  static constexpr int kOrder = 2, kErrorOrder = 1, kDenseOrder = 2;
  static constexpr bool kNearlySymmetric = true;
  static constexpr int kStages = 3, kExtraStages = 1, kDenseDegree = 3;

  static constexpr double kC[4] = {0, 1.0 / 3, 5.0 / 6, 1};
  static constexpr double kA[4][4] = {{}, {1.0 / 3}, {-5.0 / 48, 15.0 / 16}, {0.1, 0.5, 0.4}};
  static constexpr double kB[3] = {0.1, 0.5, 0.4};
  static constexpr double kE[3] = {-0.9, 0.5, 0.4};
  static constexpr auto kDense = HermiteDense<3, 4>(kB, 3);
};

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_EES25_H_

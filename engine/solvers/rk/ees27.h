#ifndef COSTATE_ENGINE_SOLVERS_RK_EES27_H_
#define COSTATE_ENGINE_SOLVERS_RK_EES27_H_

#include "engine/solvers/rk/tableau.h"

namespace costate::rk {

// EES(2,7; x = (5 - 3 sqrt 2) / 14), explicit and effectively symmetric: order 2, and a step back
// undoes a step to O(h^8). The estimate compares with Euler. Dense output: cubic Hermite.
struct Ees27 {
  static constexpr Method kMethod = Method::kEes27;
  static constexpr std::string_view kName = "ees27";
  static constexpr std::string_view kCitation =
      "Explicit and effectively symmetric Runge-Kutta methods, arXiv 2507.21006 (2025)";
  static constexpr int kOrder = 2, kErrorOrder = 1, kDenseOrder = 2;
  static constexpr bool kNearlySymmetric = true;
  static constexpr int kStages = 4, kExtraStages = 1, kDenseDegree = 3;

  static constexpr double kRoot = 1.4142135623730950488;  // sqrt 2
  static constexpr double kA[5][5] = {
      {},
      {(2 - kRoot) / 3},
      {(-4 + kRoot) / 24, (4 + kRoot) / 8},
      {(-176 + 145 * kRoot) / 168, 3 * (8 - 5 * kRoot) / 56, 3 * (3 - kRoot) / 7},
      {(5 - 3 * kRoot) / 14, (3 + kRoot) / 14, 3 * (2 * kRoot - 1) / 14, (9 - 4 * kRoot) / 14}};
  static constexpr double kC[5] = {0, kA[1][0], kA[2][0] + kA[2][1], kA[3][0] + kA[3][1] + kA[3][2],
                                   1};
  static constexpr double kB[4] = {kA[4][0], kA[4][1], kA[4][2], kA[4][3]};
  static constexpr double kE[4] = {kB[0] - 1, kB[1], kB[2], kB[3]};
  static constexpr auto kDense = HermiteDense<4, 5>(kB, 4);
};

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_EES27_H_

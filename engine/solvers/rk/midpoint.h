#ifndef COSTATE_ENGINE_SOLVERS_RK_MIDPOINT_H_
#define COSTATE_ENGINE_SOLVERS_RK_MIDPOINT_H_

#include "engine/solvers/rk/tableau.h"

namespace costate::rk {

// Explicit midpoint rule, with Euler for the estimate. Dense output: cubic Hermite.
struct Midpoint {
  static constexpr Method kMethod = Method::kMidpoint;
  static constexpr std::string_view kName = "midpoint";
  static constexpr std::string_view kCitation =
      "Runge 1895; Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, 2nd ed. "
      "(1993), II.1";
  static constexpr int kOrder = 2, kErrorOrder = 1, kDenseOrder = 2;
  static constexpr int kStages = 2, kExtraStages = 1, kDenseDegree = 3;

  static constexpr double kC[3] = {0, 0.5, 1};
  static constexpr double kA[3][3] = {{}, {0.5}, {0, 1}};
  static constexpr double kB[2] = {0, 1};
  static constexpr double kE[2] = {-1, 1};
  static constexpr auto kDense = HermiteDense<2, 3>(kB, 2);
};

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_MIDPOINT_H_

#ifndef COSTATE_ENGINE_SOLVERS_RK_EULER_H_
#define COSTATE_ENGINE_SOLVERS_RK_EULER_H_

#include "engine/solvers/rk/tableau.h"

namespace costate::rk {

// Explicit Euler. Dense output: cubic Hermite.
struct Euler {
  static constexpr Method kMethod = Method::kEuler;
  static constexpr std::string_view kName = "euler";
  static constexpr std::string_view kCitation =
      "Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, 2nd ed. (1993), I.7";
  static constexpr int kOrder = 1, kErrorOrder = 0, kDenseOrder = 1;
  static constexpr int kStages = 1, kExtraStages = 1, kDenseDegree = 3;

  static constexpr double kC[2] = {0, 1};
  static constexpr double kA[2][2] = {{}, {1}};
  static constexpr double kB[1] = {1};
  static constexpr double kE[1] = {0};
  static constexpr auto kDense = HermiteDense<1, 2>(kB, 1);
};

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_EULER_H_

#ifndef COSTATE_ENGINE_SOLVERS_RK_HEUN_H_
#define COSTATE_ENGINE_SOLVERS_RK_HEUN_H_

#include "engine/solvers/rk/tableau.h"

namespace costate::rk {

// Heun's second-order method (explicit trapezoidal rule), with Euler for the estimate. Dense
// output: cubic Hermite.
struct Heun {
  static constexpr Method kMethod = Method::kHeun;
  static constexpr std::string_view kName = "heun";
  static constexpr std::string_view kCitation =
      "Heun 1900; Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, 2nd ed. "
      "(1993), II.1";
  static constexpr int kOrder = 2, kErrorOrder = 1, kDenseOrder = 2;
  static constexpr int kStages = 2, kExtraStages = 1, kDenseDegree = 3;

  static constexpr double kC[3] = {0, 1, 1};
  static constexpr double kA[3][3] = {{}, {1}, {0.5, 0.5}};
  static constexpr double kB[2] = {0.5, 0.5};
  static constexpr double kE[2] = {-0.5, 0.5};
  static constexpr auto kDense = HermiteDense<2, 3>(kB, 2);
};

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_HEUN_H_

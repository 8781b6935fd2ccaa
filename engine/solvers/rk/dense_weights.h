// The weights B_i(theta) of a method's dense output and their derivatives.
#ifndef COSTATE_ENGINE_SOLVERS_RK_DENSE_WEIGHTS_H_
#define COSTATE_ENGINE_SOLVERS_RK_DENSE_WEIGHTS_H_

#include <array>
#include <cmath>

#include "engine/solvers/rk/tableau.h"

namespace costate::rk {

// B_i(theta). At theta = 1 exactly b, and exactly 0 for extra stages.
template <typename T>
std::array<double, kRows<T>> DenseWeights(double theta) {
  std::array<double, kRows<T>> weights{};
  if (theta == 1) {
    for (int i = 0; i < T::kStages; ++i) weights[i] = T::kB[i];
    return weights;
  }
  for (int i = 0; i < kRows<T>; ++i) {
    double sum = 0;
    for (int d = T::kDenseDegree - 1; d >= 0; --d) sum = std::fma(sum, theta, T::kDense[i][d]);
    weights[i] = sum * theta;
  }
  return weights;
}

// dB_i / dtheta.
template <typename T>
std::array<double, kRows<T>> DenseSlopes(double theta) {
  std::array<double, kRows<T>> slopes{};
  for (int i = 0; i < kRows<T>; ++i) {
    double sum = 0;
    for (int d = T::kDenseDegree - 1; d >= 0; --d) {
      sum = std::fma(sum, theta, (d + 1) * T::kDense[i][d]);
    }
    slopes[i] = sum;
  }
  return slopes;
}

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_DENSE_WEIGHTS_H_

// A compiled expression written in C++: L = p d sum_i y_i^3, y = state 1 at three times.
#ifndef COSTATE_TESTS_ENGINE_GRADIENTS_CUBIC_EXPRESSION_H_
#define COSTATE_TESTS_ENGINE_GRADIENTS_CUBIC_EXPRESSION_H_

#include <memory>
#include <utility>
#include <vector>

#include "engine/base/kernel.h"
#include "engine/gradients/loss.h"

namespace costate::testing {

// {t, y, p, c} -> {value, c_y, c_p}
inline void CubicGradientEntry(const void*, const double* const* in, double* const* out, double*) {
  const double p = in[2][0], d = in[2][1], c = in[3][0];
  double sum = 0;
  for (int i = 0; i < 3; ++i) {
    const double y = in[1][i];
    sum += y * y * y;
    out[1][i] = c * 3 * p * d * y * y;
  }
  out[0][0] = p * d * sum;
  out[2][0] = c * d * sum;
  out[2][1] = c * p * sum;
}

// {t, y, p, c, d_y, d_p} -> {c_y, c_p, d_c_y, d_c_p}
inline void CubicCurvatureEntry(const void*, const double* const* in, double* const* out, double*) {
  const double p = in[2][0], d = in[2][1], d_p = in[5][0];
  double sum = 0, moved = 0;
  for (int i = 0; i < 3; ++i) {
    const double y = in[1][i], d_y = in[4][i];
    sum += y * y * y;
    moved += 3 * y * y * d_y;
    out[0][i] = 3 * p * d * y * y;
    out[2][i] = 6 * p * d * y * d_y + 3 * d * y * y * d_p;
  }
  out[1][0] = d * sum;
  out[1][1] = p * sum;
  out[3][0] = d * moved;
  out[3][1] = p * moved + d_p * sum;
}

inline Kernel CubicCurvature() { return Kernel(CubicCurvatureEntry, nullptr, nullptr, 1, 0); }

inline ExpressionLoss CubicExpression(std::vector<double> three_times, double d) {
  auto compiled = std::make_shared<CompiledExpression>();
  compiled->blocks = {{CompiledExpression::Block::Kind::kState, 1, 1}};
  compiled->num_values = 3;
  compiled->num_params = 1;
  compiled->uses_params = true;
  compiled->gradient = Kernel(CubicGradientEntry, nullptr, nullptr, 1, 0);
  ExpressionLoss term;
  term.times = std::move(three_times);
  term.compiled = std::move(compiled);
  term.flat_data = {d};
  return term;
}

}  // namespace costate::testing

#endif  // COSTATE_TESTS_ENGINE_GRADIENTS_CUBIC_EXPRESSION_H_

// Second derivatives of a loss by the saved values, in one direction.
#ifndef COSTATE_ENGINE_GRADIENTS_LOSS_CURVATURE_H_
#define COSTATE_ENGINE_GRADIENTS_LOSS_CURVATURE_H_

#include <vector>

#include "absl/types/span.h"
#include "engine/base/kernel.h"
#include "engine/gradients/loss.h"

namespace costate {

// How saved values and parameters move, one direction. Shapes as in SavedValues; a term does not
// move with its times.
struct SavedTangents {
  SavedValues values;          // `times` empty
  std::vector<double> params;  // [m]
};

// Kernels {t, y, p, c, d_y, d_p} -> {c_y, c_p, d_c_y, d_c_p} of the expressions of a loss (see
// CompiledExpression::gradient), by index of its term; empty ones for the other terms.
using CurvatureKernels = std::vector<Kernel>;

// The gradient of the loss by saved values and parameters, and how it moves: H d. Parts of neither
// that are zero may be empty.
struct LossCurvature {
  Cotangents gradient;
  Cotangents hessian_times;
};
LossCurvature DifferentiateLossTwice(const Loss& loss, const SavedValues& saved,
                                     absl::Span<const double> params, const SavedTangents& tangents,
                                     const CurvatureKernels& kernels);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_LOSS_CURVATURE_H_

// Reverse rules: the cotangent of an operand from the cotangent of the result.
#ifndef COSTATE_ENGINE_AUTODIFF_VJP_RULES_H_
#define COSTATE_ENGINE_AUTODIFF_VJP_RULES_H_

#include <cstdint>

#include "engine/autodiff/terms.h"

namespace costate {

// What operand `k` of `at` (a Structure or Contract op) gets of the cotangent `v`; v has the shape
// of the result, the returned value that of the operand. `begin`: for kConcat, where the operand
// begins along the axis.
ValueId PullBack(FunctionBuilder& b, const Rebuilt& at, int k, int64_t begin, ValueId v);

// The transpose of repeating a scalar, or of nothing: v summed to the operand's shape.
ValueId Reduce(FunctionBuilder& b, ValueId v, const Shape& shape);

}  // namespace costate

#endif  // COSTATE_ENGINE_AUTODIFF_VJP_RULES_H_

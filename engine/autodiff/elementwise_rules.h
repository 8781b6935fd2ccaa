// Partial derivatives of the elementwise ops. Both modes scale by them: forward the tangent of an
// operand, in reverse the cotangent of the result.
#ifndef COSTATE_ENGINE_AUTODIFF_ELEMENTWISE_RULES_H_
#define COSTATE_ENGINE_AUTODIFF_ELEMENTWISE_RULES_H_

#include "engine/autodiff/terms.h"

namespace costate {

// v times the derivative of the result of `at` (an elementwise op) by its operand `k`, element by
// element; v is a scalar or has the shape of the result. kNoValue for zero.
// Reuses the result where the derivative is a function of it.
ValueId TimesPartial(FunctionBuilder& b, const Rebuilt& at, int k, ValueId v);

}  // namespace costate

#endif  // COSTATE_ENGINE_AUTODIFF_ELEMENTWISE_RULES_H_

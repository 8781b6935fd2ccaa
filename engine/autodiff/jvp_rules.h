// Forward rules: the tangent of a result from the tangents of its operands.
#ifndef COSTATE_ENGINE_AUTODIFF_JVP_RULES_H_
#define COSTATE_ENGINE_AUTODIFF_JVP_RULES_H_

#include "absl/types/span.h"
#include "engine/autodiff/terms.h"

namespace costate {

// `tangents`: one per operand, of its shape, or kNoValue for zero. Returns a value of the result's
// shape, or kNoValue. Any op but the leaves.
ValueId PushForward(FunctionBuilder& b, const Rebuilt& at, absl::Span<const ValueId> tangents);

}  // namespace costate

#endif  // COSTATE_ENGINE_AUTODIFF_JVP_RULES_H_

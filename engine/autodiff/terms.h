// Sums with structural zeros, and what the transforms share. kNoValue stands for a zero that is
// never computed.
#ifndef COSTATE_ENGINE_AUTODIFF_TERMS_H_
#define COSTATE_ENGINE_AUTODIFF_TERMS_H_

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/model/function_builder.h"
#include "engine/model/ir.h"

namespace costate {

// An instruction of the function being differentiated, rebuilt in the derivative's builder.
struct Rebuilt {
  const Function& source;
  const Instruction& instruction;      // of `source`
  absl::Span<const ValueId> operands;  // in the builder
  ValueId result;                      // in the builder
};

// a + b.
ValueId AddTerms(FunctionBuilder& b, ValueId x, ValueId y);

// The sum of all, as a balanced tree; kNoValue of none.
ValueId SumTerms(FunctionBuilder& b, std::vector<ValueId> terms);

// Zeros of this shape.
ValueId Zeros(FunctionBuilder& b, Shape shape);

// x, repeated to `shape` if it is smaller.
ValueId FullShape(FunctionBuilder& b, ValueId x, Shape shape);

// Writes zeros to `size` elements of an output buffer from `offset` on.
void ZeroResult(FunctionBuilder& b, int buffer, int64_t offset, int64_t size);

// Rebuilds all of `f` in `b`, whose first inputs are those of f; returns the new values.
std::vector<ValueId> RebuildAll(FunctionBuilder& b, const Function& f);

// The operands of instruction `id` of `f` after rebuilding, in `storage`.
absl::Span<const ValueId> Mapped(const Instruction& instruction, absl::Span<const ValueId> values,
                                 std::vector<ValueId>* storage);

// Whether each value of `f` has a derivative with respect to one of these inputs.
std::vector<char> VariedValues(const Function& f, const std::vector<int>& wrt);

// The buffers, each renamed to prefix + name.
std::vector<Buffer> Prefixed(std::string_view prefix, const std::vector<Buffer>& buffers);

absl::Status CheckWrt(const Function& f, const std::vector<int>& wrt);
absl::Status CheckBufferCounts(const Function& derivative);
// RESOURCE_EXHAUSTED once the function under construction is past limits::kMaxInstructions.
absl::Status CheckLength(const FunctionBuilder& b);

}  // namespace costate

#endif  // COSTATE_ENGINE_AUTODIFF_TERMS_H_

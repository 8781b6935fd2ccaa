// Appends instructions to a Function, inferring shapes and sharing equal subexpressions.
//
//   FunctionBuilder b("rhs", {{"t", 1}, {"y", n}, {"p", m}}, {{"dy", n}});
//   ValueId y = b.Input(kStateBuffer, 0, {n});
//   b.Result(b.Unary(Op::kTanh, y), 0, 0);
//   Function f = std::move(b).Build();
#ifndef COSTATE_ENGINE_MODEL_FUNCTION_BUILDER_H_
#define COSTATE_ENGINE_MODEL_FUNCTION_BUILDER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "engine/model/ir.h"

namespace costate {

// Stands for "no such value".
inline constexpr ValueId kNoValue = -1;

// Operands given in the right shapes are a precondition (violations abort): callers that handle
// user input ask InferShape first. kNoValue is never an operand.
//
// Simplifications are exact: each keeps the value bits for all inputs, infinities and signed
// zeros included, and a NaN stays a NaN (its sign and payload are not promised). So x*1, x/1,
// x-0, --x, a+(-b), (-a)*b, select with a known condition, slices of inputs, elementwise ops of
// repeated scalars, and folding of constants through the ops whose results are correctly rounded
// (add, sub, mul, div, neg, sqrt); x+0 and x*0 are kept. Autodiff skips structural zeros itself.
// The same instruction twice is the same value (hash-consing).
//
// Thread-safety: none.
class FunctionBuilder {
 public:
  FunctionBuilder(std::string name, std::vector<Buffer> inputs, std::vector<Buffer> outputs);

  // Leaves.
  ValueId Constant(double value);
  ValueId Constant(std::vector<double> elements, Shape shape);
  ValueId Input(int buffer, int64_t offset, Shape shape);

  // Elementwise; a scalar operand is repeated over the other's shape.
  ValueId Unary(Op op, ValueId x);
  ValueId Binary(Op op, ValueId a, ValueId b);  // Binary, Compare and two-operand Logic ops
  ValueId Powi(ValueId x, int64_t exponent);
  ValueId Select(ValueId condition, ValueId a, ValueId b);

  // Structure. Each returns x itself where it changes nothing.
  ValueId Sum(ValueId x, int64_t axis = -1);
  ValueId Reshape(ValueId x, Shape shape);
  ValueId Transpose(ValueId x);
  ValueId BroadcastTo(ValueId x, Shape shape);
  ValueId SumTo(ValueId x, Shape shape);
  ValueId Slice(ValueId x, std::vector<int64_t> start_stop_step);
  ValueId Pad(ValueId x, std::vector<int64_t> start_step, Shape shape);
  ValueId Concat(std::vector<ValueId> parts, int64_t axis);

  // Contraction.
  ValueId Matmul(ValueId a, ValueId b, bool transpose_a = false, bool transpose_b = false);
  ValueId Outer(ValueId a, ValueId b);

  // Any instruction, shape inferred (or checked, where it is an argument of the op). A constant
  // names an index into function().constants; Constant() is the way to make one.
  ValueId Append(Instruction instruction);

  // The copy of `instruction` of `source` over other operands. The location is taken along.
  ValueId Copy(const Function& source, const Instruction& instruction,
               absl::Span<const ValueId> operands);

  void Result(ValueId value, int buffer, int64_t offset);

  // Location given to the instructions appended from here on.
  void set_location(SourceLocation location) { location_ = location; }

  const Function& function() const { return function_; }
  const Instruction& instruction(ValueId id) const { return function_.instructions[id]; }
  const Shape& shape(ValueId id) const { return function_.instructions[id].shape; }
  // The elements of a constant, or null.
  const std::vector<double>* constant(ValueId id) const;

  // Removes instructions no result depends on.
  Function Build() &&;

 private:
  // The value the instruction reduces to without being appended, or kNoValue. May rewrite it,
  // and may append instructions for its operands. See simplify.cc.
  ValueId Simplify(Instruction& instruction);
  ValueId SimplifyUnary(const Instruction& instruction);
  ValueId SimplifyBinary(Instruction& instruction);
  ValueId SimplifySelect(const Instruction& instruction);
  ValueId SimplifyReshape(const Instruction& instruction);
  ValueId SimplifyBroadcast(const Instruction& instruction);
  ValueId SimplifySlice(const Instruction& instruction);
  ValueId SliceOfConcat(const Instruction& slice, const Instruction& concat);
  ValueId FoldConstants(const Instruction& instruction);
  ValueId HoistBroadcast(Instruction& instruction);
  bool IsConstant(ValueId id, double value) const;
  ValueId Repeated(ValueId id) const;
  std::optional<bool> KnownCondition(const Instruction& instruction) const;

  std::string Key(const Instruction& instruction) const;
  ValueId AppendShared(Instruction instruction);

  Function function_;
  SourceLocation location_;
  absl::flat_hash_map<std::string, ValueId> shared_;  // encoded instruction -> its value
  std::vector<int8_t> known_;  // per value: -1 unknown, else the condition it always has
};

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_FUNCTION_BUILDER_H_

// FunctionBuilder for operands as a writer gives them: every rule of shapes and types is checked
// and a violation comes back as a message for the writer. Broadcasting follows NumPy.
#ifndef COSTATE_ENGINE_MODEL_TENSOR_BUILDER_H_
#define COSTATE_ENGINE_MODEL_TENSOR_BUILDER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/function_builder.h"

namespace costate {

// One subscript of x[...], already a number: a position, or a range.
struct Subscript {
  bool is_range = false;
  std::optional<int64_t> start;  // the position, if not a range; negative counts from the end
  std::optional<int64_t> stop;
  std::optional<int64_t> step;
};

// All errors are INVALID_ARGUMENT with a lower-case sentence. Thread-safety: none.
class TensorBuilder {
 public:
  explicit TensorBuilder(FunctionBuilder* builder) : b_(*builder) {}

  FunctionBuilder& raw() { return b_; }
  const Shape& shape(ValueId id) const { return b_.shape(id); }
  bool IsBool(ValueId id) const;

  // The integer value of a constant scalar. `what` begins the message: "an index".
  absl::StatusOr<int64_t> ConstantInteger(ValueId id, std::string_view what) const;

  // Elementwise ops of any class, with broadcasting.
  absl::StatusOr<ValueId> Elementwise(Op op, absl::Span<const ValueId> operands,
                                      std::string_view name);
  absl::StatusOr<ValueId> Unary(Op op, ValueId x, std::string_view name) {
    return Elementwise(op, {x}, name);
  }
  absl::StatusOr<ValueId> Binary(Op op, ValueId a, ValueId b, std::string_view name) {
    return Elementwise(op, {a, b}, name);
  }
  // x^n for an integer n in [-1024, 1024] as products, x^0.5 as a square root, else pow.
  absl::StatusOr<ValueId> Power(ValueId base, ValueId exponent);

  // NumPy's @ for ranks 1 and 2.
  absl::StatusOr<ValueId> Matmul(ValueId a, ValueId b);
  absl::StatusOr<ValueId> Transpose(ValueId x);
  absl::StatusOr<ValueId> Index(ValueId x, absl::Span<const Subscript> subscripts);
  // Parts of one shape along a new first axis.
  absl::StatusOr<ValueId> Stack(absl::Span<const ValueId> parts);
  // Parts along an axis they have; scalars count as vectors of one element.
  absl::StatusOr<ValueId> Concat(absl::Span<const ValueId> parts, int64_t axis);
  absl::StatusOr<ValueId> Sum(ValueId x, std::optional<int64_t> axis);
  // The largest or smallest element (Op::kMax, Op::kMin).
  absl::StatusOr<ValueId> Extremum(Op op, ValueId x);
  absl::StatusOr<ValueId> Roll(ValueId x, int64_t shift, int64_t axis);
  absl::StatusOr<ValueId> Reshape(ValueId x, Shape shape);
  // `x` repeated to `shape`.
  absl::StatusOr<ValueId> BroadcastTo(ValueId x, const Shape& shape);

  absl::Status CheckNumber(ValueId x, std::string_view name) const;

 private:
  absl::StatusOr<ValueId> Append(Instruction instruction);
  absl::StatusOr<ValueId> BroadcastBool(ValueId x, const Shape& shape);

  FunctionBuilder& b_;
};

// Axis counted from the end if negative. The message names the shape.
absl::StatusOr<int64_t> NormalizeAxis(int64_t axis, const Shape& shape);

// OK if `shape` keeps to the limits of base/limits.h.
absl::Status CheckShapeLimits(const Shape& shape);

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_TENSOR_BUILDER_H_

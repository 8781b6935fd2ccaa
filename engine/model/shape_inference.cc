#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/model/ir.h"
#include "engine/model/model.h"

namespace costate {
namespace {

using limits::kMaxTensorElements;
using limits::kMaxTensorRank;

template <typename... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status CheckShape(const Shape& shape) {
  if (static_cast<int64_t>(shape.size()) > kMaxTensorRank) {
    return Wrong("shape has ", shape.size(), " axes, at most ", kMaxTensorRank, " are allowed");
  }
  int64_t elements = 1;
  for (int64_t extent : shape) {
    if (extent < 1) return Wrong("shape ", ShapeToString(shape), " has an extent below 1");
    if (extent > kMaxTensorElements / elements) {
      return Wrong("shape ", ShapeToString(shape), " has more than ", kMaxTensorElements,
                   " elements");
    }
    elements *= extent;
  }
  return absl::OkStatus();
}

// The operand and attribute lists of one instruction, with the rules of each class of op.
class Inference {
 public:
  Inference(const Function& function, Instruction* instruction)
      : function_(function), instruction_(*instruction) {}

  absl::Status Run() {
    RETURN_IF_ERROR(CheckCounts());
    instruction_.dtype = DType::kF64;
    switch (ClassOf(instruction_.op)) {
      case OpClass::Leaf:
        return Leaf();
      case OpClass::Unary:
        return Unary();
      case OpClass::Binary:
        return Elementwise({DType::kF64, DType::kF64}, DType::kF64);
      case OpClass::Compare:
        return Elementwise({DType::kF64, DType::kF64}, DType::kBool);
      case OpClass::Logic:
        return Elementwise({DType::kBool, DType::kBool}, DType::kBool);
      case OpClass::Select:
        return Elementwise({DType::kBool, DType::kF64, DType::kF64}, DType::kF64);
      case OpClass::Structure:
      case OpClass::Contract:
        RETURN_IF_ERROR(CheckOperandsAreF64());
        RETURN_IF_ERROR(StructureOrContract());
        return CheckShape(instruction_.shape);
    }
    return Wrong("unknown class of op");
  }

 private:
  const Instruction& Operand(size_t i) const {
    return function_.instructions[instruction_.operands[i]];
  }
  const Shape& OperandShape(size_t i) const { return Operand(i).shape; }
  int64_t Attribute(size_t i) const { return instruction_.attributes[i]; }

  absl::Status CheckCounts() const {
    const int operands = NumOperands(instruction_.op);
    const int attributes = NumAttributes(instruction_.op);
    if (operands >= 0 ? instruction_.operands.size() != static_cast<size_t>(operands)
                      : instruction_.operands.empty()) {
      return Wrong("has ", instruction_.operands.size(), " operands, expected ",
                   operands >= 0 ? absl::StrCat(operands) : "at least 1");
    }
    if (attributes >= 0 && instruction_.attributes.size() != static_cast<size_t>(attributes)) {
      return Wrong("has ", instruction_.attributes.size(), " attributes, expected ", attributes);
    }
    for (ValueId id : instruction_.operands) {
      if (id < 0 || static_cast<size_t>(id) >= function_.instructions.size()) {
        return Wrong("operand %", id, " does not exist");
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckOperandsAreF64() const {
    for (size_t i = 0; i < instruction_.operands.size(); ++i) {
      if (Operand(i).dtype != DType::kF64) return Wrong("operand ", i, " is bool, expected f64");
    }
    return absl::OkStatus();
  }

  absl::Status Leaf() const {
    RETURN_IF_ERROR(CheckShape(instruction_.shape));
    const int64_t elements = NumElements(instruction_.shape);
    if (instruction_.op == Op::kConstant) {
      const int64_t index = Attribute(0);
      if (index < 0 || index >= static_cast<int64_t>(function_.constants.size())) {
        return Wrong("constant ", index, " does not exist");
      }
      const auto size = static_cast<int64_t>(function_.constants[index].size());
      if (size != elements) {
        return Wrong("constant has ", size, " elements, shape ", ShapeToString(instruction_.shape),
                     " needs ", elements);
      }
      return absl::OkStatus();
    }
    const int64_t buffer = Attribute(0);
    const int64_t offset = Attribute(1);
    if (buffer < 0 || buffer >= static_cast<int64_t>(function_.inputs.size())) {
      return Wrong("input buffer ", buffer, " does not exist");
    }
    const int64_t size = function_.inputs[buffer].size;
    if (offset < 0 || offset > size || elements > size - offset) {
      return Wrong("reads ", elements, " elements from ", offset, " on, buffer '",
                   function_.inputs[buffer].name, "' has ", size);
    }
    return absl::OkStatus();
  }

  absl::Status Unary() {
    if (instruction_.op == Op::kPowi && (Attribute(0) < -1024 || Attribute(0) > 1024)) {
      return Wrong("exponent ", Attribute(0), " is outside [-1024, 1024]");
    }
    return Elementwise({DType::kF64}, DType::kF64);
  }

  absl::Status Elementwise(std::initializer_list<DType> operand_types, DType result) {
    Shape shape;
    for (size_t i = 0; i < instruction_.operands.size(); ++i) {
      const DType expected = operand_types.begin()[i];
      if (Operand(i).dtype != expected) {
        return Wrong("operand ", i, " is ",
                     expected == DType::kF64 ? "bool, expected f64" : "f64, expected bool");
      }
      const Shape& other = OperandShape(i);
      if (other.empty()) continue;
      if (!shape.empty() && shape != other) {
        return Wrong("operand shapes ", ShapeToString(shape), " and ", ShapeToString(other),
                     " differ");
      }
      shape = other;
    }
    instruction_.shape = shape;
    instruction_.dtype = result;
    return absl::OkStatus();
  }

  absl::Status StructureOrContract();
  absl::Status Sum();
  absl::Status Reshape() const;
  absl::Status Transpose();
  absl::Status CheckBroadcast(const Shape& from, const Shape& to) const;
  absl::Status Slice();
  absl::Status Pad() const;
  absl::Status Concat();
  absl::Status Matmul();
  absl::Status Outer();

  const Function& function_;
  Instruction& instruction_;
};

absl::Status Inference::StructureOrContract() {
  switch (instruction_.op) {
    case Op::kSum:
      return Sum();
    case Op::kReshape:
      return Reshape();
    case Op::kTranspose:
      return Transpose();
    case Op::kBroadcastTo:
      return CheckBroadcast(OperandShape(0), instruction_.shape);
    case Op::kSumTo:
      return CheckBroadcast(instruction_.shape, OperandShape(0));
    case Op::kSlice:
      return Slice();
    case Op::kPad:
      return Pad();
    case Op::kConcat:
      return Concat();
    case Op::kMatmul:
      return Matmul();
    case Op::kOuter:
      return Outer();
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_LEAF_OP_LIST(COSTATE_CASE)
      COSTATE_ELEMENTWISE_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
      break;
  }
  return Wrong("not a structural op");
}

absl::Status Inference::Sum() {
  const int64_t axis = Attribute(0);
  Shape shape = OperandShape(0);
  if (axis == -1) {
    instruction_.shape.clear();
    return absl::OkStatus();
  }
  if (axis < 0 || axis >= static_cast<int64_t>(shape.size())) {
    return Wrong("axis ", axis, " does not exist in shape ", ShapeToString(shape));
  }
  shape.erase(shape.begin() + axis);
  instruction_.shape = shape;
  return absl::OkStatus();
}

absl::Status Inference::Reshape() const {
  RETURN_IF_ERROR(CheckShape(instruction_.shape));
  if (NumElements(instruction_.shape) != NumElements(OperandShape(0))) {
    return Wrong("shapes ", ShapeToString(OperandShape(0)), " and ",
                 ShapeToString(instruction_.shape), " have different numbers of elements");
  }
  return absl::OkStatus();
}

absl::Status Inference::Transpose() {
  const Shape& shape = OperandShape(0);
  if (shape.size() != 2) return Wrong("operand has rank ", shape.size(), ", expected 2");
  instruction_.shape = {shape[1], shape[0]};
  return absl::OkStatus();
}

absl::Status Inference::CheckBroadcast(const Shape& from, const Shape& to) const {
  RETURN_IF_ERROR(CheckShape(from));
  RETURN_IF_ERROR(CheckShape(to));
  bool fits = from.size() <= to.size();
  for (size_t i = 0; fits && i < from.size(); ++i) {
    const int64_t extent = from[from.size() - 1 - i];
    fits = extent == 1 || extent == to[to.size() - 1 - i];
  }
  if (fits) return absl::OkStatus();
  return Wrong("shape ", ShapeToString(from), " does not broadcast to ", ShapeToString(to));
}

absl::Status Inference::Slice() {
  const Shape operand = OperandShape(0);
  if (instruction_.attributes.size() != 3 * operand.size()) {
    return Wrong("has ", instruction_.attributes.size(), " attributes, expected 3 per axis of ",
                 ShapeToString(operand));
  }
  Shape shape;
  for (size_t axis = 0; axis < operand.size(); ++axis) {
    const int64_t start = Attribute(3 * axis);
    const int64_t stop = Attribute(3 * axis + 1);
    const int64_t step = Attribute(3 * axis + 2);
    if (start < 0 || start >= stop || stop > operand[axis] || step < 1) {
      return Wrong("range ", start, ":", stop, ":", step, " of axis ", axis,
                   " is empty or outside shape ", ShapeToString(operand));
    }
    shape.push_back((stop - start - 1) / step + 1);
  }
  instruction_.shape = shape;
  return absl::OkStatus();
}

absl::Status Inference::Pad() const {
  const Shape& operand = OperandShape(0);
  const Shape& result = instruction_.shape;
  RETURN_IF_ERROR(CheckShape(result));
  if (operand.size() != result.size() || instruction_.attributes.size() != 2 * operand.size()) {
    return Wrong("has ", instruction_.attributes.size(), " attributes and rank ", result.size(),
                 ", expected 2 attributes per axis and the rank of ", ShapeToString(operand));
  }
  for (size_t axis = 0; axis < operand.size(); ++axis) {
    const int64_t start = Attribute(2 * axis);
    const int64_t step = Attribute(2 * axis + 1);
    if (start < 0 || start >= result[axis] || step < 1 ||
        operand[axis] - 1 > (result[axis] - 1 - start) / step) {
      return Wrong("operand ", ShapeToString(operand), " from ", start, " by ", step,
                   " does not fit axis ", axis, " of ", ShapeToString(result));
    }
  }
  return absl::OkStatus();
}

absl::Status Inference::Concat() {
  const int64_t axis = Attribute(0);
  Shape shape = OperandShape(0);
  if (axis < 0 || axis >= static_cast<int64_t>(shape.size())) {
    return Wrong("axis ", axis, " does not exist in shape ", ShapeToString(shape));
  }
  for (size_t i = 1; i < instruction_.operands.size(); ++i) {
    Shape other = OperandShape(i);
    const bool same_rank = other.size() == shape.size();
    const int64_t extent = same_rank ? other[axis] : 0;
    if (same_rank) other[axis] = shape[axis];
    if (other != shape) {
      return Wrong("operand ", i, " of shape ", ShapeToString(OperandShape(i)),
                   " does not fit the others along axis ", axis);
    }
    shape[axis] += extent;
  }
  instruction_.shape = shape;
  return absl::OkStatus();
}

absl::Status Inference::Matmul() {
  const Shape& a = OperandShape(0);
  const Shape& b = OperandShape(1);
  const int64_t flags[] = {Attribute(0), Attribute(1)};
  const Shape* const shapes[] = {&a, &b};
  for (int i = 0; i < 2; ++i) {
    const size_t rank = shapes[i]->size();
    if (rank != 1 && rank != 2)
      return Wrong("operand ", i, " has rank ", rank, ", expected 1 or 2");
    if (flags[i] < 0 || flags[i] > (rank == 2 ? 1 : 0)) {
      return Wrong("transpose flag ", flags[i], " does not fit operand ", i, " of rank ", rank);
    }
  }
  const int64_t inner_a = a.size() == 1 ? a[0] : a[flags[0] ? 0 : 1];
  const int64_t inner_b = b.size() == 1 ? b[0] : b[flags[1] ? 1 : 0];
  if (inner_a != inner_b) {
    return Wrong("inner extents ", inner_a, " and ", inner_b, " differ: ", ShapeToString(a), " @ ",
                 ShapeToString(b));
  }
  Shape shape;
  if (a.size() == 2) shape.push_back(a[flags[0] ? 1 : 0]);
  if (b.size() == 2) shape.push_back(b[flags[1] ? 0 : 1]);
  instruction_.shape = shape;
  return absl::OkStatus();
}

absl::Status Inference::Outer() {
  const Shape& a = OperandShape(0);
  const Shape& b = OperandShape(1);
  if (a.size() != 1 || b.size() != 1) {
    return Wrong("operand shapes ", ShapeToString(a), " and ", ShapeToString(b),
                 ", expected vectors");
  }
  instruction_.shape = {a[0], b[0]};
  return absl::OkStatus();
}

}  // namespace

absl::Status InferShape(const Function& function, Instruction* instruction) {
  if (static_cast<int>(instruction->op) >= kNumOps) return Wrong("unknown op");
  return Inference(function, instruction).Run();
}

}  // namespace costate

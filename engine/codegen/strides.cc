#include "engine/codegen/strides.h"

#include <algorithm>

namespace costate::codegen {
namespace {

using Strides = std::vector<int64_t>;

Strides RowMajor(const Shape& shape) {
  Strides strides(shape.size());
  int64_t stride = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

// Strides that walk `small` while `large`, to which it broadcasts, is walked.
Strides BroadcastStrides(const Shape& small, const Shape& large) {
  const Strides own = RowMajor(small);
  Strides strides(large.size(), 0);
  const size_t lead = large.size() - small.size();
  for (size_t axis = 0; axis < small.size(); ++axis) {
    if (small[axis] != 1) strides[lead + axis] = own[axis];
  }
  return strides;
}

// Axes collected from the innermost outwards, those of extent 1 dropped and axes that walk like
// one merged, so that the innermost axis is as long as it can be.
class AxisList {
 public:
  void AddOuter(int64_t extent, int64_t first, int64_t second) {
    if (extent == 1) return;
    const bool merges = count_ > 0 && first == first_[count_ - 1] * extent_[count_ - 1] &&
                        second == second_[count_ - 1] * extent_[count_ - 1];
    if (merges) {
      extent_[count_ - 1] *= extent;
      return;
    }
    extent_[count_] = extent;
    first_[count_] = first;
    second_[count_] = second;
    ++count_;
  }

  void Write(int64_t (&extent)[kKernelRank], int64_t (&first)[kKernelRank],
             int64_t (&second)[kKernelRank]) const {
    for (int i = 0; i < kKernelRank; ++i) {
      const int axis = kKernelRank - 1 - i;
      extent[axis] = i < count_ ? extent_[i] : 1;
      first[axis] = i < count_ ? first_[i] : 1;
      second[axis] = i < count_ ? second_[i] : 1;
    }
  }

 private:
  int count_ = 0;
  int64_t extent_[kKernelRank], first_[kKernelRank], second_[kKernelRank];
};

CopyMap MakeCopyMap(const Shape& extents, const Strides& out, const Strides& a, int64_t out_offset,
                    int64_t a_offset) {
  AxisList axes;
  for (size_t axis = extents.size(); axis-- > 0;) axes.AddOuter(extents[axis], out[axis], a[axis]);
  CopyMap map;
  axes.Write(map.shape.extent, map.shape.out_stride, map.shape.a_stride);
  map.out_offset = out_offset;
  map.a_offset = a_offset;
  return map;
}

CopyMap SliceMap(const Instruction& instruction, const Shape& source) {
  Strides strides = RowMajor(source);
  int64_t offset = 0;
  for (size_t axis = 0; axis < source.size(); ++axis) {
    offset += strides[axis] * instruction.attributes[3 * axis];
    strides[axis] *= instruction.attributes[3 * axis + 2];
  }
  return MakeCopyMap(instruction.shape, RowMajor(instruction.shape), strides, 0, offset);
}

CopyMap PadMap(const Instruction& instruction, const Shape& source) {
  Strides strides = RowMajor(instruction.shape);
  int64_t offset = 0;
  for (size_t axis = 0; axis < source.size(); ++axis) {
    offset += strides[axis] * instruction.attributes[2 * axis];
    strides[axis] *= instruction.attributes[2 * axis + 1];
  }
  return MakeCopyMap(source, strides, RowMajor(source), offset, 0);
}

CopyMap ConcatMap(const Function& function, const Instruction& instruction, int operand) {
  const int64_t axis = instruction.attributes[0];
  const auto shape_of = [&](int k) -> const Shape& {
    return function.instructions[instruction.operands[k]].shape;
  };
  int64_t begin = 0;
  for (int k = 0; k < operand; ++k) begin += shape_of(k)[axis];
  const Strides strides = RowMajor(instruction.shape);
  return MakeCopyMap(shape_of(operand), strides, RowMajor(shape_of(operand)), begin * strides[axis],
                     0);
}

}  // namespace

CopyMap CopyMapOf(const Function& function, const Instruction& instruction, int operand) {
  const Shape& source = function.instructions[instruction.operands[operand]].shape;
  const Shape& result = instruction.shape;
  if (instruction.op == Op::kSlice) return SliceMap(instruction, source);
  if (instruction.op == Op::kPad) return PadMap(instruction, source);
  if (instruction.op == Op::kConcat) return ConcatMap(function, instruction, operand);
  if (instruction.op == Op::kTranspose) {
    return MakeCopyMap(result, RowMajor(result), {1, source[1]}, 0, 0);
  }
  if (instruction.op == Op::kBroadcastTo) {
    return MakeCopyMap(result, RowMajor(result), BroadcastStrides(source, result), 0, 0);
  }
  return MakeCopyMap(result, RowMajor(result), RowMajor(result), 0, 0);  // kReshape
}

SumShape SumShapeOf(const Function& function, const Instruction& instruction) {
  const Shape& source = function.instructions[instruction.operands[0]].shape;
  const Strides strides = RowMajor(source);
  std::vector<bool> summed(source.size(), false);
  if (instruction.op == Op::kSum) {
    const int64_t axis = instruction.attributes[0];
    if (axis < 0) summed.assign(source.size(), true);
    if (axis >= 0) summed[axis] = true;
  } else {
    const Strides kept = BroadcastStrides(instruction.shape, source);
    for (size_t axis = 0; axis < source.size(); ++axis) summed[axis] = kept[axis] == 0;
  }
  AxisList out, sum;
  for (size_t axis = source.size(); axis-- > 0;) {
    AxisList& list = summed[axis] ? sum : out;
    list.AddOuter(source[axis], strides[axis], strides[axis]);
  }
  SumShape shape;
  int64_t unused[kKernelRank];
  out.Write(shape.out_extent, shape.out_stride, unused);
  sum.Write(shape.sum_extent, shape.sum_stride, unused);
  return shape;
}

MatmulShape MatmulShapeOf(const Function& function, const Instruction& instruction) {
  const Shape& a = function.instructions[instruction.operands[0]].shape;
  const Shape& b = function.instructions[instruction.operands[1]].shape;
  MatmulShape s;
  if (instruction.op == Op::kOuter) {
    return {.m = a[0], .n = b[0], .k = 1, .a_row = 1, .a_column = 1, .b_row = 1, .b_column = 1};
  }
  const bool transpose_a = a.size() == 2 && instruction.attributes[0] == 1;
  const bool transpose_b = b.size() == 2 && instruction.attributes[1] == 1;
  s.m = a.size() == 1 ? 1 : a[transpose_a ? 1 : 0];
  s.k = a.size() == 1 ? a[0] : a[transpose_a ? 0 : 1];
  s.n = b.size() == 1 ? 1 : b[transpose_b ? 0 : 1];
  s.a_row = transpose_a ? 1 : s.k;
  s.a_column = transpose_a ? s.m : 1;
  s.b_row = transpose_b ? 1 : s.n;
  s.b_column = transpose_b ? s.k : 1;
  return s;
}

std::vector<int64_t> Offsets(const int64_t (&extent)[kKernelRank],
                             const int64_t (&stride)[kKernelRank]) {
  std::vector<int64_t> offsets = {0};
  for (int axis = 0; axis < kKernelRank; ++axis) {
    std::vector<int64_t> next;
    next.reserve(offsets.size() * extent[axis]);
    for (int64_t offset : offsets) {
      for (int64_t i = 0; i < extent[axis]; ++i) next.push_back(offset + i * stride[axis]);
    }
    offsets = std::move(next);
  }
  return offsets;
}

}  // namespace costate::codegen

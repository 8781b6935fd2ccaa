// Walks over the elements of row-major tensors.
#ifndef COSTATE_ENGINE_MODEL_TENSOR_INDEX_H_
#define COSTATE_ENGINE_MODEL_TENSOR_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/model/ir.h"

namespace costate {

// Per axis, how far apart neighbours are.
inline std::vector<int64_t> RowMajorStrides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

// Strides that walk `small` while `large`, to which it broadcasts, is walked.
inline std::vector<int64_t> BroadcastStrides(const Shape& small, const Shape& large) {
  const std::vector<int64_t> own = RowMajorStrides(small);
  std::vector<int64_t> strides(large.size(), 0);
  const size_t lead = large.size() - small.size();
  for (size_t axis = 0; axis < small.size(); ++axis) {
    if (small[axis] != 1) strides[lead + axis] = own[axis];
  }
  return strides;
}

// Calls f(i, j) for each element i of a tensor of shape `shape`, in order, where j is `offset`
// plus the sum over axes of index times stride.
template <typename F>
void ForEachPlace(const Shape& shape, const std::vector<int64_t>& strides, int64_t offset, F f) {
  std::vector<int64_t> index(shape.size(), 0);
  const int64_t size = NumElements(shape);
  int64_t place = offset;
  for (int64_t i = 0; i < size; ++i) {
    f(i, place);
    for (size_t axis = shape.size(); axis-- > 0;) {
      place += strides[axis];
      if (++index[axis] < shape[axis]) break;
      place -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

// f(i, j): element i of the result of a kSlice (or of the operand of a kPad) lies at element j of
// the operand of the slice (the result of the pad).
template <typename F>
void ForEachSliced(const Instruction& slice_or_pad, const Shape& small, const Shape& large, F f) {
  const size_t per_axis = slice_or_pad.op == Op::kSlice ? 3 : 2;  // start first, step last
  std::vector<int64_t> strides = RowMajorStrides(large);
  int64_t offset = 0;
  for (size_t axis = 0; axis < large.size(); ++axis) {
    offset += strides[axis] * slice_or_pad.attributes[per_axis * axis];
    strides[axis] *= small[axis] == 1 ? 0 : slice_or_pad.attributes[per_axis * (axis + 1) - 1];
  }
  ForEachPlace(small, strides, offset, f);
}

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_TENSOR_INDEX_H_

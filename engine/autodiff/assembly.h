// Puts cotangents of ranges together to the cotangent of the whole.
#ifndef COSTATE_ENGINE_AUTODIFF_ASSEMBLY_H_
#define COSTATE_ENGINE_AUTODIFF_ASSEMBLY_H_

#include <cstdint>
#include <vector>

#include "engine/model/function_builder.h"
#include "engine/model/ir.h"

namespace costate {

// The elements of `value`, row-major, belong to a flat array from `offset` on.
struct Piece {
  int64_t offset = 0;
  ValueId value = 0;
};

// `size` elements of the flat array from `offset` on; zeros if `value` is kNoValue.
struct Segment {
  int64_t offset = 0;
  int64_t size = 0;
  ValueId value = kNoValue;
};

// Adds up pieces, which may overlap, over a flat array of `total` elements. The segments cover it
// in order, once. Overlaps are cut at the ends of the pieces, or laid out in layers of pieces that
// do not overlap, whichever is less work: O(pieces) instructions where layers are allowed
// (O(total * depth of overlap) element operations).
std::vector<Segment> AssemblePieces(FunctionBuilder& b, std::vector<Piece> pieces, int64_t total);

// The same as one value of this shape.
ValueId AssembleValue(FunctionBuilder& b, std::vector<Piece> pieces, const Shape& shape);

// x as a vector.
ValueId Flatten(FunctionBuilder& b, ValueId x);

}  // namespace costate

#endif  // COSTATE_ENGINE_AUTODIFF_ASSEMBLY_H_

// Maps of moves; what they do to elements is compared with the interpreter in
// emit_structure_test.cc.
#include "engine/codegen/strides.h"

#include "engine/model/function_builder.h"
#include "gtest/gtest.h"

namespace costate::codegen {
namespace {

using Numbers = std::vector<int64_t>;

template <size_t N>
Numbers List(const int64_t (&values)[N]) {
  return Numbers(values, values + N);
}

TEST(Strides, AxesThatWalkAsOneAreMerged) {
  FunctionBuilder b("f", {{"x", 120}}, {});
  const ValueId x = b.Input(0, 0, {2, 3, 4, 5});
  const ValueId rows = b.Slice(x, {0, 2, 1, 1, 3, 1, 0, 4, 1, 0, 5, 1});
  const CopyMap map = CopyMapOf(b.function(), b.instruction(rows), 0);
  EXPECT_EQ(List(map.shape.extent), (Numbers{1, 1, 2, 40}));
  EXPECT_EQ(map.shape.a_stride[2], 60);
  EXPECT_EQ(map.a_offset, 20);
  const SumShape all = SumShapeOf(b.function(), b.instruction(b.Sum(x)));
  EXPECT_EQ(List(all.sum_extent), (Numbers{1, 1, 1, 120}));
  EXPECT_EQ(all.sum_stride[3], 1);
  const SumShape middle = SumShapeOf(b.function(), b.instruction(b.Sum(x, 1)));
  EXPECT_EQ(List(middle.sum_extent), (Numbers{1, 1, 1, 3}));
  EXPECT_EQ(List(middle.out_extent), (Numbers{1, 1, 2, 20}));
}

TEST(Strides, OffsetsAreRowMajor) {
  const int64_t extent[] = {1, 1, 2, 3};
  const int64_t stride[] = {1, 1, 1, 10};
  EXPECT_EQ(Offsets(extent, stride), (Numbers{0, 10, 20, 1, 11, 21}));
}

TEST(Strides, MatmulOfVectors) {
  FunctionBuilder b("f", {{"a", 12}, {"x", 4}}, {});
  const ValueId a = b.Input(0, 0, {3, 4});
  const ValueId x = b.Input(1, 0, {4});
  const MatmulShape s = MatmulShapeOf(b.function(), b.instruction(b.Matmul(a, x)));
  EXPECT_EQ((Numbers{s.m, s.n, s.k, s.a_row, s.a_column}), (Numbers{3, 1, 4, 4, 1}));
  const MatmulShape t = MatmulShapeOf(b.function(), b.instruction(b.Matmul(x, a, false, true)));
  EXPECT_EQ((Numbers{t.m, t.n, t.k, t.b_row, t.b_column}), (Numbers{1, 3, 4, 1, 4}));
}

}  // namespace
}  // namespace costate::codegen

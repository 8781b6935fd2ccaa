#include "engine/model/ir.h"

#include <set>
#include <string>

#include "engine/model/tensor_index.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using ::testing::ElementsAre;

TEST(IrTest, EveryOpIsFoundByItsName) {
  std::set<std::string> names;
  for (int i = 0; i < kNumOps; ++i) {
    const Op op = static_cast<Op>(i);
    EXPECT_EQ(FindOp(OpName(op)), op);
    EXPECT_TRUE(names.insert(std::string(OpName(op))).second) << OpName(op);
  }
  EXPECT_EQ(FindOp("system"), std::nullopt);
  EXPECT_EQ(FindOp(""), std::nullopt);
}

// The lists of one class expand the ops of that class.
TEST(IrTest, ListsOfClassesAgreeWithTheRows) {
  int count = 0;
#define COSTATE_CHECK(op, name, op_class, operands, attributes) \
  EXPECT_EQ(ClassOf(Op::op), OpClass::op_class);                \
  EXPECT_TRUE(IsElementwise(Op::op)) << name;                   \
  ++count;
  COSTATE_ELEMENTWISE_OP_LIST(COSTATE_CHECK)
#undef COSTATE_CHECK
  int elementwise = 0;
  for (int i = 0; i < kNumOps; ++i) elementwise += IsElementwise(static_cast<Op>(i));
  EXPECT_EQ(count, elementwise);
  EXPECT_FALSE(IsElementwise(Op::kInput));
  EXPECT_FALSE(IsElementwise(Op::kConcat));
  EXPECT_FALSE(IsElementwise(Op::kMatmul));
}

TEST(IrTest, OperandsAndAttributes) {
  EXPECT_EQ(NumOperands(Op::kConstant), 0);
  EXPECT_EQ(NumOperands(Op::kSelect), 3);
  EXPECT_EQ(NumOperands(Op::kConcat), -1);
  EXPECT_EQ(NumAttributes(Op::kInput), 2);
  EXPECT_EQ(NumAttributes(Op::kSlice), -1);
  EXPECT_EQ(NumAttributes(Op::kAdd), 0);
}

TEST(IrTest, Shapes) {
  EXPECT_EQ(NumElements({}), 1);
  EXPECT_EQ(NumElements({50, 2}), 100);
  EXPECT_EQ(ShapeToString({}), "[]");
  EXPECT_EQ(ShapeToString({50, 2}), "[50, 2]");
}

TEST(TensorIndexTest, Strides) {
  EXPECT_THAT(RowMajorStrides({2, 3, 4}), ElementsAre(12, 4, 1));
  EXPECT_THAT(BroadcastStrides({3, 1}, {2, 3, 4}), ElementsAre(0, 1, 0));
  EXPECT_THAT(BroadcastStrides({}, {2}), ElementsAre(0));
}

TEST(TensorIndexTest, Walks) {
  std::vector<int64_t> places;
  ForEachPlace({2, 3}, {1, 2}, 10, [&](int64_t i, int64_t j) {
    EXPECT_EQ(i, static_cast<int64_t>(places.size()));
    places.push_back(j);
  });
  EXPECT_THAT(places, ElementsAre(10, 12, 14, 11, 13, 15));
  places.clear();
  Instruction slice;
  slice.op = Op::kSlice;
  slice.attributes = {1, 2, 7, 0, 4, 3};
  ForEachSliced(slice, {1, 2}, {3, 4}, [&](int64_t, int64_t j) { places.push_back(j); });
  EXPECT_THAT(places, ElementsAre(4, 7));
}

}  // namespace
}  // namespace costate

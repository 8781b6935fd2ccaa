// Shape rules: against NumPy's, written down by hand. Values are in builtins_test.
#include "engine/model/tensor_builder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/base/limits.h"

namespace costate {
namespace {

class TensorBuilderTest : public ::testing::Test {
 protected:
  ValueId Tensor(Shape shape) { return builder_.Input(0, 0, std::move(shape)); }
  std::string ShapeOf(const absl::StatusOr<ValueId>& value) {
    return value.ok() ? ShapeToString(builder_.shape(*value)) : "error";
  }
  std::string Added(Shape a, Shape b) {
    return ShapeOf(tensors_.Binary(Op::kAdd, Tensor(std::move(a)), Tensor(std::move(b)), "'+'"));
  }
  std::string Multiplied(Shape a, Shape b) {
    return ShapeOf(tensors_.Matmul(Tensor(std::move(a)), Tensor(std::move(b))));
  }

  FunctionBuilder builder_{"f", {{"x", 100}}, {}};
  TensorBuilder tensors_{&builder_};
};

TEST_F(TensorBuilderTest, Broadcasting) {
  EXPECT_EQ(Added({}, {}), "[]");
  EXPECT_EQ(Added({3}, {}), "[3]");
  EXPECT_EQ(Added({3}, {1}), "[3]");
  EXPECT_EQ(Added({2, 3}, {3}), "[2, 3]");
  EXPECT_EQ(Added({2, 1}, {3}), "[2, 3]");
  EXPECT_EQ(Added({2, 1, 4}, {3, 1}), "[2, 3, 4]");
  EXPECT_EQ(Added({2}, {3}), "error");
  EXPECT_EQ(Added({2, 3}, {2}), "error");
}

TEST_F(TensorBuilderTest, Products) {
  EXPECT_EQ(Multiplied({2, 3}, {3, 4}), "[2, 4]");
  EXPECT_EQ(Multiplied({2, 3}, {3}), "[2]");
  EXPECT_EQ(Multiplied({2}, {2, 3}), "[3]");
  EXPECT_EQ(Multiplied({4}, {4}), "[]");
  EXPECT_EQ(Multiplied({2, 3}, {2, 3}), "error");
  EXPECT_EQ(Multiplied({}, {3}), "error");
  EXPECT_EQ(Multiplied({2, 2, 2}, {2}), "error");
}

TEST_F(TensorBuilderTest, TransposedFactorsAreFlags) {
  const ValueId w = Tensor({2, 3});
  const ValueId product = *tensors_.Matmul(*tensors_.Transpose(w), Tensor({2}));
  EXPECT_EQ(builder_.instruction(product).operands[0], w);
  EXPECT_EQ(builder_.instruction(product).attributes[0], 1);
}

TEST_F(TensorBuilderTest, ConditionsBroadcastToo) {
  const ValueId condition = *tensors_.Binary(Op::kLt, Tensor({3}), Tensor({}), "'<'");
  const ValueId wide =
      *tensors_.Elementwise(Op::kSelect, {condition, Tensor({2, 3}), builder_.Constant(0)}, "'if'");
  EXPECT_EQ(ShapeToString(builder_.shape(wide)), "[2, 3]");
  EXPECT_FALSE(tensors_.Binary(Op::kAdd, condition, condition, "'+'").ok());
  EXPECT_FALSE(tensors_.Unary(Op::kNot, Tensor({}), "'not'").ok());
  EXPECT_FALSE(tensors_.Sum(condition, std::nullopt).ok());
}

TEST_F(TensorBuilderTest, PowersWithConstantExponents) {
  const ValueId x = Tensor({});
  const auto op = [&](double exponent) {
    return builder_.instruction(*tensors_.Power(x, builder_.Constant(exponent))).op;
  };
  EXPECT_EQ(op(2), Op::kPowi);
  EXPECT_EQ(op(-1024), Op::kPowi);
  EXPECT_EQ(op(1025), Op::kPow);
  EXPECT_EQ(op(0.5), Op::kSqrt);
  EXPECT_EQ(op(1.5), Op::kPow);
  EXPECT_EQ(*tensors_.Power(x, builder_.Constant(1)), x);
}

TEST_F(TensorBuilderTest, ConstantIntegers) {
  EXPECT_EQ(*tensors_.ConstantInteger(builder_.Constant(-3), "an index"), -3);
  EXPECT_FALSE(tensors_.ConstantInteger(builder_.Constant(0.5), "an index").ok());
  EXPECT_FALSE(tensors_.ConstantInteger(builder_.Constant(1e300), "an index").ok());
  EXPECT_FALSE(tensors_.ConstantInteger(builder_.Constant(0.0 / 0.0), "an index").ok());
  EXPECT_FALSE(tensors_.ConstantInteger(builder_.Constant({1, 2}, {2}), "an index").ok());
  EXPECT_FALSE(tensors_.ConstantInteger(Tensor({}), "an index").ok());
}

TEST_F(TensorBuilderTest, LimitsOfShapes) {
  EXPECT_TRUE(CheckShapeLimits({}).ok());
  EXPECT_TRUE(CheckShapeLimits({limits::kMaxTensorElements}).ok());
  EXPECT_FALSE(CheckShapeLimits({limits::kMaxTensorElements + 1}).ok());
  EXPECT_FALSE(CheckShapeLimits({int64_t{1} << 40, int64_t{1} << 40}).ok());
  EXPECT_FALSE(CheckShapeLimits({1, 1, 1, 1, 1}).ok());
  EXPECT_FALSE(CheckShapeLimits({0}).ok());
  EXPECT_FALSE(CheckShapeLimits({-1}).ok());
}

}  // namespace
}  // namespace costate

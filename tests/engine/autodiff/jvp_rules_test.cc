// Forward rules of the ops that are not elementwise, and the code the rules make.
#include "engine/autodiff/jvp_rules.h"

#include <functional>
#include <vector>

#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/autodiff/derivative_checks.h"

namespace costate {
namespace {

using ::testing::ElementsAre;

// The tangent of a function of one buffer of n elements.
std::vector<double> Tangent(int64_t n, const std::vector<double>& x, const std::vector<double>& dx,
                            const std::function<ValueId(FunctionBuilder&, ValueId)>& build) {
  return Interpret(JvpOf(FunctionOf(n, build), {0}, false), {x, dx})[0];
}

int Count(const Function& f, Op op) {
  int count = 0;
  for (const Instruction& instruction : f.instructions) count += instruction.op == op;
  return count;
}

// {x[2], p[2]} -> out
Function OfStateAndParameter(
    const std::function<ValueId(FunctionBuilder&, ValueId, ValueId)>& build) {
  FunctionBuilder b("f", {{"x", 2}, {"p", 2}}, {{"out", 0}});
  const ValueId x = b.Input(0, 0, {2});
  const ValueId p = b.Input(1, 0, {2});
  const ValueId value = build(b, x, p);
  Function f = b.function();
  f.outputs[0].size = NumElements(b.shape(value));
  f.results = {{value, 0, 0}};
  return f;
}

TEST(JvpRulesTest, LinearOpsApplyToTheTangent) {
  const std::vector<double> x = {1, 2, 3, 4};
  const std::vector<double> dx = {10, 20, 30, 40};
  EXPECT_THAT(Tangent(4, x, dx, [](auto& b, ValueId v) { return b.Sum(v); }), ElementsAre(100));
  EXPECT_THAT(
      Tangent(4, x, dx, [](auto& b, ValueId v) { return b.Transpose(b.Reshape(v, {2, 2})); }),
      ElementsAre(10, 30, 20, 40));
  EXPECT_THAT(Tangent(4, x, dx, [](auto& b, ValueId v) { return b.Slice(v, {1, 4, 2}); }),
              ElementsAre(20, 40));
  EXPECT_THAT(Tangent(4, x, dx, [](auto& b, ValueId v) { return b.Pad(v, {1, 2}, {9}); }),
              ElementsAre(0, 10, 0, 20, 0, 30, 0, 40, 0));
}

TEST(JvpRulesTest, ProductsHaveOneTermPerMovingFactor) {
  const Function quadratic =
      OfStateAndParameter([](FunctionBuilder& b, ValueId x, ValueId) { return b.Matmul(x, x); });
  EXPECT_THAT(Interpret(JvpOf(quadratic, {0}, false), {{1, 2}, {0, 0}, {10, 100}})[0],
              ElementsAre(420));
  const Function linear =
      OfStateAndParameter([](FunctionBuilder& b, ValueId x, ValueId p) { return b.Outer(p, x); });
  const Function tangent = JvpOf(linear, {0}, false);
  EXPECT_EQ(Count(tangent, Op::kOuter), 1);
  EXPECT_EQ(Count(tangent, Op::kAdd), 0);
  EXPECT_THAT(Interpret(tangent, {{1, 2}, {3, 4}, {10, 100}})[0], ElementsAre(30, 300, 40, 400));
}

TEST(JvpRulesTest, PartsThatDoNotMoveAreZeros) {
  const Function one = JvpOf(OfStateAndParameter([](FunctionBuilder& b, ValueId x, ValueId p) {
                               return b.Concat({p, x, p}, 0);
                             }),
                             {0}, false);
  EXPECT_EQ(Count(one, Op::kPad), 1);
  EXPECT_EQ(Count(one, Op::kConcat), 0);
  EXPECT_THAT(Interpret(one, {{1, 2}, {3, 4}, {5, 6}})[0], ElementsAre(0, 0, 5, 6, 0, 0));
  const Function two = JvpOf(OfStateAndParameter([](FunctionBuilder& b, ValueId x, ValueId p) {
                               return b.Concat({x, p, x}, 0);
                             }),
                             {0}, false);
  EXPECT_THAT(Interpret(two, {{1, 2}, {3, 4}, {5, 6}})[0], ElementsAre(5, 6, 0, 0, 5, 6));
}

TEST(JvpRulesTest, AQuotientTakesOneMoreDivision) {
  const Function f = OfStateAndParameter(
      [](FunctionBuilder& b, ValueId x, ValueId p) { return b.Binary(Op::kDiv, x, p); });
  EXPECT_EQ(Count(JvpOf(f, {0, 1}), Op::kDiv), 2);
}

TEST(JvpRulesTest, ScalarTangentsAreRepeatedLast) {
  FunctionBuilder b("f", {{"s", 1}, {"v", 3}}, {{"out", 3}});
  const ValueId s = b.Unary(Op::kSin, b.Input(0, 0, {}));
  b.Result(b.Binary(Op::kAdd, s, b.Input(1, 0, {3})), 0, 0);
  const Function tangent = JvpOf(std::move(b).Build(), {0}, false);
  EXPECT_EQ(tangent.instructions[tangent.results[0].value].op, Op::kBroadcastTo);
  EXPECT_THAT(Interpret(tangent, {{0}, {7, 8, 9}, {5}})[0], ElementsAre(5, 5, 5));
}

TEST(JvpRulesTest, NoTangentWhereNothingMoves) {
  FunctionBuilder b("f", {{"x", 1}}, {{"out", 1}});
  const ValueId x = b.Input(0, 0, {});
  const ValueId flat = b.Unary(Op::kFloor, x);
  const ValueId condition = b.Binary(Op::kLt, x, flat);
  const Function f = b.function();
  const ValueId none[] = {kNoValue};
  const ValueId moving[] = {x};
  const ValueId both[] = {x, x};
  const ValueId operands[] = {x, flat};
  const size_t before = b.function().instructions.size();
  EXPECT_EQ(PushForward(b, {f, f.instructions[flat], moving, flat}, none), kNoValue);
  EXPECT_EQ(PushForward(b, {f, f.instructions[flat], moving, flat}, moving), kNoValue);
  EXPECT_EQ(PushForward(b, {f, f.instructions[condition], operands, condition}, both), kNoValue);
  EXPECT_EQ(b.function().instructions.size(), before);
}

}  // namespace
}  // namespace costate

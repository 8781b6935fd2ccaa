// Reverse rules of the ops that are not elementwise: each is the transpose of its op.
#include "engine/autodiff/vjp_rules.h"

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

using Build = std::function<ValueId(FunctionBuilder&, ValueId)>;

// The matrix of a linear function of n elements from the left (reverse) and from the right (its
// values on unit vectors); small integers, so exactly equal.
void ExpectTranspose(int64_t n, const Build& build) {
  const Function f = FunctionOf(n, build);
  const Function vjp = VjpOf(f, {0}, false);
  const int64_t m = f.outputs[0].size;
  const std::vector<double> zeros(n, 0);
  for (int64_t j = 0; j < n; ++j) {
    std::vector<double> unit(n, 0);
    unit[j] = 1;
    const std::vector<double> column = Interpret(f, {unit})[0];
    for (int64_t i = 0; i < m; ++i) {
      std::vector<double> cotangent(m, 0);
      cotangent[i] = 1;
      EXPECT_EQ(Interpret(vjp, {zeros, cotangent})[0][j], column[i]) << i << ", " << j;
    }
  }
}

TEST(VjpRulesTest, StructuralOpsAreTransposed) {
  const auto matrix = [](FunctionBuilder& b, ValueId v) { return b.Reshape(v, {3, 4}); };
  const std::vector<Build> builds = {
      [&](auto& b, ValueId v) { return b.Sum(matrix(b, v)); },
      [&](auto& b, ValueId v) { return b.Sum(matrix(b, v), 0); },
      [&](auto& b, ValueId v) { return b.Sum(matrix(b, v), 1); },
      [&](auto& b, ValueId v) { return b.Transpose(matrix(b, v)); },
      [&](auto& b, ValueId v) { return b.BroadcastTo(matrix(b, v), {2, 3, 4}); },
      [&](auto& b, ValueId v) { return b.BroadcastTo(b.Reshape(v, {12, 1}), {12, 2}); },
      [&](auto& b, ValueId v) { return b.SumTo(matrix(b, v), {1, 4}); },
      [&](auto& b, ValueId v) { return b.SumTo(matrix(b, v), {4}); },
      [&](auto& b, ValueId v) { return b.SumTo(matrix(b, v), {3, 1}); },
      [&](auto& b, ValueId v) { return b.SumTo(matrix(b, v), {}); },
      [&](auto& b, ValueId v) { return b.Slice(matrix(b, v), {0, 3, 2, 1, 4, 2}); },
      [&](auto& b, ValueId v) { return b.Slice(matrix(b, v), {1, 2, 9, 1, 4, 1}); },
      [&](auto& b, ValueId v) { return b.Slice(b.Unary(Op::kNeg, v), {3, 7, 1}); },
      [&](auto& b, ValueId v) { return b.Pad(matrix(b, v), {1, 2, 0, 1}, {7, 4}); },
      [&](auto& b, ValueId v) { return b.Concat({matrix(b, v), matrix(b, v)}, 1); },
      [&](auto& b, ValueId v) {
        const ValueId part = b.Slice(matrix(b, v), {0, 1, 1, 0, 4, 1});
        return b.Concat({part, matrix(b, v), part}, 0);
      },
  };
  for (const Build& build : builds) ExpectTranspose(12, build);
}

Shape Matrix(int64_t rows, int64_t columns, bool transposed) {
  return transposed ? Shape{columns, rows} : Shape{rows, columns};
}

std::vector<double> Ramp(const Shape& shape) {
  std::vector<double> ramp(NumElements(shape));
  for (size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<double>(i) - 2;
  return ramp;
}

// Every mixture of ranks and flags, with respect to either factor.
TEST(VjpRulesTest, ProductsAreTransposed) {
  for (int flags = 0; flags < 16; ++flags) {
    const bool ta = flags & 1, tb = flags & 2;
    const bool a_vector = flags & 4, b_vector = flags & 8;
    if ((a_vector && ta) || (b_vector && tb)) continue;
    const Shape a = a_vector ? Shape{3} : Matrix(2, 3, ta);
    const Shape c = b_vector ? Shape{3} : Matrix(3, 4, tb);
    ExpectTranspose(NumElements(a), [&](FunctionBuilder& b, ValueId v) {
      return b.Matmul(b.Reshape(v, a), b.Constant(Ramp(c), c), ta, tb);
    });
    ExpectTranspose(NumElements(c), [&](FunctionBuilder& b, ValueId v) {
      return b.Matmul(b.Constant(Ramp(a), a), b.Reshape(v, c), ta, tb);
    });
  }
  const Shape two = {2};
  ExpectTranspose(3, [&](auto& b, ValueId v) { return b.Outer(b.Constant(Ramp(two), two), v); });
  ExpectTranspose(3, [&](auto& b, ValueId v) { return b.Outer(v, b.Constant(Ramp(two), two)); });
}

TEST(VjpRulesTest, ProductsUseFlagsAndNoTransposes) {
  for (bool ta : {false, true}) {
    for (bool tb : {false, true}) {
      FunctionBuilder b("f", {{"a", 6}, {"b", 12}}, {{"out", 8}});
      const ValueId left = b.Input(0, 0, Matrix(2, 3, ta));
      b.Result(b.Matmul(left, b.Input(1, 0, Matrix(3, 4, tb)), ta, tb), 0, 0);
      const Function vjp = VjpOf(std::move(b).Build(), {0, 1}, false);
      EXPECT_EQ(vjp.instructions.size(), 5);  // three reads, two products
    }
  }
}

TEST(VjpRulesTest, ScalarsOfElementwiseOpsAreSummed) {
  FunctionBuilder b("f", {{"s", 1}, {"v", 3}}, {{"out", 3}});
  const ValueId s = b.Input(0, 0, {});
  b.Result(b.Binary(Op::kMul, s, b.Input(1, 0, {3})), 0, 0);
  const Function vjp = VjpOf(std::move(b).Build(), {0}, false);
  EXPECT_EQ(vjp.instructions.back().op, Op::kSumTo);
  EXPECT_THAT(Interpret(vjp, {{9}, {1, 2, 3}, {1, 10, 100}})[0], ElementsAre(321));
}

TEST(VjpRulesTest, ARepeatedScalarIsCountedNotSummed) {
  FunctionBuilder b("f", {{"x", 1}}, {{"out", 1}});
  const ValueId x = b.Input(0, 0, {});
  const ValueId reduced = Reduce(b, b.BroadcastTo(x, {5, 4}), {});
  EXPECT_EQ(reduced, b.Binary(Op::kMul, x, b.Constant(20)));
  EXPECT_EQ(Reduce(b, x, {}), x);
}

}  // namespace
}  // namespace costate

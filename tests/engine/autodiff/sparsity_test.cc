// Patterns that are known, and patterns found by perturbing inputs.
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "engine/autodiff/autodiff.h"
#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/autodiff/derivative_checks.h"
#include "tests/engine/random_function.h"

namespace costate {
namespace {

using Rows = std::vector<std::set<int64_t>>;

Rows RowsOf(const SparsityPattern& pattern) {
  Rows rows(pattern.num_rows);
  for (int64_t i = 0; i < pattern.num_rows; ++i) {
    for (int64_t k = pattern.row_start[i]; k < pattern.row_start[i + 1]; ++k) {
      if (k > pattern.row_start[i]) {
        EXPECT_LT(pattern.columns[k - 1], pattern.columns[k]);
      }
      rows[i].insert(pattern.columns[k]);
    }
  }
  return rows;
}

Rows Sparsity(const Function& f, int input = 0, int output = 0) {
  const auto pattern = JacobianSparsity(f, input, output);
  EXPECT_TRUE(pattern.ok()) << pattern.status();
  return RowsOf(*pattern);
}

std::set<int64_t> Range(int64_t begin, int64_t end) {
  std::set<int64_t> range;
  for (int64_t i = begin; i < end; ++i) range.insert(i);
  return range;
}

Rows Tridiagonal(int64_t n) {
  Rows rows(n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = std::max<int64_t>(0, i - 1); j < std::min(n, i + 2); ++j) rows[i].insert(j);
  }
  return rows;
}

TEST(SparsityTest, TridiagonalOfScalars) {
  const int n = 200;
  FunctionBuilder b("heat", {{"y", n}}, {{"dy", n}});
  for (int i = 0; i < n; ++i) {
    ValueId flow = b.Unary(Op::kNeg, b.Input(0, i, {}));
    if (i > 0) flow = b.Binary(Op::kAdd, flow, b.Unary(Op::kTanh, b.Input(0, i - 1, {})));
    if (i + 1 < n) flow = b.Binary(Op::kAdd, flow, b.Input(0, i + 1, {}));
    b.Result(flow, 0, i);
  }
  EXPECT_EQ(Sparsity(std::move(b).Build()), Tridiagonal(n));
}

TEST(SparsityTest, TridiagonalOfSlices) {
  const int64_t n = 50;
  const Function f = FunctionOf(n, [](FunctionBuilder& b, ValueId y) {
    const ValueId left = b.Pad(b.Slice(y, {0, n - 1, 1}), {1, 1}, {n});
    const ValueId right = b.Pad(b.Slice(y, {1, n, 1}), {0, 1}, {n});
    return b.Binary(Op::kMul, b.Binary(Op::kAdd, left, right), y);
  });
  EXPECT_EQ(Sparsity(f), Tridiagonal(n));
}

TEST(SparsityTest, TridiagonalConstantMatrix) {
  const int64_t n = 20;
  const Function f = FunctionOf(n, [](FunctionBuilder& b, ValueId y) {
    std::vector<double> matrix(n * n, 0);
    const Rows rows = Tridiagonal(n);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j : rows[i]) matrix[i * n + j] = i == j ? -2 : 1;
    }
    return b.Matmul(b.Constant(matrix, {n, n}), y);
  });
  EXPECT_EQ(Sparsity(f), Tridiagonal(n));
}

TEST(SparsityTest, Arrow) {
  const int64_t n = 30;
  FunctionBuilder b("arrow", {{"y", n}}, {{"dy", n}});
  const ValueId y = b.Input(0, 0, {n});
  const ValueId head = b.Input(0, 0, {});
  b.Result(b.Sum(b.Binary(Op::kMul, y, y)), 0, 0);
  b.Result(b.Binary(Op::kMul, b.Input(0, 1, {n - 1}), head), 0, 1);
  Rows expected(n);
  expected[0] = Range(0, n);
  for (int64_t i = 1; i < n; ++i) expected[i] = {0, i};
  EXPECT_EQ(Sparsity(std::move(b).Build()), expected);
}

TEST(SparsityTest, DenseThroughANetwork) {
  FunctionBuilder b("net", {{"y", 2}, {"p", 100}}, {{"dy", 2}});
  const ValueId w1 = b.Input(1, 0, {10, 2});
  const ValueId w2 = b.Input(1, 20, {2, 10});
  const ValueId hidden = b.Unary(Op::kTanh, b.Matmul(w1, b.Input(0, 0, {2})));
  b.Result(b.Matmul(w2, hidden), 0, 0);
  const Function f = std::move(b).Build();
  EXPECT_EQ(Sparsity(f), (Rows{{0, 1}, {0, 1}}));
  // Row i sees all of w1 and row i of w2.
  std::set<int64_t> first = Range(0, 30);
  std::set<int64_t> second = Range(0, 20);
  second.merge(Range(30, 40));
  EXPECT_EQ(Sparsity(f, 1), (Rows{first, second}));
}

TEST(SparsityTest, ProductsOfMatricesAreRowExact) {
  // X [2, 3] @ Y [3, 2]' with X = x[0..6), Y' = x[6..12).
  const Function f = FunctionOf(12, [](FunctionBuilder& b, ValueId x) {
    return b.Matmul(b.Reshape(b.Slice(x, {0, 6, 1}), {2, 3}),
                    b.Reshape(b.Slice(x, {6, 12, 1}), {2, 3}), false, true);
  });
  EXPECT_EQ(
      Sparsity(f),
      (Rows{{0, 1, 2, 6, 7, 8}, {0, 1, 2, 9, 10, 11}, {3, 4, 5, 6, 7, 8}, {3, 4, 5, 9, 10, 11}}));
  const Function outer = FunctionOf(4, [](FunctionBuilder& b, ValueId x) {
    return b.Outer(b.Slice(x, {0, 2, 1}), b.Slice(x, {2, 4, 1}));
  });
  EXPECT_EQ(Sparsity(outer), (Rows{{0, 2}, {0, 3}, {1, 2}, {1, 3}}));
}

TEST(SparsityTest, DisjointBuffersAndFlatOps) {
  FunctionBuilder b("f", {{"x", 2}, {"p", 1}}, {{"out", 3}, {"other", 1}});
  const ValueId x = b.Input(0, 0, {});
  b.Result(b.Input(1, 0, {}), 0, 0);
  b.Result(b.Select(b.Binary(Op::kLt, x, b.Constant(1)), b.Input(0, 1, {}), b.Unary(Op::kSign, x)),
           0, 1);
  b.Result(b.Unary(Op::kFloor, x), 0, 2);
  b.Result(x, 1, 0);
  const Function f = std::move(b).Build();
  EXPECT_EQ(Sparsity(f, 0, 0), (Rows{{}, {1}, {}}));
  EXPECT_EQ(Sparsity(f, 1, 0), (Rows{{0}, {}, {}}));
  EXPECT_EQ(Sparsity(f, 0, 1), (Rows{{0}}));
  EXPECT_EQ(Sparsity(f, 1, 1), (Rows{{}}));
}

TEST(SparsityTest, StructuralOpsMoveSets) {
  const Function f = FunctionOf(6, [](FunctionBuilder& b, ValueId x) {
    const ValueId matrix = b.Reshape(x, {2, 3});
    const ValueId transposed = b.Transpose(matrix);                                  // [3, 2]
    const ValueId rows = b.Sum(matrix, 1);                                           // [2]
    const ValueId columns = b.SumTo(matrix, {1, 3});                                 // [1, 3]
    const ValueId repeated = b.BroadcastTo(rows, {3, 2});                            // [3, 2]
    const ValueId both = b.Concat({transposed, repeated, b.Transpose(columns)}, 1);  // [3, 5]
    return b.Slice(both, {0, 3, 2, 1, 5, 1});  // rows 0, 2; columns 1-4
  });
  EXPECT_EQ(Sparsity(f),
            (Rows{{3}, {0, 1, 2}, {3, 4, 5}, {0, 3}, {5}, {0, 1, 2}, {3, 4, 5}, {2, 5}}));
}

// Whatever changes when an input element moves is in the pattern.
TEST(SparsityTest, CoversWhatDerivativesSee) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const Function f = RandomFunction(seed, {});
    const Function jvp = JvpOf(f, {1}, false);
    const Buffers x = RandomInputs(f, seed);
    const Rows rows = Sparsity(f, 1, 0);
    for (int64_t j = 0; j < f.inputs[1].size; ++j) {
      std::vector<double> direction(f.inputs[1].size, 0);
      direction[j] = 1;
      const std::vector<double> column = Interpret(jvp, Joined(x, {direction}))[0];
      for (size_t i = 0; i < column.size(); ++i) {
        if (column[i] != 0) {
          EXPECT_EQ(rows[i].count(j), 1) << "seed " << seed;
        }
      }
    }
  }
}

TEST(SparsityTest, RefusesWhatIsTooLarge) {
  const int64_t n = 10'000;  // dense: 10^8 entries
  const Function f =
      FunctionOf(n, [](FunctionBuilder& b, ValueId x) { return b.Binary(Op::kMul, x, b.Sum(x)); });
  EXPECT_EQ(JacobianSparsity(f, 0, 0).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(JacobianSparsity(f, 1, 0).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace costate

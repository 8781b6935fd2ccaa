// Compressed Jacobians against columns made one by one.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/autodiff/autodiff.h"
#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/autodiff/derivative_checks.h"
#include "tests/engine/random_function.h"

namespace costate {
namespace {

SparseJacobian JacobianOf(const Function& f, int input, int output) {
  auto jacobian = Jacobian(f, input, output);
  EXPECT_TRUE(jacobian.ok()) << jacobian.status();
  EXPECT_TRUE(VerifyFunction(jacobian->function).ok()) << VerifyFunction(jacobian->function);
  return *std::move(jacobian);
}

// [rows, columns], row-major, from the sparse values and from unit tangents.
void CompareWithColumns(const Function& f, int input, int output, const Buffers& x,
                        const std::string& where) {
  const SparseJacobian jacobian = JacobianOf(f, input, output);
  const int64_t rows = f.outputs[output].size;
  const int64_t columns = f.inputs[input].size;
  std::vector<double> sparse(rows * columns, 0);
  const std::vector<double> values = Interpret(jacobian.function, x)[0];
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t k = jacobian.pattern.row_start[i]; k < jacobian.pattern.row_start[i + 1]; ++k) {
      sparse[i * columns + jacobian.pattern.columns[k]] = values[k];
    }
  }
  std::vector<double> dense(rows * columns, 0);
  const Function jvp = JvpOf(f, {input}, false);
  for (int64_t j = 0; j < columns; ++j) {
    std::vector<double> direction(columns, 0);
    direction[j] = 1;
    const std::vector<double> column = Interpret(jvp, Joined(x, {direction}))[output];
    for (int64_t i = 0; i < rows; ++i) dense[i * columns + j] = column[i];
  }
  ExpectClose({sparse}, {dense}, 1e-12, where);
}

TEST(JacobianTest, AgreesWithColumnsOnRandomFunctions) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const Function f = RandomFunction(seed, {15, seed % 2 == 0, true});
    const Buffers x = RandomInputs(f, seed);
    CompareWithColumns(f, 1, 0, x, absl::StrCat("seed ", seed));
    CompareWithColumns(f, 2, 1, x, absl::StrCat("seed ", seed));
  }
}

TEST(JacobianTest, ThreeTangentsForATridiagonalSystem) {
  const int n = 1000;
  FunctionBuilder b("heat", {{"y", n}}, {{"dy", n}});
  for (int i = 0; i < n; ++i) {
    const ValueId left = b.Input(0, std::max(i - 1, 0), {});
    const ValueId right = b.Input(0, std::min(i + 1, n - 1), {});
    b.Result(b.Binary(Op::kMul, b.Binary(Op::kAdd, left, right), b.Input(0, i, {})), 0, i);
  }
  const Function f = std::move(b).Build();
  const SparseJacobian jacobian = JacobianOf(f, 0, 0);
  EXPECT_EQ(*std::max_element(jacobian.colours.begin(), jacobian.colours.end()), 2);
  EXPECT_EQ(jacobian.pattern.columns.size(), 3 * n - 2);
  EXPECT_LE(jacobian.function.instructions.size(), 3 * f.instructions.size());
  std::vector<double> y(n);
  for (int i = 0; i < n; ++i) y[i] = std::sin(i);
  const std::vector<double> values = Interpret(jacobian.function, {y})[0];
  for (int i = 1; i + 1 < n; ++i) {
    const int64_t k = jacobian.pattern.row_start[i];
    EXPECT_EQ(values[k], y[i]);
    EXPECT_EQ(values[k + 1], y[i - 1] + y[i + 1]);
    EXPECT_EQ(values[k + 2], y[i]);
  }
}

TEST(JacobianTest, DenseTensorSystemsStayTensors) {
  const int64_t n = 40;
  FunctionBuilder b("net", {{"y", n}, {"p", n * n}}, {{"dy", n}});
  b.Result(b.Unary(Op::kTanh, b.Matmul(b.Input(1, 0, {n, n}), b.Input(0, 0, {n}))), 0, 0);
  const Function f = std::move(b).Build();
  const SparseJacobian jacobian = JacobianOf(f, 0, 0);
  EXPECT_EQ(jacobian.function.results.size(), 1);
  EXPECT_LE(jacobian.function.instructions.size(), 10 * n);
  CompareWithColumns(f, 0, 0, RandomBuffers(f.inputs, 1), "network");
}

TEST(JacobianTest, EmptyPatternGivesAnEmptyFunction) {
  FunctionBuilder b("f", {{"x", 2}, {"p", 1}}, {{"out", 1}});
  b.Result(b.Input(1, 0, {}), 0, 0);
  const SparseJacobian jacobian = JacobianOf(std::move(b).Build(), 0, 0);
  EXPECT_TRUE(jacobian.pattern.columns.empty());
  EXPECT_TRUE(jacobian.function.instructions.empty());
}

TEST(JacobianTest, CanBeDifferentiated) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const Function f = JacobianOf(RandomFunction(seed, {6, true, false}), 1, 0).function;
    const Buffers x = RandomInputs(f, seed);
    const Buffers dx = RandomBuffers(f.inputs, seed);
    const Buffers out = Interpret(JvpOf(f, AllInputs(f), false), Joined(x, dx));
    ExpectClose(out, DirectionalDifference(f, x, AllInputs(f), dx), 1e-5,
                absl::StrCat("seed ", seed));
  }
}

}  // namespace
}  // namespace costate

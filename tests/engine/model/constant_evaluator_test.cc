// Constant expressions against the interpreter: the value of a default is the value the same
// expression has in a function.
#include "engine/model/constant_evaluator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "engine/model/model.h"

namespace costate {
namespace {

class ConstantTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ConstantTest, HasTheValueOfTheInterpreter) {
  const std::string text = "param a[3] = " + GetParam() + "\nlet value = " + GetParam() +
                           "\nstate x[3] = value\nx' = 0\n";
  const ParsedModel parsed = ParseModel(text);
  ASSERT_TRUE(parsed.ok()) << FormatIssues("text", text, parsed.issues);
  const std::vector<double> expected = Interpret(parsed.ir.init, {{0.0}, {0, 0, 0}})[0];
  EXPECT_EQ(parsed.ir.params[0].defaults, expected);
}

INSTANTIATE_TEST_SUITE_P(
    Expressions, ConstantTest,
    ::testing::Values(
        "[1, 2, 3]", "2^0.3", "[1, 2, 3]^3 - [4, 5, 6]^-2", "exp([0.1, 0.2, 0.3])",
        "expm1(0.1) + log(2) + log1p(0.3) + sqrt(2) + abs(-3) + sign(-2) + floor(2.5)",
        "sin(1) + cos(1) + tan(1) + asin(0.5) + acos(0.5) + atan(0.5) + atan2(1, 2)",
        "sinh(1) + cosh(1) + tanh(1) + asinh(1) + acosh(2) + atanh(0.5) + erf(0.3)",
        "sigmoid([-3, 0, 3])", "softplus([-3, 0, 3])", "min([1, 5, 3], 2)",
        "max([1, 5, 3], [4, 1, 3])", "if [1, 5, 3] > 2 then 1 else [7, 8, 9]",
        "if not ([1, 5, 3] <= 2 and 1 != 2 or 3 == 4) then 1 else 0", "linspace(0, 1, 7)[::3]",
        "[[1, 2], [3, 4], [5, 6]].T[1]", "concat([1, 2], 3)", "roll([1, 2, 3], 1)",
        "reshape([[1, 2, 3]], 3)", "[[1, 2, 3]] [0] + sum([[1, 2], [3, 4]])", "ones(3)*pi",
        "([[1], [2]] + [1, 2, 3])[1]", "norm([3, 4])", "mod(-7, 3)", "cbrt(-27)"));

TEST(ConstantEvaluatorTest, ValuesAreSharedAndLongChainsAreFine) {
  FunctionBuilder b("constants", {}, {});
  ConstantEvaluator evaluator(&b.function());
  ValueId x = b.Unary(Op::kSin, b.Constant(1.0));
  double expected = std::sin(1.0);
  for (int i = 0; i < 100000; ++i) {
    x = b.Binary(Op::kAdd, x, b.Unary(Op::kCos, x));
    expected += std::cos(expected);
  }
  const auto value = evaluator.Evaluate(x);
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(**value, std::vector<double>({expected}));
}

TEST(ConstantEvaluatorTest, ProductsAreRefused) {
  FunctionBuilder b("constants", {}, {});
  ConstantEvaluator evaluator(&b.function());
  const ValueId v = b.Constant({1, 2}, {2});
  EXPECT_EQ(evaluator.Evaluate(b.Matmul(v, v)).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace costate

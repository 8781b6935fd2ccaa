// Expressions outside of a model, evaluated by hand.
#include "engine/expression_scope.h"

#include <memory>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "engine/interpreter/interpreter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ExpressionScope Scope(bool packed) {
  ExpressionScope scope;
  scope.names = {{"u", {2}, false, 0, ""},
                 {"v", {}, false, 2, ""},
                 {"p", {}, true, 0, ""},
                 {"q", {2}, true, 1, ""},
                 {"w", {}, false, 3, "'w' is two things"}};
  scope.num_values = 4;
  scope.num_params = 3;
  scope.packed = packed;
  return scope;
}

double Evaluate(const ScalarExpression& expression, double t, std::vector<double> y,
                std::vector<double> p) {
  const std::unique_ptr<Evaluator> interpreter = MakeInterpreter();
  const Kernel kernel = interpreter->Build(expression.function, {}).value();
  std::vector<double> scratch(kernel.scratch_size());
  double value = 0;
  const double* const inputs[] = {&t, y.data(), p.data()};
  double* const outputs[] = {&value};
  kernel(inputs, outputs, scratch.data());
  return value;
}

std::string MessageOf(const std::string& text) {
  const auto result = CompileScalarExpression(text, Scope(false), "f", 1);
  return result.ok() ? "compiled" : std::string(result.status().message());
}

TEST(ScalarExpression, ReadsEveryBuffer) {
  const auto expression = CompileScalarExpression("t + 10*v + sum(u*q)", Scope(false), "f", 1);
  ASSERT_TRUE(expression.ok()) << expression.status();
  EXPECT_EQ(Evaluate(*expression, 0.5, {1, 2, 3, 4}, {9, 100, 1000}), 0.5 + 30 + 100 + 2000);
  EXPECT_FALSE(expression->uses_params);
}

TEST(ScalarExpression, PacksWhatIsUsed) {
  ExpressionScope scope = Scope(true);
  scope.time = static_cast<int>(scope.names.size());
  scope.names.push_back({"t", {3}, false, 0, ""});
  const auto expression = CompileScalarExpression("p*v + t[2]", scope, "f", 1);
  ASSERT_TRUE(expression.ok()) << expression.status();
  EXPECT_THAT(expression->packed_names, ElementsAre(1, 5));  // v, t
  EXPECT_EQ(expression->function.inputs[1].size, 4);
  EXPECT_EQ(Evaluate(*expression, 0, {5, 10, 20, 30}, {2, 0, 0}), 40);
  EXPECT_TRUE(expression->uses_params);
}

TEST(ScalarExpression, GoesOverSeveralLines) {
  const auto expression =
      CompileScalarExpression("\n  v +  # a remark\n  p\n", Scope(false), "f", 1);
  ASSERT_TRUE(expression.ok()) << expression.status();
  EXPECT_EQ(Evaluate(*expression, 0, {0, 0, 3, 0}, {4, 0, 0}), 7);
}

TEST(ScalarExpression, RefusesWithAPlaceInTheText) {
  EXPECT_THAT(MessageOf("v + vv2"), HasSubstr("f: expression:1:5: error: unknown name 'vv2'"));
  EXPECT_THAT(MessageOf("w"), HasSubstr("1:1: error: 'w' is two things"));
  EXPECT_THAT(MessageOf("u"), HasSubstr("shape [2]"));
  EXPECT_THAT(MessageOf("v < 1"), HasSubstr("got a condition"));
  EXPECT_THAT(MessageOf(""), HasSubstr("empty"));
  EXPECT_THAT(MessageOf("v\nv"), HasSubstr("2:1"));
  EXPECT_THAT(MessageOf("param z = 1"), HasSubstr("1:1: error"));
  EXPECT_THAT(MessageOf("v = 2"), HasSubstr("'=' inside an expression"));
  EXPECT_THAT(MessageOf("foo(v)"), HasSubstr("unknown function 'foo'"));
  EXPECT_THAT(MessageOf("sum(u + [1, 2, 3])"), HasSubstr("[3]"));
  EXPECT_THAT(MessageOf(std::string(400, '(') + "v" + std::string(400, ')')),
              HasSubstr("nested deeper"));
  EXPECT_THAT(MessageOf("v + \x01"), HasSubstr("1:5"));
}

}  // namespace
}  // namespace costate

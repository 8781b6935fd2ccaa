// Expansion of calls and its bounds. Values are in lower_test and builtins_test.
#include "engine/model/expression_lowering.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/base/limits.h"
#include "engine/model/model.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

std::string CallChain(int length) {
  std::string text = "fun f0(v) = v\n";
  for (int i = 1; i < length; ++i) {
    text += "fun f" + std::to_string(i) + "(v) = f" + std::to_string(i - 1) + "(v) + 1\n";
  }
  return text + "state x = 1\nx' = f" + std::to_string(length - 1) + "(x)\n";
}

TEST(ExpressionLoweringTest, CallsNestUpToTheLimit) {
  EXPECT_TRUE(ParseModel(CallChain(limits::kMaxNestingDepth)).ok());
  const ParsedModel parsed = ParseModel(CallChain(limits::kMaxNestingDepth + 1));
  ASSERT_EQ(parsed.issues.size(), 1);
  EXPECT_THAT(parsed.issues[0].message, HasSubstr("nested deeper"));
}

TEST(ExpressionLoweringTest, FunctionBodyIsReportedOnceWithTheFirstCall) {
  const ParsedModel parsed = ParseModel(
      "fun f(a, b) = a + b\nstate y[2] = 0\nstate z[3] = 0\ny' = f(y, z)\nz' = f(z, y)\n");
  ASSERT_EQ(parsed.issues.size(), 1);
  EXPECT_EQ(parsed.issues[0].location.line, 1);
  EXPECT_EQ(parsed.issues[0].hint, "in the call of 'f' at 4:6");
}

TEST(ExpressionLoweringTest, ValuesWithIssuesStaySilent) {
  const ParsedModel parsed = ParseModel(
      "state y[2] = 0\nlet bad = y + [1, 2, 3]\nlet worse = bad @ bad\nlet worst = worse[7]\n"
      "y' = if worst then bad else sin(worst, 1)\n");
  ASSERT_EQ(parsed.issues.size(), 2);  // the sum, and the argument count of sin
  EXPECT_EQ(parsed.issues[0].location.line, 2);
  EXPECT_EQ(parsed.issues[1].location.line, 5);
}

TEST(ExpressionLoweringTest, LetsNoOneUsesAreChecked) {
  EXPECT_EQ(ParseModel("state x = 1\nx' = 1\nlet a = [1, 2] + [1, 2, 3]\n").issues.size(), 1);
}

TEST(ExpressionLoweringTest, LetsOfInitialValuesSeeTheStartTime) {
  const ParsedModel parsed = ParseModel("let a = 2*t\nstate x = a\nx' = a\n");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.ir.init.instructions.size(), 3);
}

}  // namespace
}  // namespace costate

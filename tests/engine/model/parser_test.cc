// Statements, their ends, and recovery.
#include "engine/model/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/engine/model/syntax_text.h"

namespace costate {
namespace {

Syntax Parse(std::string_view text, std::vector<Issue>* issues) {
  IssueList list;
  Syntax syntax = ParseSyntax(text, &list);
  *issues = list.Take();
  return syntax;
}

TEST(ParserTest, ReadsEveryStatement) {
  std::vector<Issue> issues;
  const Syntax syntax = Parse(
      "model m\nparam b = 1.66 in [0, 10]\nparam W[50, 2]\nstate y[2] = [2, 0]\n"
      "let n = 2\nfun f(v, c) = v + c\ny' = f(y, n)\noutput e = y[0]\noutput y\n",
      &issues);
  ASSERT_TRUE(issues.empty()) << issues[0].message;
  EXPECT_EQ(syntax.names[syntax.model_name], "m");
  ASSERT_EQ(syntax.params.size(), 2);
  EXPECT_EQ(ExpressionText(syntax, syntax.params[0].value), "1.66");
  EXPECT_EQ(ExpressionText(syntax, syntax.params[0].lower), "0");
  EXPECT_EQ(ExpressionText(syntax, syntax.params[0].upper), "10");
  ASSERT_EQ(syntax.params[1].extents.size(), 2);
  EXPECT_EQ(ExpressionText(syntax, syntax.params[1].extents[0]), "50");
  EXPECT_TRUE(syntax.params[1].value.empty());
  ASSERT_EQ(syntax.states.size(), 1);
  EXPECT_EQ(ExpressionText(syntax, syntax.states[0].value), "[2 0]");
  ASSERT_EQ(syntax.funs.size(), 1);
  EXPECT_EQ(syntax.funs[0].arguments.size(), 2);
  ASSERT_EQ(syntax.equations.size(), 1);
  EXPECT_EQ(ExpressionText(syntax, syntax.equations[0].value), "(call f y n)");
  ASSERT_EQ(syntax.outputs.size(), 2);
  EXPECT_FALSE(syntax.outputs[0].by_name);
  EXPECT_TRUE(syntax.outputs[1].by_name);
  EXPECT_EQ(syntax.params[0].location.line, 2);
  EXPECT_EQ(syntax.params[0].location.column, 7);
}

TEST(ParserTest, SemicolonsSeparateStatements) {
  std::vector<Issue> issues;
  const Syntax syntax = Parse(";;param a = 1; param b = 2 ;\n;let c = a;", &issues);
  EXPECT_TRUE(issues.empty());
  EXPECT_EQ(syntax.params.size(), 2);
  EXPECT_EQ(syntax.lets.size(), 1);
}

TEST(ParserTest, OneIssuePerStatementAndTheNextIsRead) {
  std::vector<Issue> issues;
  const Syntax syntax = Parse("param a = * * *\nparam b = )(\nparam c = 1\n", &issues);
  ASSERT_EQ(issues.size(), 2);
  EXPECT_EQ(issues[0].location.line, 1);
  EXPECT_EQ(issues[1].location.line, 2);
  ASSERT_EQ(syntax.params.size(), 3);
  EXPECT_TRUE(syntax.params[0].broken);
  EXPECT_TRUE(syntax.params[1].broken);
  EXPECT_FALSE(syntax.params[2].broken);
}

TEST(ParserTest, UnclosedBracketEndsAtTheNextStatement) {
  for (const std::string next : {"y' = 1", "param p = 1", "k = 2", "event e"}) {
    std::vector<Issue> issues;
    Parse("x' = f(1, [2, 3\n" + next + "\n", &issues);
    ASSERT_FALSE(issues.empty());
    EXPECT_EQ(issues[0].message, "'[' is never closed") << next;
    EXPECT_EQ(issues[0].location.column, 11);
  }
}

TEST(ParserTest, EquationLostInABrokenStatementCounts) {
  std::vector<Issue> issues;
  const Syntax syntax = Parse("x' = (1; y' = 2\n", &issues);
  ASSERT_EQ(issues.size(), 1);
  ASSERT_EQ(syntax.equations.size(), 2);
  EXPECT_EQ(syntax.names[syntax.equations[1].name], "y");
  EXPECT_TRUE(syntax.equations[1].broken);
}

}  // namespace
}  // namespace costate

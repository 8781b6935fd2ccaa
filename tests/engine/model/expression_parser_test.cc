// Expressions as trees, and the limit of nesting.
#include "engine/model/expression_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "engine/base/limits.h"
#include "engine/model/parser.h"
#include "tests/engine/model/syntax_text.h"

namespace costate {
namespace {

struct ExpressionCase {
  std::string text;
  std::string tree;
};

class ExpressionTest : public ::testing::TestWithParam<ExpressionCase> {};

TEST_P(ExpressionTest, HasItsTree) {
  IssueList issues;
  const std::string text = "let v = " + GetParam().text;
  const Syntax syntax = ParseSyntax(text, &issues);
  for (const Issue& issue : issues.Take()) ADD_FAILURE() << issue.message;
  ASSERT_EQ(syntax.lets.size(), 1);
  EXPECT_EQ(ExpressionText(syntax, syntax.lets[0].value), GetParam().tree);
}

INSTANTIATE_TEST_SUITE_P(
    Precedence, ExpressionTest,
    ::testing::Values(
        ExpressionCase{"a + b*c", "(+ a (* b c))"}, ExpressionCase{"a - b - c", "(- (- a b) c)"},
        ExpressionCase{"a/b/c*d", "(* (/ (/ a b) c) d)"}, ExpressionCase{"-a^2", "(neg (^ a 2))"},
        ExpressionCase{"(-a)^2", "(^ (neg a) 2)"}, ExpressionCase{"a^b^c", "(^ a (^ b c))"},
        ExpressionCase{"a^-b^c", "(^ a (neg (^ b c)))"}, ExpressionCase{"-a*b", "(* (neg a) b)"},
        ExpressionCase{"a*-b", "(* a (neg b))"}, ExpressionCase{"- - + a", "(neg (neg a))"},
        ExpressionCase{"W @ x + b", "(+ (@ W x) b)"}, ExpressionCase{"a*b @ c", "(@ (* a b) c)"},
        ExpressionCase{"W @ y^3", "(@ W (^ y 3))"}, ExpressionCase{"a < b + c", "(< a (+ b c))"},
        ExpressionCase{"not a < b and c > d or e == f",
                       "(or (and (not (< a b)) (> c d)) (== e f))"},
        ExpressionCase{"not not a", "(not (not a))"},
        ExpressionCase{"a and not b", "(and a (not b))"},
        ExpressionCase{"a >= b or c <= d and e != f", "(or (>= a b) (and (<= c d) (!= e f)))"}));

INSTANTIATE_TEST_SUITE_P(
    Conditionals, ExpressionTest,
    ::testing::Values(ExpressionCase{"if a then b else c", "(if a b c)"},
                      ExpressionCase{"if a then b else if c then d else e", "(if a b (if c d e))"},
                      ExpressionCase{"if a then if b then c else d else e", "(if a (if b c d) e)"},
                      ExpressionCase{"1 + if a then b else c + 2", "(+ 1 (if a b (+ c 2)))"},
                      ExpressionCase{"(if a then b else c)*2", "(* (if a b c) 2)"}));

INSTANTIATE_TEST_SUITE_P(
    Suffixes, ExpressionTest,
    ::testing::Values(ExpressionCase{"f(a, b + 1)", "(call f a (+ b 1))"},
                      ExpressionCase{"f(a,)", "(call f a)"}, ExpressionCase{"y[3]", "(index y 3)"},
                      ExpressionCase{"y[-1]", "(index y (neg 1))"},
                      ExpressionCase{"y[1:4]", "(index y (slice 1 4 _))"},
                      ExpressionCase{"y[:]", "(index y (slice _ _ _))"},
                      ExpressionCase{"y[::2]", "(index y (slice _ _ 2))"},
                      ExpressionCase{"y[0:10:2]", "(index y (slice 0 10 2))"},
                      ExpressionCase{"W[0, :]", "(index W 0 (slice _ _ _))"},
                      ExpressionCase{"W[0][1]", "(index (index W 0) 1)"},
                      ExpressionCase{"W.T @ y", "(@ (T W) y)"},
                      ExpressionCase{"-W.T[0]^2", "(neg (^ (index (T W) 0) 2))"},
                      ExpressionCase{"[a, [1, 2][0]]", "[a (index [1 2] 0)]"},
                      ExpressionCase{"[[1, 2], [3, 4],]", "[[1 2] [3 4]]"}));

INSTANTIATE_TEST_SUITE_P(Lines, ExpressionTest,
                         ::testing::Values(ExpressionCase{"a +\n b", "(+ a b)"},
                                           ExpressionCase{"a\n + b", "(+ a b)"},
                                           ExpressionCase{"a\n\n # between\n - b", "(- a b)"},
                                           ExpressionCase{"(a\n+ b\n)", "(+ a b)"},
                                           ExpressionCase{"f(a,\n\n b)", "(call f a b)"},
                                           ExpressionCase{"\n a", "a"},
                                           ExpressionCase{"if a\n then b\n else c", "(if a b c)"},
                                           ExpressionCase{"a\n and b", "(and a b)"},
                                           ExpressionCase{"[1,\n 2\n]", "[1 2]"}));

Syntax Parse(std::string_view text, std::vector<Issue>* issues) {
  IssueList list;
  Syntax syntax = ParseSyntax(text, &list);
  *issues = list.Take();
  return syntax;
}

std::string Repeat(const std::string& part, int64_t times) {
  std::string text;
  for (int64_t i = 0; i < times; ++i) text += part;
  return text;
}

TEST(ExpressionParserTest, NestingIsRefusedJustPastTheLimit) {
  // The expression itself is a level.
  for (const auto& [open, middle, close] : std::vector<std::array<std::string, 3>>{
           {"(", "x", ")"}, {"f(", "x", ")"}, {"[", "x", "]"}, {"if c then ", "x", " else y"}}) {
    for (const bool past : {false, true}) {
      const int64_t levels = limits::kMaxNestingDepth - 1 + (past ? 1 : 0);
      std::vector<Issue> issues;
      Parse("let v = " + Repeat(open, levels) + middle + Repeat(close, levels), &issues);
      EXPECT_EQ(issues.size(), past ? 1 : 0) << open;
      if (past && !issues.empty()) {
        EXPECT_THAT(issues[0].message, ::testing::HasSubstr("nested deeper"));
      }
    }
  }
}

TEST(ExpressionParserTest, ChainsAreNotNesting) {
  for (const std::string& text : {Repeat("x + ", 100000) + "x", Repeat("-", 100000) + "x",
                                  "if c then 1 " + Repeat("else if c then 1 ", 50000) + "else 2",
                                  "x > 1" + Repeat(" and x > 1", 50000),
                                  Repeat("not ", 50000) + "c", "x" + Repeat("[0]", 50000)}) {
    std::vector<Issue> issues;
    const Syntax syntax = Parse("let v = " + text, &issues);
    EXPECT_TRUE(issues.empty()) << text.substr(0, 20);
    EXPECT_GE(syntax.nodes.size(), 50000);
  }
}

TEST(ExpressionParserTest, OperandsPrecedeTheirUsers) {
  std::vector<Issue> issues;
  const Syntax syntax = Parse(
      "let v = if a < [1, f(2)][0] then W[0, 1:] @ x else -y^2 + (if b then 1 else 2)", &issues);
  ASSERT_TRUE(issues.empty());
  const Expression& value = syntax.lets[0].value;
  for (NodeId id = value.first; id <= value.root; ++id) {
    for (int i = 0; i < syntax.nodes[id].num_children; ++i) {
      EXPECT_LT(syntax.child(syntax.nodes[id], i), id);
      EXPECT_GE(syntax.child(syntax.nodes[id], i), value.first);
    }
  }
}

}  // namespace
}  // namespace costate

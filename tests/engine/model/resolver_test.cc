// What names stand for. The messages are in the corpus (tests/golden/models/bad).
#include "engine/model/resolver.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/model/parser.h"

namespace costate {
namespace {

class ResolverTest : public ::testing::Test {
 protected:
  void Resolve(const std::string& text) {
    text_ = text;
    IssueList issues;
    syntax_ = ParseSyntax(text_, &issues);
    ResolveNames(&syntax_, &issues);
    issues_ = issues.Take();
  }

  const Node& Root(const Expression& expression) { return syntax_.nodes[expression.root]; }

  std::string text_;
  Syntax syntax_;
  std::vector<Issue> issues_;
};

TEST_F(ResolverTest, EveryKindOfName) {
  Resolve(
      "output o1 = a\noutput o2 = b\noutput o3 = c\noutput o4 = t\noutput o5 = pi\n"
      "output o6 = f(1)\noutput o7 = sin(1)\noutput b\n"
      "fun f(a) = a\nparam z = 1\nparam a = 1\nstate b = 1\nlet c = 1\nb' = 1\n");
  ASSERT_TRUE(issues_.empty()) << issues_[0].message;
  const RefKind expected[] = {RefKind::kParam,   RefKind::kState,    RefKind::kLet,
                              RefKind::kTime,    RefKind::kConstant, RefKind::kFun,
                              RefKind::kBuiltin, RefKind::kState};
  for (size_t i = 0; i < syntax_.outputs.size(); ++i) {
    EXPECT_EQ(Root(syntax_.outputs[i].value).ref, expected[i]) << i;
  }
  EXPECT_EQ(Root(syntax_.outputs[0].value).target, 1);  // the second param
  EXPECT_EQ(Root(syntax_.funs[0].value).ref, RefKind::kArgument);
  EXPECT_EQ(syntax_.states[0].equation, 0);
}

TEST_F(ResolverTest, DeclarationsHideConstantsAndNotFunctions) {
  Resolve("param pi = 3\nparam max = 1\nstate x = 1\nx' = max(pi, max)\n");
  ASSERT_TRUE(issues_.empty()) << issues_[0].message;
  const Node& call = Root(syntax_.equations[0].value);
  EXPECT_EQ(call.ref, RefKind::kBuiltin);
  EXPECT_EQ(syntax_.nodes[syntax_.child(call, 0)].ref, RefKind::kParam);
  EXPECT_EQ(syntax_.nodes[syntax_.child(call, 1)].ref, RefKind::kParam);
}

TEST_F(ResolverTest, BrokenDeclarationsCauseNoFurtherIssues) {
  for (const std::string text :
       {"param a = )", "param a = 1 2", "let a = (", "fun a(x = 1", "a = 3", "event a",
        "parm a = 1", "state a = 1 1; a' = 0", "state a; a' = 1", "a' = 0"}) {
    Resolve(text + "\nstate x = 1\nx' = a + a\noutput o = a\nlet b = a\n");
    EXPECT_EQ(issues_.size(), 1) << text;
  }
}

TEST_F(ResolverTest, ABrokenEquationIsNotMissing) {
  for (const std::string equation : {"x' = )", "x' = (1", "x' 3", "x = 1", "dx/dt = 1", "x'' = 1",
                                     "x[0]' = 1", "let a = (1; x' = 2"}) {
    Resolve("state x = 1\n" + equation + "\n");
    EXPECT_EQ(issues_.size(), 1) << equation;
  }
}

}  // namespace
}  // namespace costate

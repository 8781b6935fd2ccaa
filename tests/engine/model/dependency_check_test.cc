// What may depend on what. The messages are in the corpus (tests/golden/models/bad).
#include <gtest/gtest.h>

#include <string>

#include "engine/model/parser.h"
#include "engine/model/resolver.h"

namespace costate {
namespace {

size_t NumIssues(const std::string& declarations) {
  const std::string text = declarations + "\nstate x = 1\nx' = 1\n";
  IssueList issues;
  Syntax syntax = ParseSyntax(text, &issues);
  ResolveNames(&syntax, &issues);
  EXPECT_TRUE(issues.empty()) << declarations;
  CheckDependencies(&syntax, &issues);
  return issues.Take().size();
}

TEST(CheckDependenciesTest, DefaultsBoundsAndExtentsAreConstant) {
  for (const std::string value : {"2", "pi", "sin(1)", "c", "f(2)"}) {
    const std::string lets = "let c = d + 1\nlet d = 2\nfun f(v) = v*c\n";
    EXPECT_EQ(NumIssues(lets + "param a = " + value), 0);
    EXPECT_EQ(NumIssues(lets + "param a in [0, " + value + "]"), 0);
    EXPECT_EQ(NumIssues(lets + "param a[" + value + "]"), 0);
  }
  for (const std::string value : {"x", "t", "k", "c", "f(2)", "f(k)"}) {
    const std::string lets = "param k = 1\nlet c = d + 1\nlet d = 2*k\nfun f(v) = v*c\n";
    EXPECT_EQ(NumIssues(lets + "param a = " + value), 1) << value;
    EXPECT_EQ(NumIssues(lets + "param a in [" + value + ", 3]"), 1) << value;
    EXPECT_EQ(NumIssues(lets + "param a in [0, " + value + "]"), 1) << value;
    EXPECT_EQ(NumIssues(lets + "param a[" + value + "]"), 1) << value;
    EXPECT_EQ(NumIssues(lets + "state a[" + value + "] = 0; a' = 0"), 1) << value;
  }
}

TEST(CheckDependenciesTest, InitialValuesDoNotDependOnStates) {
  const std::string lets =
      "param k = 1\nlet c = k*t\nlet n = x + 1\nfun f(v) = v*c\nfun g(v) = v*n\n";
  for (const std::string value : {"k", "t", "c", "f(k)"}) {
    EXPECT_EQ(NumIssues(lets + "state a = " + value + "; a' = 0"), 0) << value;
  }
  for (const std::string value : {"x", "n", "f(x)", "g(k)", "1 + 2*n"}) {
    EXPECT_EQ(NumIssues(lets + "state a = " + value + "; a' = 0"), 1) << value;
  }
}

TEST(CheckDependenciesTest, CyclesAreOneIssueEach) {
  EXPECT_EQ(NumIssues("let a = a"), 1);
  EXPECT_EQ(NumIssues("let a = b; let b = c; let c = a"), 1);
  EXPECT_EQ(NumIssues("let a = b; let b = a; let c = d; let d = c; let e = a + c"), 2);
  EXPECT_EQ(NumIssues("fun f(v) = g(v); fun g(v) = f(v)"), 1);
  EXPECT_EQ(NumIssues("fun f(v) = v + a; let a = f(1)"), 1);
  // An argument of the same name is no cycle.
  EXPECT_EQ(NumIssues("fun f(a) = a; let a = f(1)"), 0);
}

}  // namespace
}  // namespace costate

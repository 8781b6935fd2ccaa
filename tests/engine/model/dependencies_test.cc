#include "engine/model/dependencies.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/model/parser.h"
#include "engine/model/resolver.h"

namespace costate {
namespace {

class DependenciesTest : public ::testing::Test {
 protected:
  void Parse(const std::string& text) {
    text_ = text;
    IssueList issues;
    syntax_ = ParseSyntax(text_, &issues);
    ResolveNames(&syntax_, &issues);
    EXPECT_TRUE(issues.empty()) << issues.Take()[0].message;
  }

  std::string Names(const std::vector<Definition>& definitions) {
    std::string names;
    for (Definition definition : definitions) {
      names += (names.empty() ? "" : " ") +
               std::string(syntax_.names[DeclarationOf(syntax_, definition).name]);
    }
    return names;
  }

  std::string text_;
  Syntax syntax_;
};

TEST_F(DependenciesTest, DefinitionsComeAfterWhatTheyNeedInOrderOfUse) {
  Parse(
      "let d = 1\nlet c = d\nlet b = f(c)\nlet a = b + d\nlet unused = a\nfun f(v) = v + g(v)\n"
      "fun g(v) = v + h\nlet h = 3\nstate x = 1\nx' = c + a\n");
  EXPECT_EQ(Names(DefinitionsNeededBy(syntax_, {syntax_.equations[0].value})), "d c h g f b a");
  EXPECT_EQ(Names(DefinitionsNeededBy(syntax_, {})), "");
  EXPECT_EQ(Names(DefinitionsNeededBy(syntax_, {syntax_.states[0].value})), "");
}

TEST_F(DependenciesTest, CyclesAreHandedOut) {
  Parse("let a = b\nlet b = c\nlet c = b\nstate x = 1\nx' = a\n");
  std::vector<std::string> cycles;
  DefinitionsNeededBy(
      syntax_, {syntax_.equations[0].value},
      [&](const std::vector<Definition>& members) { cycles.push_back(Names(members)); });
  EXPECT_EQ(cycles, std::vector<std::string>({"b c"}));
}

}  // namespace
}  // namespace costate

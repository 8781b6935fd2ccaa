// What makes two texts the same model.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "engine/model/model.h"
#include "tests/engine/model/model_files.h"

namespace costate {
namespace {

ModelIr Parsed(const std::string& text) {
  ParsedModel parsed = ParseModel(text);
  EXPECT_TRUE(parsed.ok()) << FormatIssues("text", text, parsed.issues);
  return std::move(parsed.ir);
}

ModelIr Load(const std::string& name) { return Parsed(ModelText(name)); }

TEST(ModelResourceNameTest, LayoutAndOrderDoNotMatter) {
  const std::string name = ModelResourceName(Load("order_a"));
  EXPECT_EQ(name.size(), 7 + 32);
  EXPECT_EQ(name.substr(0, 7), "models/");
  EXPECT_EQ(ModelResourceName(Load("order_b")), name);
  EXPECT_EQ(ModelResourceName(Load("comments_and_blanks")), name);
  EXPECT_EQ(ModelResourceName(Parsed(ModelText("order_a") + "let unused = (a - y)^2\n")), name);
}

TEST(ModelResourceNameTest, MeaningMatters) {
  const std::string text = ModelText("order_a");
  const std::string name = ModelResourceName(Parsed(text));
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    other.replace(other.find(from), from.size(), to);
    return ModelResourceName(Parsed(other));
  };
  EXPECT_NE(replaced("k = 2", "k = 2.0000000000000004"), name);
  EXPECT_NE(replaced("param k = 2", "param k = 2 in [0, 3]"), name);
  EXPECT_NE(replaced("k*x", "k/x"), name);
  EXPECT_NE(replaced("state x = 1", "state x = 3"), name);
  EXPECT_NE(replaced("output o", "output q"), name);
  EXPECT_NE(replaced("state x = 1\nstate y = 0", "state y = 0\nstate x = 1"), name);
  EXPECT_EQ(replaced("k = 2", "k = 4/2"), name);
}

TEST(ModelResourceNameTest, IsTheDigestOfTheCanonicalText) {
  // sha256sum of the canonical text of this model, made by another program.
  const ModelIr model = Parsed("state x = 1\nx' = -x\n");
  EXPECT_EQ(CanonicalText(model).substr(0, 7), "model \n");
  EXPECT_EQ(ModelResourceName(model), "models/76da4bd41331f78566dd8c5af7fe6e12");
}

// C++ leaves open which argument of a call is evaluated first, and compilers differ: a name must
// not depend on it. Builds of GCC 12 and of Clang 19 gave this one.
TEST(ModelResourceNameTest, DoesNotDependOnTheCompiler) {
  const ModelIr model = Parsed(
      "state x = 0.5\n"
      "state z[2, 2] = 1\n"
      "x' = cbrt(x) + max(z) - min(z)\n"
      "z' = if z[:, 0:1] > x then z else x\n");
  EXPECT_EQ(ModelResourceName(model), "models/0986c1a987eafe939de177b8125a359c");
}

}  // namespace
}  // namespace costate

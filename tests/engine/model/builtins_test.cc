// Every built-in function of the language against its definition.
#include "engine/model/builtins.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/interpreter/interpreter.h"
#include "engine/model/model.h"

namespace costate {
namespace {

using Vector = std::vector<double>;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

// The elements of `expression` of x = `x`, v = [1, -2, 3], W = [[1, 2, 3], [4, 5, 6]].
Vector Evaluate(const std::string& expression, double x) {
  const std::string text =
      "state x = 0\nstate v[3] = 0\nstate W[2, 3] = 0\nx' = 0; v' = 0; W' = 0\noutput o = " +
      expression + "\n";
  const ParsedModel parsed = ParseModel(text);
  EXPECT_TRUE(parsed.ok()) << FormatIssues("text", text, parsed.issues);
  if (!parsed.ok()) return {};
  return Interpret(parsed.ir.output_map, {{0.0}, {x, 1, -2, 3, 1, 2, 3, 4, 5, 6}, {}})[0];
}

TEST(BuiltinsTest, TableIsSortedAndFindsItself) {
  const absl::Span<const Builtin> all = Builtins();
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(FindBuiltin(all[i].name), static_cast<int>(i)) << all[i].name;
    if (i > 0) {
      EXPECT_LT(all[i - 1].name, all[i].name);
    }
    EXPECT_EQ(all[i].signature.substr(0, all[i].name.size()), all[i].name);
    EXPECT_LE(all[i].min_arguments, all[i].max_arguments);
    EXPECT_GE(all[i].min_arguments, 1);
  }
  EXPECT_EQ(FindBuiltin(""), -1);
  EXPECT_EQ(FindBuiltin("zzz"), -1);
}

struct ScalarCase {
  std::string expression;
  std::function<double(double)> value;
};

class ScalarTest : public ::testing::TestWithParam<ScalarCase> {};

TEST_P(ScalarTest, HasItsValue) {
  for (const double x : {-3.5, -1.0, -0.75, -0.0, 0.0, 1e-10, 0.25, 0.75, 1.0, 2.0, 700.0, -700.0,
                         kInf, -kInf, kNan}) {
    const double expected = GetParam().value(x);
    const Vector actual = Evaluate(GetParam().expression, x);
    ASSERT_EQ(actual.size(), 1);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(actual[0])) << x << ": " << actual[0];
    } else if (std::isinf(expected)) {
      EXPECT_EQ(actual[0], expected) << x;
    } else {
      EXPECT_NEAR(actual[0], expected, 2e-15 * std::fabs(expected)) << x;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Builtins, ScalarTest,
    ::testing::Values(
        ScalarCase{"exp(x)", [](double x) { return std::exp(x); }},
        ScalarCase{"expm1(x)", [](double x) { return std::expm1(x); }},
        ScalarCase{"log(x)", [](double x) { return std::log(x); }},
        ScalarCase{"log1p(x)", [](double x) { return std::log1p(x); }},
        ScalarCase{"log2(x)", [](double x) { return std::log2(x); }},
        ScalarCase{"log10(x)", [](double x) { return std::log10(x); }},
        ScalarCase{"sqrt(x)", [](double x) { return std::sqrt(x); }},
        ScalarCase{"cbrt(x)", [](double x) { return std::cbrt(x); }},
        ScalarCase{"sin(x)", [](double x) { return std::sin(x); }},
        ScalarCase{"cos(x)", [](double x) { return std::cos(x); }},
        ScalarCase{"tan(x)", [](double x) { return std::tan(x); }},
        ScalarCase{"asin(x)", [](double x) { return std::asin(x); }},
        ScalarCase{"acos(x)", [](double x) { return std::acos(x); }},
        ScalarCase{"atan(x)", [](double x) { return std::atan(x); }},
        ScalarCase{"atan2(x, 2)", [](double x) { return std::atan2(x, 2); }},
        ScalarCase{"sinh(x)", [](double x) { return std::sinh(x); }},
        ScalarCase{"cosh(x)", [](double x) { return std::cosh(x); }},
        ScalarCase{"tanh(x)", [](double x) { return std::tanh(x); }},
        ScalarCase{"asinh(x)", [](double x) { return std::asinh(x); }},
        ScalarCase{"acosh(x)", [](double x) { return std::acosh(x); }},
        ScalarCase{"atanh(x)", [](double x) { return std::atanh(x); }},
        ScalarCase{"abs(x)", [](double x) { return std::fabs(x); }},
        ScalarCase{"sign(x)", [](double x) { return x > 0   ? 1
                                                    : x < 0 ? -1
                                                            : x; }},
        ScalarCase{"floor(x)", [](double x) { return std::floor(x); }},
        ScalarCase{"ceil(x)", [](double x) { return std::ceil(x); }},
        ScalarCase{"erf(x)", [](double x) { return std::erf(x); }},
        ScalarCase{"relu(x)", [](double x) { return x <= 0 ? 0 : x; }},
        ScalarCase{"pow(x, 3)", [](double x) { return x * x * x; }},
        ScalarCase{"pow(2, x)", [](double x) { return std::pow(2, x); }},
        ScalarCase{"mod(x, 0.5)", [](double x) { return x - 0.5 * std::floor(x / 0.5); }},
        ScalarCase{"clip(x, -1, 2)", [](double x) { return x < -1  ? -1
                                                           : x > 2 ? 2
                                                                   : x; }},
        ScalarCase{"where(x > 0, 2*x, -x)", [](double x) { return x > 0 ? 2 * x : -x; }},
        ScalarCase{"norm(x)", [](double x) { return std::fabs(x); }}));

TEST(BuiltinsTest, SigmoidAndSoftplusKeepTheirDigits) {
  EXPECT_EQ(Evaluate("sigmoid(x)", 0)[0], 0.5);
  EXPECT_NEAR(Evaluate("sigmoid(x)", -700)[0] / std::exp(-700), 1, 1e-14);
  EXPECT_EQ(Evaluate("sigmoid(x)", 700)[0], 1);
  EXPECT_NEAR(Evaluate("softplus(x)", 0)[0], std::log(2), 1e-16);
  EXPECT_NEAR(Evaluate("softplus(x)", -700)[0] / std::exp(-700), 1, 1e-14);
  EXPECT_EQ(Evaluate("softplus(x)", 700)[0], 700);
  EXPECT_NEAR(Evaluate("softplus(x)", 1.5)[0], std::log(1 + std::exp(1.5)), 1e-15);
  EXPECT_TRUE(std::isnan(Evaluate("softplus(x)", kNan)[0]));
}

struct TensorCase {
  std::string expression;
  Vector value;
};

class TensorTest : public ::testing::TestWithParam<TensorCase> {};

TEST_P(TensorTest, HasItsValue) {
  const Vector actual = Evaluate(GetParam().expression, 2);
  ASSERT_EQ(actual.size(), GetParam().value.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], GetParam().value[i], 1e-15 * std::fabs(GetParam().value[i])) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Builtins, TensorTest,
    ::testing::Values(
        TensorCase{"sum(W)", {21}}, TensorCase{"sum(W, 0)", {5, 7, 9}},
        TensorCase{"sum(W, -1)", {6, 15}}, TensorCase{"sum(x)", {2}}, TensorCase{"mean(W)", {3.5}},
        TensorCase{"mean(W, 1)", {2, 5}}, TensorCase{"max(W)", {6}}, TensorCase{"min(v)", {-2}},
        TensorCase{"max(v, 0, x)", {2, 2, 3}}, TensorCase{"min(v, W)", {1, -2, 3, 1, -2, 3}},
        TensorCase{"max(x)", {2}}, TensorCase{"dot(v, v)", {14}},
        TensorCase{"norm(v)", {std::sqrt(14.0)}}, TensorCase{"norm(0*W)", {0}},
        TensorCase{"outer(v[:2], v)", {1, -2, 3, -2, 4, -6}},
        TensorCase{"concat(v, x, v[0:1])", {1, -2, 3, 2, 1}}, TensorCase{"concat(x)", {2}},
        TensorCase{"concat(W, W[0:1])", {1, 2, 3, 4, 5, 6, 1, 2, 3}},
        TensorCase{"stack(x, 1)", {2, 1}}, TensorCase{"stack(v, W[1])", {1, -2, 3, 4, 5, 6}},
        TensorCase{"roll(v, 1)", {3, 1, -2}}, TensorCase{"roll(v, -1)", {-2, 3, 1}},
        TensorCase{"roll(v, 3)", {1, -2, 3}}, TensorCase{"roll(v, -4)", {-2, 3, 1}},
        TensorCase{"roll(W, 1, 0)", {4, 5, 6, 1, 2, 3}},
        TensorCase{"roll(W, 1, -1)", {3, 1, 2, 6, 4, 5}},
        TensorCase{"reshape(W, 3, 2)", {1, 2, 3, 4, 5, 6}},
        TensorCase{"reshape(W, 3, 2)[1]", {3, 4}}, TensorCase{"transpose(W)", {1, 4, 2, 5, 3, 6}},
        TensorCase{"W.T", {1, 4, 2, 5, 3, 6}}, TensorCase{"v.T", {1, -2, 3}},
        TensorCase{"zeros(2)", {0, 0}}, TensorCase{"ones(1, 2)*x", {2, 2}},
        TensorCase{"eye(2)", {1, 0, 0, 1}}, TensorCase{"len(W)", {2}},
        TensorCase{"linspace(0, 1, 5)", {0, 0.25, 0.5, 0.75, 1}},
        TensorCase{"linspace(0, x, 3)", {0, 1, 2}}, TensorCase{"W @ v", {6, 12}},
        TensorCase{"v @ v", {14}}, TensorCase{"v[:2] @ W", {-7, -8, -9}},
        TensorCase{"W @ W.T", {14, 32, 32, 77}}, TensorCase{"W.T @ W[:, 0]", {17, 22, 27}},
        TensorCase{"W[1]", {4, 5, 6}}, TensorCase{"W[:, 1]", {2, 5}}, TensorCase{"W[-1, -1]", {6}},
        TensorCase{"W[:, ::2]", {1, 3, 4, 6}}, TensorCase{"v[1:]", {-2, 3}},
        TensorCase{"v[-2:-1]", {-2}}, TensorCase{"v[::5]", {1}}, TensorCase{"v + 1", {2, -1, 4}},
        TensorCase{"W + v", {2, 0, 6, 5, 3, 9}}, TensorCase{"W*[[1], [10]]", {1, 2, 3, 40, 50, 60}},
        TensorCase{"if v > 0 then v else W", {1, 2, 3, 1, 5, 3}},
        TensorCase{"if W > [[3], [5]] then 1 else 0", {0, 0, 0, 0, 0, 1}},
        TensorCase{"if not (v > 0 and W > 2) then 1 else 0", {1, 1, 0, 0, 1, 0}},
        TensorCase{"if x > v then 1 else 0", {1, 1, 0}}));

TEST(BuiltinsTest, WrongArgumentCountShowsTheSignature) {
  for (const Builtin& builtin : Builtins()) {
    const ParsedModel probe = ParseModel("state x = 1\nx' = " + std::string(builtin.name) + "()\n");
    ASSERT_EQ(probe.issues.size(), 1) << builtin.name;
    EXPECT_EQ(probe.issues[0].hint, "write: " + std::string(builtin.signature));
  }
}

TEST(BuiltinsTest, HintsOfOtherLanguagesAreNotOurNames) {
  for (const std::string name : {"ln", "arctan", "fabs", "heaviside", "maximum", "matmul"}) {
    EXPECT_FALSE(ForeignFunctionHint(name).empty()) << name;
    EXPECT_EQ(FindBuiltin(name), -1) << name;
  }
  EXPECT_TRUE(ForeignFunctionHint("sin").empty());
}

}  // namespace
}  // namespace costate

// Models made from models, evaluated by the interpreter and worked out by hand.
#include "engine/compose.h"

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/interpreter/interpreter.h"
#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using ::testing::ElementsAre;

ModelIr Parse(const std::string& text) {
  ParsedModel parsed = ParseModel(text);
  EXPECT_TRUE(parsed.ok()) << FormatIssues("test", text, parsed.issues);
  return std::move(parsed.ir);
}

std::vector<double> Evaluate(const Function& function, std::vector<std::vector<double>> inputs) {
  const Kernel kernel = MakeInterpreter()->Build(function, {}).value();
  std::vector<double> scratch(kernel.scratch_size());
  std::vector<double> result(function.outputs[0].size);
  std::vector<const double*> in;
  for (const std::vector<double>& input : inputs) in.push_back(input.data());
  double* const out[] = {result.data()};
  kernel(in.data(), out, scratch.data());
  return result;
}

constexpr char kText[] =
    "model m\nparam a = 2\nparam w[2] = [1, 3]\nstate x = a^2\nstate y[2] = w\n"
    "x' = a*x + t\ny' = x*y\noutput s = sum(y)\noutput pair = [x, a*x*x]\n";

// z = {x, y0, y1, s, pair0, pair1}: an integrand that reads z[2..5) across two outputs.
Function Integrand() {
  FunctionBuilder b("g", {{"t", 1}, {"y", 6}, {"p", 3}}, {{"g", 1}});
  const ValueId outputs = b.Input(kStateBuffer, 3, {3});
  const ValueId first = b.Input(kStateBuffer, 0, {});
  b.Result(
      b.Binary(Op::kAdd, b.Sum(outputs), b.Binary(Op::kMul, first, b.Input(kTimeBuffer, 0, {}))), 0,
      0);
  return std::move(b).Build();
}

TEST(WithRunningLoss, AddsOneStateBehindTheOthers) {
  const ModelIr model = Parse(kText);
  const ModelIr wider = WithRunningLoss(model, {Integrand(), Integrand()});
  ASSERT_TRUE(VerifyModel(wider).ok()) << VerifyModel(wider);
  EXPECT_EQ(wider.states.back().name, "running_loss");
  EXPECT_THAT(Evaluate(wider.init, {{0}, {2, 1, 3}}), ElementsAre(4, 1, 3, 0));
  // x = 5, y = (1, 2), t = 10, a = 2: outputs 3, 5, 50; g = 58 + 50
  EXPECT_THAT(Evaluate(wider.rhs, {{10}, {5, 1, 2, 1e9}, {2, 1, 3}}), ElementsAre(20, 5, 10, 216));
  EXPECT_THAT(Evaluate(wider.output_map, {{10}, {5, 1, 2, 1e9}, {2, 1, 3}}), ElementsAre(3, 5, 50));
}

TEST(WithRunningLoss, FindsAFreeName) {
  const ModelIr model = Parse(
      "model m\nparam running_loss_1 = 1\nstate running_loss = 1\n"
      "running_loss' = running_loss_1\n");
  FunctionBuilder b("g", {{"t", 1}, {"y", 1}, {"p", 1}}, {{"g", 1}});
  b.Result(b.Constant(1), 0, 0);
  const ModelIr wider = WithRunningLoss(model, {std::move(b).Build()});
  ASSERT_TRUE(VerifyModel(wider).ok()) << VerifyModel(wider);
  EXPECT_EQ(wider.states.back().name, "running_loss_2");
}

TEST(WithTangents, DerivativesByHand) {
  const auto twice = WithTangents(Parse(kText));
  ASSERT_TRUE(twice.ok()) << twice.status();
  ASSERT_TRUE(VerifyModel(*twice).ok()) << VerifyModel(*twice);
  const std::vector<double> p = {2, 1, 3, 0.5, 0.25, -1};   // a, w; their directions
  const std::vector<double> y = {5, 1, 2, 0.1, -0.2, 0.3};  // x, y; tangents
  EXPECT_THAT(Evaluate(twice->init, {{0}, p}), ElementsAre(4, 1, 3, 2 * 2 * 0.5, 0.25, -1));
  const std::vector<double> dy = Evaluate(twice->rhs, {{10}, y, p});
  EXPECT_DOUBLE_EQ(dy[0], 20);
  EXPECT_DOUBLE_EQ(dy[3], 0.5 * 5 + 2 * 0.1);
  EXPECT_DOUBLE_EQ(dy[4], 0.1 * 1 + 5 * -0.2);
  EXPECT_DOUBLE_EQ(dy[5], 0.1 * 2 + 5 * 0.3);
  const std::vector<double> out = Evaluate(twice->output_map, {{10}, y, p});
  EXPECT_DOUBLE_EQ(out[2], 50);
  EXPECT_DOUBLE_EQ(out[3], -0.2 + 0.3);
  EXPECT_DOUBLE_EQ(out[4], 0.1);
  EXPECT_DOUBLE_EQ(out[5], 0.5 * 25 + 2 * 2 * 5 * 0.1);
}

TEST(WithTangents, ModelsWithoutParametersOrOutputs) {
  const auto twice = WithTangents(Parse("model m\nstate direction = 1\ndirection' = -direction\n"));
  ASSERT_TRUE(twice.ok()) << twice.status();
  EXPECT_TRUE(VerifyModel(*twice).ok()) << VerifyModel(*twice);
}

}  // namespace
}  // namespace costate

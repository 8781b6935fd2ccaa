#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "engine/model/function_builder.h"
#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

Function Example() {
  FunctionBuilder b("rhs", {{"t", 1}, {"y", 7}, {"p", 2}}, {{"dy", 7}});
  const ValueId y = b.Input(kStateBuffer, 1, {2, 3});
  const ValueId k = b.Input(kParamBuffer, 0, {});
  const ValueId weights = b.Constant({0.1, -0.0, 1e300}, {3});
  const ValueId product = b.Matmul(y, weights);
  const ValueId condition = b.Binary(Op::kLt, product, b.Constant(1.0 / 3));
  const ValueId chosen = b.Select(condition, product, b.Powi(k, -3));
  const ValueId repeated = b.BroadcastTo(b.Reshape(chosen, {2, 1}), {2, 3});
  b.Result(b.Slice(repeated, {0, 2, 1, 0, 3, 2}), 0, 0);
  b.Result(b.Input(kStateBuffer, 4, {3}), 0, 4);
  return std::move(b).Build();
}

TEST(PrinterTest, PrintsAFunction) {
  EXPECT_EQ(PrintFunction(Example()),
            "rhs: inputs {t[1], y[7], p[2]} -> outputs {dy[7]}\n"
            "  %0 = input {1, 1} : f64[2, 3]\n"
            "  %1 = input {2, 0} : f64\n"
            "  %2 = constant [0.1, -0, 1e+300] : f64[3]\n"
            "  %3 = matmul %0, %2 {0, 0} : f64[2]\n"
            "  %4 = constant 0.3333333333333333 : f64\n"
            "  %5 = lt %3, %4 : bool[2]\n"
            "  %6 = powi %1 {-3} : f64\n"
            "  %7 = select %5, %3, %6 : f64[2]\n"
            "  %8 = reshape %7 : f64[2, 1]\n"
            "  %9 = broadcast_to %8 : f64[2, 3]\n"
            "  %10 = slice %9 {0, 2, 1, 0, 3, 2} : f64[2, 2]\n"
            "  %11 = input {1, 4} : f64[3]\n"
            "  return dy[0] = %10, dy[4] = %11\n");
}

TEST(PrinterTest, NumbersAreExact) {
  for (double value : {0.1, 1.0 / 3, std::nextafter(1.0, 2.0), 5e-324, -1.7976931348623157e308}) {
    FunctionBuilder b("f", {}, {{"out", 1}});
    b.Result(b.Constant(value), 0, 0);
    const std::string text = PrintFunction(std::move(b).Build());
    const size_t begin = text.find("constant ") + 9;
    EXPECT_EQ(std::strtod(text.c_str() + begin, nullptr), value) << text;
  }
  FunctionBuilder b("f", {}, {{"out", 3}});
  const double inf = std::numeric_limits<double>::infinity();
  b.Result(b.Constant({inf, -inf, -std::nan("")}, {3}), 0, 0);
  EXPECT_THAT(PrintFunction(std::move(b).Build()), HasSubstr("constant [inf, -inf, nan]"));
}

ModelIr Decay(double k) {
  ModelIr model;
  model.name = "decay";
  model.params = {{"k", {}, 0, {k}, 0, std::numeric_limits<double>::infinity(), {3, 1, 1}}};
  model.states = {{"x", {2}, 0, {}, 0, 0, {}}};
  model.outputs = {{"sum", {}, 0, {}, 0, 0, {}}};
  FunctionBuilder init("init", {{"t", 1}, {"p", 1}}, {{"y", 2}});
  init.Result(init.Constant({1, 2}, {2}), 0, 0);
  model.init = std::move(init).Build();
  FunctionBuilder rhs("rhs", {{"t", 1}, {"y", 2}, {"p", 1}}, {{"dy", 2}});
  const ValueId k_value = rhs.Input(2, 0, {});
  rhs.Result(rhs.Binary(Op::kMul, k_value, rhs.Input(1, 0, {2})), 0, 0);
  model.rhs = std::move(rhs).Build();
  FunctionBuilder outputs("outputs", {{"t", 1}, {"y", 2}, {"p", 1}}, {{"out", 1}});
  outputs.Result(outputs.Sum(outputs.Input(1, 0, {2})), 0, 0);
  model.output_map = std::move(outputs).Build();
  return model;
}

TEST(PrinterTest, CanonicalTextOfAModel) {
  EXPECT_EQ(CanonicalText(Decay(-0.5)),
            "model decay\n"
            "param k = [-0.5] in [0, inf]\n"
            "state x[2]\n"
            "output sum\n"
            "init: inputs {t[1], p[1]} -> outputs {y[2]}\n"
            "  %0 = constant [1, 2] : f64[2]\n"
            "  return y[0] = %0\n"
            "rhs: inputs {t[1], y[2], p[1]} -> outputs {dy[2]}\n"
            "  %0 = input {2, 0} : f64\n"
            "  %1 = input {1, 0} : f64[2]\n"
            "  %2 = mul %0, %1 : f64[2]\n"
            "  return dy[0] = %2\n"
            "outputs: inputs {t[1], y[2], p[1]} -> outputs {out[1]}\n"
            "  %0 = input {1, 0} : f64[2]\n"
            "  %1 = sum %0 {-1} : f64\n"
            "  return out[0] = %1\n");
}

TEST(PrinterTest, CanonicalTextKnowsEveryBitAndNoPlaces) {
  EXPECT_NE(CanonicalText(Decay(0.1)), CanonicalText(Decay(std::nextafter(0.1, 1.0))));
  ModelIr moved = Decay(0.1);
  moved.params[0].location = {9, 9, 9};
  moved.rhs.instructions[0].location = {1, 2, 3};
  EXPECT_EQ(CanonicalText(moved), CanonicalText(Decay(0.1)));
}

}  // namespace
}  // namespace costate

// Forward derivatives against finite differences, and what they leave alone.
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/autodiff/autodiff.h"
#include "engine/base/limits.h"
#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/autodiff/derivative_checks.h"
#include "tests/engine/random_function.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Seed(uint64_t seed) { return absl::StrCat("seed ", seed); }

// d f along a random direction of all inputs, by both ways.
void CompareWithDifferences(const Function& f, uint64_t seed, double tolerance) {
  const Buffers x = RandomInputs(f, seed);
  const Buffers dx = RandomBuffers(f.inputs, seed);
  const Buffers out = Interpret(JvpOf(f, AllInputs(f)), Joined(x, dx));
  const size_t n = f.outputs.size();
  ExpectClose(Part(out, n, 2 * n), DirectionalDifference(f, x, AllInputs(f), dx), tolerance,
              Seed(seed));
}

TEST(JvpTest, AgreesWithFiniteDifferencesOnRandomFunctions) {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    CompareWithDifferences(RandomFunction(seed, {8, true, false}), seed, 1e-6);
  }
}

TEST(JvpTest, AgreesWithFiniteDifferencesOnRandomScalarFunctions) {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    CompareWithDifferences(RandomFunction(seed, {8, false, false}), seed, 1e-6);
  }
}

TEST(JvpTest, KeepsTheBitsOfValues) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const Function f = RandomFunction(seed, {});
    const Buffers x = RandomInputs(f, seed);
    const Buffers out = Interpret(JvpOf(f, AllInputs(f)), Joined(x, RandomBuffers(f.inputs, seed)));
    ExpectSameBits(Part(out, 0, 2), Interpret(f, x), Seed(seed));
  }
}

TEST(JvpTest, SecondDerivativesAreDerivativesOfFirst) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Function f = JvpOf(RandomFunction(seed, {6, true, false}), {1, 2}, false);
    const Buffers x = RandomInputs(f, seed);
    const Buffers dx = RandomBuffers(f.inputs, seed + 1);
    const Buffers out = Interpret(JvpOf(f, AllInputs(f), false), Joined(x, dx));
    ExpectClose(out, DirectionalDifference(f, x, AllInputs(f), dx), 1e-5, Seed(seed));
  }
}

TEST(JvpTest, BuffersAreNamedAndOrderedAsDocumented) {
  const Function f = RandomFunction(1, {});
  const Function jvp = JvpOf(f, {2, 1});
  std::vector<std::string> names;
  for (const Buffer& buffer : jvp.inputs) names.push_back(buffer.name);
  for (const Buffer& buffer : jvp.outputs) names.push_back(buffer.name);
  EXPECT_THAT(names, ElementsAre("t", "y", "p", "d_p", "d_y", "dy", "out", "d_dy", "d_out"));
  EXPECT_EQ(JvpOf(f, {2, 1}, false).outputs[0].name, "d_dy");
}

TEST(JvpTest, DoesNoWorkForWhatDoesNotMove) {
  FunctionBuilder b("f", {{"x", 2}, {"p", 1}}, {{"out", 2}});
  const ValueId p = b.Unary(Op::kExp, b.Input(1, 0, {}));
  b.Result(b.Binary(Op::kMul, p, b.Input(0, 0, {})), 0, 0);
  b.Result(b.Unary(Op::kFloor, b.Input(0, 1, {})), 0, 1);
  const Function f = std::move(b).Build();
  EXPECT_EQ(PrintFunction(JvpOf(f, {0}, false)),
            "f_jvp: inputs {x[2], p[1], d_x[2]} -> outputs {d_out[2]}\n"
            "  %0 = input {1, 0} : f64\n"
            "  %1 = exp %0 : f64\n"
            "  %2 = input {2, 0} : f64\n"
            "  %3 = mul %2, %1 : f64\n"
            "  %4 = constant 0 : f64\n"
            "  return d_out[0] = %3, d_out[1] = %4\n");
}

TEST(JvpTest, ALongChainIsLinear) {
  FunctionBuilder b("chain", {{"x", 1}}, {{"out", 1}});
  ValueId x = b.Input(0, 0, {});
  for (int i = 0; i < 100'000; ++i) x = b.Unary(Op::kSin, x);
  b.Result(x, 0, 0);
  const Function f = std::move(b).Build();
  const Function jvp = JvpOf(f, {0});
  EXPECT_LE(jvp.instructions.size(), 3 * f.instructions.size());
  const Function vjp = VjpOf(f, {0});
  EXPECT_LE(vjp.instructions.size(), 3 * f.instructions.size());
  double value = 0.5;
  double derivative = 1;
  for (int i = 0; i < 100'000; ++i) {
    derivative *= std::cos(value);
    value = std::sin(value);
  }
  EXPECT_NEAR(Interpret(jvp, {{0.5}, {1}})[1][0] / derivative, 1, 1e-10);
  EXPECT_NEAR(Interpret(vjp, {{0.5}, {1}})[1][0] / derivative, 1, 1e-10);
}

TEST(JvpTest, RefusesWrongRequests) {
  const Function f = RandomFunction(1, {});
  EXPECT_THAT(std::string(Jvp(f, {3}).status().message()), HasSubstr("buffer 3 does not exist"));
  EXPECT_THAT(std::string(Jvp(f, {1, 1}).status().message()), HasSubstr("twice"));
  Function wide;
  wide.inputs.assign(40, Buffer{"x", 0});
  EXPECT_EQ(Jvp(wide, AllInputs(wide)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Vjp(f, {-1}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(JvpTest, RefusesFunctionsThatGrowTooLong) {
  FunctionBuilder b("chain", {{"x", 1}}, {{"out", 1}});
  ValueId x = b.Input(0, 0, {});
  for (int i = 0; i < 400'000; ++i) x = b.Unary(Op::kSin, x);
  b.Result(x, 0, 0);
  const Function f = std::move(b).Build();
  EXPECT_EQ(Jvp(f, {0}).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Vjp(f, {0}).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace costate

// Lanes, uniform buffers and refusals of the interpreter, and properties of random functions.
#include "engine/interpreter/interpreter.h"

#include <cmath>
#include <cstring>
#include <set>
#include <vector>

#include "engine/base/limits.h"
#include "engine/model/function_builder.h"
#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/random_function.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

// Runs `f` with the inputs of each lane and returns the outputs per lane.
std::vector<std::vector<std::vector<double>>> RunLanes(
    const Function& f, const std::vector<std::vector<std::vector<double>>>& lane_inputs,
    KernelSpec spec) {
  const auto kernel = MakeInterpreter()->Build(f, spec);
  EXPECT_TRUE(kernel.ok()) << kernel.status();
  const int lanes = spec.lanes;
  std::vector<std::vector<double>> inputs, outputs;
  for (size_t k = 0; k < f.inputs.size(); ++k) {
    const bool uniform = spec.uniform_inputs >> k & 1;
    const int64_t stride = uniform ? 1 : lanes;
    std::vector<double>& buffer = inputs.emplace_back(f.inputs[k].size * stride);
    for (int lane = 0; lane < lanes; ++lane) {
      for (int64_t i = 0; i < f.inputs[k].size; ++i) {
        buffer[i * stride + (uniform ? 0 : lane)] = lane_inputs[lane][k][i];
      }
    }
  }
  for (const Buffer& output : f.outputs) outputs.emplace_back(output.size * lanes);
  std::vector<const double*> in;
  std::vector<double*> out;
  for (auto& buffer : inputs) in.push_back(buffer.data());
  for (auto& buffer : outputs) out.push_back(buffer.data());
  std::vector<double> scratch(kernel->scratch_size(), NAN);
  (*kernel)(in.data(), out.data(), scratch.data());
  std::vector<std::vector<std::vector<double>>> result(lanes);
  for (int lane = 0; lane < lanes; ++lane) {
    for (size_t k = 0; k < f.outputs.size(); ++k) {
      const bool uniform = spec.uniform_outputs >> k & 1;
      std::vector<double>& buffer = result[lane].emplace_back(f.outputs[k].size);
      for (int64_t i = 0; i < f.outputs[k].size; ++i) {
        buffer[i] = outputs[k][uniform ? i : i * lanes + lane];
      }
    }
  }
  return result;
}

TEST(InterpreterTest, EveryLaneHasTheBitsOfALaneAlone) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const Function f = RandomFunction(seed, {});
    for (int lanes : {1, 2, 4, 8}) {
      std::vector<std::vector<std::vector<double>>> inputs;
      for (int lane = 0; lane < lanes; ++lane) {
        inputs.push_back(RandomInputs(f, 100 * seed + lane));
        inputs.back()[0] = inputs[0][0];
        inputs.back()[2] = inputs[0][2];
      }
      for (uint64_t uniform : {uint64_t{0}, uint64_t{0b101}, uint64_t{0b100}}) {
        const auto outputs = RunLanes(f, inputs, {lanes, uniform, 0});
        for (int lane = 0; lane < lanes; ++lane) {
          const auto alone = Interpret(f, inputs[lane]);
          for (size_t k = 0; k < alone.size(); ++k) {
            EXPECT_TRUE(SameBits(outputs[lane][k], alone[k])) << "seed " << seed;
          }
        }
      }
    }
  }
}

Function SumOfInputs() {
  FunctionBuilder b("f", {{"x", 1}, {"p", 1}}, {{"sum", 1}, {"twice", 1}});
  const ValueId p = b.Input(1, 0, {});
  b.Result(b.Binary(Op::kAdd, b.Input(0, 0, {}), p), 0, 0);
  b.Result(b.Binary(Op::kAdd, p, p), 1, 0);
  return std::move(b).Build();
}

TEST(InterpreterTest, UniformOutputsOfUniformInputs) {
  const auto outputs = RunLanes(SumOfInputs(), {{{1}, {5}}, {{2}, {5}}}, {2, 0b10, 0b10});
  EXPECT_THAT(outputs[0][0], ElementsAre(6));
  EXPECT_THAT(outputs[1][0], ElementsAre(7));
  EXPECT_THAT(outputs[0][1], ElementsAre(10));
}

TEST(InterpreterTest, RefusesSpecsItCannotSatisfy) {
  const auto evaluator = MakeInterpreter();
  const auto varying = evaluator->Build(SumOfInputs(), {2, 0b10, 0b01});
  EXPECT_EQ(varying.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(varying.status().message()), HasSubstr("uniform output 'sum'"));
  EXPECT_EQ(evaluator->Build(SumOfInputs(), {3, 0, 0}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(evaluator->Build(SumOfInputs(), {1, 0b10, 0b01}).ok());
}

TEST(InterpreterTest, RefusesTooManyIntermediates) {
  FunctionBuilder b("f", {{"x", 1}}, {{"out", 1}});
  const ValueId x = b.Input(0, 0, {});
  std::vector<ValueId> values;
  for (int i = 0; i < 3; ++i) {
    const ValueId large = b.BroadcastTo(b.Binary(Op::kAdd, x, b.Constant(i)), {4096, 4096});
    values.push_back(b.Sum(large, 0));
    values.push_back(large);
  }
  ValueId sum = values[1];
  for (int i : {3, 5}) sum = b.Append({Op::kMatmul, DType::kF64, {}, {sum, values[i]}, {0, 0}, {}});
  b.Result(b.Sum(sum), 0, 0);
  const auto kernel = MakeInterpreter()->Build(std::move(b).Build(), {});
  EXPECT_EQ(kernel.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(InterpreterTest, ALongChainNeedsLittleScratch) {
  FunctionBuilder b("chain", {{"x", 1}}, {{"out", 1}});
  ValueId x = b.Input(0, 0, {});
  for (int i = 0; i < 100'000; ++i) x = b.Unary(i % 2 == 0 ? Op::kSin : Op::kCos, x);
  b.Result(x, 0, 0);
  const Function f = std::move(b).Build();
  const auto kernel = MakeInterpreter()->Build(f, {});
  ASSERT_TRUE(kernel.ok());
  EXPECT_LE(kernel->scratch_size(), 3);
  // cos(sin(.)) contracts to the solution of x = cos(sin(x)).
  EXPECT_NEAR(Interpret(f, {{0.3}})[0][0], 0.76816915673679603, 1e-14);
}

TEST(RandomFunctionTest, IsVerifiedFiniteAndUsesEveryOp) {
  std::set<Op> ops;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    for (const RandomFunctionOptions& options :
         {RandomFunctionOptions{}, {15, false, true}, {15, true, false}}) {
      const Function f = RandomFunction(seed, options);
      ASSERT_TRUE(VerifyFunction(f).ok()) << VerifyFunction(f);
      for (const Instruction& instruction : f.instructions) ops.insert(instruction.op);
      for (const auto& output : Interpret(f, RandomInputs(f, seed))) {
        for (double value : output) ASSERT_LE(std::fabs(value), 100) << "seed " << seed;
      }
    }
  }
  EXPECT_EQ(ops.size(), kNumOps);
}

}  // namespace
}  // namespace costate

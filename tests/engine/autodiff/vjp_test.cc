// Reverse derivatives: adjoint to the forward ones, and the shape of the code they make.
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/autodiff/autodiff.h"
#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/autodiff/derivative_checks.h"
#include "tests/engine/random_function.h"

namespace costate {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

std::string Seed(uint64_t seed) { return absl::StrCat("seed ", seed); }

// <J dx, c> = <dx, J' c>.
void CheckAdjoint(const Function& f, uint64_t seed) {
  const Buffers x = RandomInputs(f, seed);
  const Buffers dx = RandomBuffers(f.inputs, seed + 1);
  const Buffers c = RandomBuffers(f.outputs, seed + 2);
  const Buffers forward = Interpret(JvpOf(f, AllInputs(f), false), Joined(x, dx));
  const Buffers reverse = Interpret(VjpOf(f, AllInputs(f), false), Joined(x, c));
  const double a = Dot(forward, c);
  const double b = Dot(dx, reverse);
  EXPECT_NEAR(a, b, 1e-9 * (1 + std::fabs(a))) << Seed(seed);
}

TEST(VjpTest, IsAdjointToJvpOnRandomFunctions) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    CheckAdjoint(RandomFunction(seed, {}), seed);
    CheckAdjoint(RandomFunction(seed, {15, false, true}), seed);
  }
}

TEST(VjpTest, AgreesWithFiniteDifferencesOnRandomFunctions) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const Function f = RandomFunction(seed, {8, true, false});
    const Buffers x = RandomInputs(f, seed);
    const Buffers dx = RandomBuffers(f.inputs, seed + 1);
    const Buffers c = RandomBuffers(f.outputs, seed + 2);
    const Buffers reverse = Interpret(VjpOf(f, AllInputs(f), false), Joined(x, c));
    const double expected = Dot(DirectionalDifference(f, x, AllInputs(f), dx), c);
    EXPECT_NEAR(Dot(dx, reverse), expected, 1e-6 * (1 + std::fabs(expected))) << Seed(seed);
  }
}

TEST(VjpTest, KeepsTheBitsOfValues) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const Function f = RandomFunction(seed, {});
    const Buffers x = RandomInputs(f, seed);
    const Buffers out = Interpret(VjpOf(f, AllInputs(f)), Joined(x, RandomBuffers(f.outputs, 1)));
    ExpectSameBits(Part(out, 0, 2), Interpret(f, x), Seed(seed));
  }
}

// Jvp(Vjp(f)) and Vjp(Jvp(f)) against differences; Vjp(Vjp(f)) through the adjoint identity.
TEST(VjpTest, ComposesToSecondDerivatives) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Function f = RandomFunction(seed, {6, true, false});
    const Function gradient = VjpOf(f, {1, 2}, false);
    const Buffers x = RandomInputs(gradient, seed);
    const Buffers dx = RandomBuffers(gradient.inputs, seed + 1);
    const Buffers forward_over_reverse =
        Interpret(JvpOf(gradient, AllInputs(gradient), false), Joined(x, dx));
    ExpectClose(forward_over_reverse, DirectionalDifference(gradient, x, AllInputs(gradient), dx),
                1e-5, Seed(seed));
    CheckAdjoint(gradient, seed);
    CheckAdjoint(JvpOf(f, {1, 2}, false), seed);
  }
}

TEST(VjpTest, ComposesOnFunctionsWithKinks) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CheckAdjoint(VjpOf(RandomFunction(seed, {12, true, true}), {0, 1, 2}, false), seed);
  }
}

TEST(VjpTest, HessiansAreSymmetric) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Function f = RandomFunction(seed, {10, true, true});
    const Function hvp = JvpOf(VjpOf(f, {1}, false), {1}, false);
    const Buffers x = RandomInputs(f, seed);
    const Buffers c = RandomBuffers(f.outputs, seed);
    const Buffers u = RandomBuffers({f.inputs[1]}, seed + 1);
    const Buffers v = RandomBuffers({f.inputs[1]}, seed + 2);
    const double uv = Dot(u, Interpret(hvp, Joined(Joined(x, c), v)));
    const double vu = Dot(v, Interpret(hvp, Joined(Joined(x, c), u)));
    EXPECT_NEAR(uv, vu, 1e-9 * (1 + std::fabs(uv))) << Seed(seed);
  }
}

TEST(VjpTest, NamesOrderAndZerosOfUnreadElements) {
  FunctionBuilder b("f", {{"x", 5}, {"p", 3}}, {{"out", 1}});
  b.Result(b.Unary(Op::kSin, b.Input(0, 2, {})), 0, 0);
  const Function vjp = VjpOf(std::move(b).Build(), {1, 0});
  EXPECT_EQ(vjp.inputs[2].name, "c_out");
  EXPECT_EQ(vjp.outputs[1].name, "c_p");
  EXPECT_EQ(vjp.outputs[2].name, "c_x");
  const Buffers out = Interpret(vjp, {{0, 0, 0.5, 0, 0}, {1, 2, 3}, {2}});
  EXPECT_THAT(out[1], Each(0));
  EXPECT_THAT(out[2], ElementsAre(0, 0, 2 * std::cos(0.5), 0, 0));
}

// Reads of one buffer in overlapping ranges and shapes add up.
TEST(VjpTest, OverlappingReadsAddUp) {
  FunctionBuilder b("f", {{"x", 6}}, {{"out", 1}});
  const auto weighted = [&](ValueId x, double weight) {
    return b.Binary(Op::kMul, b.Constant(weight), b.Sum(x));
  };
  ValueId sum = weighted(b.Input(0, 0, {6}), 1);
  sum = b.Binary(Op::kAdd, sum, weighted(b.Input(0, 1, {2, 2}), 10));
  sum = b.Binary(Op::kAdd, sum, weighted(b.Input(0, 2, {3}), 100));
  sum = b.Binary(Op::kAdd, sum, weighted(b.Input(0, 2, {1, 3}), 1000));
  sum = b.Binary(Op::kAdd, sum, weighted(b.Input(0, 4, {}), 10000));
  b.Result(sum, 0, 0);
  EXPECT_THAT(Interpret(VjpOf(std::move(b).Build(), {0}, false), {{0, 0, 0, 0, 0, 0}, {1}})[0],
              ElementsAre(1, 11, 1111, 1111, 11111, 1));
}

// A ring of n scalar states with n scalar parameters: the gradient stays linear in n.
TEST(VjpTest, ManyScalarReadsAreLinear) {
  const int n = 5000;
  FunctionBuilder b("ring", {{"t", 1}, {"y", n}, {"p", n}}, {{"dy", n}});
  for (int i = 0; i < n; ++i) {
    const ValueId difference = b.Binary(Op::kSub, b.Input(1, (i + 1) % n, {}), b.Input(1, i, {}));
    b.Result(b.Binary(Op::kMul, b.Input(2, i, {}), difference), 0, i);
  }
  const Function f = std::move(b).Build();
  const Function vjp = VjpOf(f, {1, 2});
  EXPECT_LE(vjp.instructions.size(), 3 * f.instructions.size());
  int64_t elements = 0;
  for (const Instruction& instruction : vjp.instructions)
    elements += NumElements(instruction.shape);
  EXPECT_LE(elements, 3 * static_cast<int64_t>(f.instructions.size()));
  std::vector<double> y(n), p(n), c(n);
  for (int i = 0; i < n; ++i) {
    y[i] = std::sin(i);
    p[i] = std::cos(i);
    c[i] = 1 + i % 3;
  }
  const Buffers out = Interpret(vjp, {{0}, y, p, c});
  for (int i = 0; i < n; ++i) {
    const int before = (i + n - 1) % n;
    EXPECT_DOUBLE_EQ(out[1][i], c[before] * p[before] - c[i] * p[i]);
    EXPECT_DOUBLE_EQ(out[2][i], c[i] * (y[(i + 1) % n] - y[i]));
  }
}

// The same through elements of an intermediate vector, and with the vector read as a whole too.
TEST(VjpTest, ManyScalarSlicesAreLinear) {
  const int n = 3000;
  FunctionBuilder b("f", {{"y", n}}, {{"dy", n}});
  const ValueId y = b.Input(0, 0, {n});
  const ValueId v = b.Unary(Op::kSin, y);
  for (int i = 0; i < n; ++i) {
    const ValueId element = b.Reshape(b.Slice(v, {i, i + 1, 1}), {});
    b.Result(b.Binary(Op::kMul, element, b.Reshape(b.Slice(y, {n - 1 - i, n - i, 1}), {})), 0, i);
  }
  const Function f = std::move(b).Build();
  const Function vjp = VjpOf(f, {0}, false);
  EXPECT_LE(vjp.instructions.size(), 3 * f.instructions.size());
  int64_t elements = 0;
  for (const Instruction& instruction : vjp.instructions)
    elements += NumElements(instruction.shape);
  EXPECT_LE(elements, 20 * n);
  std::vector<double> point(n), c(n);
  for (int i = 0; i < n; ++i) point[i] = 0.001 * i, c[i] = 1 + i % 2;
  const Buffers out = Interpret(vjp, {point, c});
  for (int i = 0; i < n; ++i) {
    const int mirror = n - 1 - i;
    EXPECT_DOUBLE_EQ(
        out[0][i], c[i] * std::cos(point[i]) * point[mirror] + c[mirror] * std::sin(point[mirror]));
  }
}

// f(i) = f(i-1) * f(i-2): a deep graph with sharing, which a walk over paths never finishes.
TEST(VjpTest, DeepSharedGraphsAreLinear) {
  FunctionBuilder b("fibonacci", {{"x", 2}}, {{"out", 1}});
  ValueId before = b.Input(0, 0, {});
  ValueId last = b.Input(0, 1, {});
  for (int i = 0; i < 20'000; ++i) {
    const ValueId next = b.Unary(Op::kTanh, b.Binary(Op::kAdd, before, last));
    before = last;
    last = next;
  }
  b.Result(last, 0, 0);
  const Function f = std::move(b).Build();
  const Function hvp = JvpOf(VjpOf(f, {0}, false), {0}, false);
  EXPECT_LE(hvp.instructions.size(), 20 * f.instructions.size());
  const Buffers out = Interpret(hvp, {{0.1, 0.2}, {1}, {1, 0}});
  EXPECT_TRUE(std::isfinite(out[0][0]));
}

// A parameter used 100,000 times: the sum of its cotangents is a balanced tree.
TEST(VjpTest, WideSharingSumsInATree) {
  const int n = 65536;
  FunctionBuilder b("f", {{"x", n}, {"p", 1}}, {{"out", n}});
  const ValueId p = b.Input(1, 0, {});
  for (int i = 0; i < n; ++i) b.Result(b.Binary(Op::kMul, p, b.Input(0, i, {})), 0, i);
  const Function vjp = VjpOf(std::move(b).Build(), {1}, false);
  std::vector<int> depth(vjp.instructions.size(), 0);
  int deepest = 0;
  for (size_t i = 0; i < vjp.instructions.size(); ++i) {
    for (ValueId operand : vjp.instructions[i].operands) {
      depth[i] = std::max(depth[i], depth[operand] + 1);
    }
    deepest = std::max(deepest, depth[i]);
  }
  EXPECT_LE(deepest, 18);
  // A chain of additions would be off by about n/2 rounding errors.
  EXPECT_NEAR(Interpret(vjp, {std::vector<double>(n, 0.1), {1}, std::vector<double>(n, 1)})[0][0],
              0.1 * n, 1e-12 * n);
}

// Spoils one number somewhere in `f`.
void Mutate(Function& f, std::mt19937& random) {
  const int64_t numbers[] = {-1, 0, 1, 2, 3, 7, 1000, int64_t{1} << 62, -(int64_t{1} << 62)};
  const int64_t number = numbers[random() % 9];
  Instruction& instruction = f.instructions[random() % f.instructions.size()];
  const auto pick = [&](auto& list) { return random() % std::max<size_t>(list.size(), 1); };
  switch (random() % 8) {
    case 0:
      instruction.op = static_cast<Op>(random() % (kNumOps + 2));
      return;
    case 1:
      if (!instruction.shape.empty()) instruction.shape[pick(instruction.shape)] = number;
      return;
    case 2:
      if (!instruction.operands.empty()) {
        instruction.operands[pick(instruction.operands)] =
            static_cast<ValueId>(random() % (f.instructions.size() + 2)) - 1;
      }
      return;
    case 3:
      if (!instruction.attributes.empty()) {
        instruction.attributes[pick(instruction.attributes)] = number;
      }
      return;
    case 4:
      instruction.dtype = instruction.dtype == DType::kF64 ? DType::kBool : DType::kF64;
      return;
    case 5:
      f.results[pick(f.results)].offset = number;
      return;
    case 6:
      f.results[pick(f.results)].value = static_cast<ValueId>(random() % f.instructions.size());
      return;
    case 7:
      instruction.shape.push_back(number);
      return;
  }
}

// What the verifier accepts can be evaluated and differentiated; the rest it refuses.
TEST(VjpTest, WhateverIsVerifiedCanBeDifferentiated) {
  std::mt19937 random(11);
  int accepted = 0;
  for (uint64_t seed = 0; seed < 5000; ++seed) {
    Function f = RandomFunction(seed, {6, true, true});
    for (int k = random() % 3; k >= 0; --k) Mutate(f, random);
    if (!VerifyFunction(f).ok()) continue;
    ++accepted;
    Interpret(f, RandomInputs(f, seed));
    const Function vjp = VjpOf(f, AllInputs(f));
    Interpret(vjp, RandomInputs(vjp, seed));
    const Function jvp = JvpOf(f, AllInputs(f));
    Interpret(jvp, RandomInputs(jvp, seed));
    const auto jacobian = Jacobian(f, 1, 0);
    ASSERT_TRUE(jacobian.ok()) << jacobian.status();
    EXPECT_TRUE(VerifyFunction(jacobian->function).ok()) << VerifyFunction(jacobian->function);
  }
  EXPECT_GT(accepted, 500);
  EXPECT_LT(accepted, 4500);
}

}  // namespace
}  // namespace costate

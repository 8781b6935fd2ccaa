// Compiled code against the interpreter, and against itself at other widths, on random graphs.
// Built twice: a short run, and a long one of COSTATE_RANDOM_FUNCTIONS functions a test.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/autodiff/autodiff.h"
#include "engine/codegen/host_compiler.h"
#include "engine/interpreter/interpreter.h"
#include "engine/model/model.h"
#include "gtest/gtest.h"
#include "tests/engine/codegen/evaluation.h"
#include "tests/engine/random_function.h"

namespace costate {
namespace {

using codegen::DetectHost;
using codegen::InstructionSet;
using codegen::MakeCompilerFor;
using codegen::Tuning;

constexpr uint64_t kFunctions = COSTATE_RANDOM_FUNCTIONS;

struct Way {
  std::string name = "";
  int block_size = 256;
  int simd_lanes = 0;
  Tuning tuning = {};
  InstructionSet instruction_set = InstructionSet::kAvx512;
};

void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

std::unique_ptr<Compiler> CompilerOf(const Way& way) {
  CompilerOptions options;
  options.block_size = way.block_size;
  options.simd_lanes = way.simd_lanes;
  auto compiler = MakeCompilerFor(options, DetectHost(way.instruction_set).value(), way.tuning);
  EXPECT_TRUE(compiler.ok()) << compiler.status();
  return std::move(compiler).value();
}

std::vector<Buffers> RandomLanes(const Function& function, uint64_t seed, int count) {
  std::vector<Buffers> lanes;
  for (int i = 0; i < count; ++i) lanes.push_back(RandomInputs(function, seed * 100 + i));
  return lanes;
}

std::vector<Buffers> BuildAndRun(Compiler& compiler, const Function& function,
                                 const KernelSpec& spec, const std::vector<Buffers>& lanes) {
  const auto kernel = compiler.Build(function, spec);
  EXPECT_TRUE(kernel.ok()) << kernel.status();
  if (!kernel.ok()) return {};
  return RunLanes(function, *kernel, spec, lanes);
}

// Values are of order 1 by construction. The compiled functions differ from the C library's by a
// few units in the last place and sums are ordered differently; chains of some 25 ops on values
// of at most 2 keep the difference far below 1e-10.
void ExpectClose(const Buffers& actual, const Buffers& expected, const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].size(), expected[i].size());
    for (size_t k = 0; k < actual[i].size(); ++k) {
      const double scale = std::max(1.0, std::fabs(expected[i][k]));
      EXPECT_NEAR(actual[i][k], expected[i][k], 1e-10 * scale)
          << what << " output " << i << ", " << k;
    }
  }
}

// The scalar kernel against the interpreter, and the bits of every lane of `spec` as built by
// `other` against those of the scalar kernel of `reference`.
void CheckFunction(const Function& function, uint64_t seed, Compiler& reference, Compiler& other,
                   const KernelSpec& spec) {
  std::vector<Buffers> inputs = RandomLanes(function, seed, spec.lanes);
  for (size_t buffer = 0; buffer < function.inputs.size(); ++buffer) {
    if (((spec.uniform_inputs >> buffer) & 1) == 0) continue;
    for (Buffers& lane : inputs) lane[buffer] = inputs[0][buffer];
  }
  const std::vector<Buffers> together = BuildAndRun(other, function, spec, inputs);
  ASSERT_EQ(together.size(), inputs.size());
  for (size_t lane = 0; lane < inputs.size(); ++lane) {
    const Buffers alone = BuildAndRun(reference, function, {}, {inputs[lane]})[0];
    if (lane < 2)
      ExpectClose(alone, Interpret(function, inputs[lane]), absl::StrCat("seed ", seed));
    EXPECT_TRUE(SameBits(together[lane], alone)) << "seed " << seed << " lane " << lane;
  }
}

TEST(RandomEquivalence, ScalarAndLanesAgreeWithTheInterpreter) {
  const auto compiler = CompilerOf({});
  const KernelSpec spec = {.lanes = compiler->simd_lanes()};
  for (uint64_t seed = 1; seed <= kFunctions && !testing::Test::HasFailure(); ++seed) {
    CheckFunction(RandomFunction(seed, {.steps = 15}), seed, *compiler, *compiler, spec);
  }
}

TEST(RandomEquivalence, ScalarFunctionsAgree) {
  const auto compiler = CompilerOf({});
  const KernelSpec spec = {.lanes = compiler->simd_lanes()};
  for (uint64_t seed = 10'001; seed <= 10'000 + kFunctions / 2 && !testing::Test::HasFailure();
       ++seed) {
    CheckFunction(RandomFunction(seed, {.steps = 15, .tensors = false}), seed, *compiler, *compiler,
                  spec);
  }
}

TEST(RandomEquivalence, AnyUniformBuffersGiveTheSameBits) {
  const auto compiler = CompilerOf({});
  for (uint64_t seed = 20'001; seed <= 20'000 + kFunctions / 4 && !testing::Test::HasFailure();
       ++seed) {
    const KernelSpec spec = {.lanes = compiler->simd_lanes(), .uniform_inputs = seed % 8};
    CheckFunction(RandomFunction(seed, {}), seed, *compiler, *compiler, spec);
  }
}

// Derivatives bring the ops models rarely write: pads, sums to a shape, outer products. Kinks
// are left out, as a derivative may be anything there.
TEST(RandomEquivalence, DerivativesAgree) {
  const auto compiler = CompilerOf({});
  const KernelSpec spec = {.lanes = compiler->simd_lanes()};
  for (uint64_t seed = 25'001; seed <= 25'000 + kFunctions / 4; ++seed) {
    const Function function = RandomFunction(seed, {.steps = 12, .kinks = false});
    for (const auto& derivative : {Jvp(function, {1, 2}), Vjp(function, {0, 1, 2})}) {
      ASSERT_TRUE(derivative.ok()) << derivative.status();
      CheckFunction(*derivative, seed, *compiler, *compiler, spec);
    }
    if (testing::Test::HasFailure()) break;
  }
}

class EveryWay : public testing::TestWithParam<Way> {};

// A host without AVX2 takes its functions from another library, so it is compared with itself.
TEST_P(EveryWay, GivesTheSameBits) {
  const Way& way = GetParam();
  const auto other = CompilerOf(way);
  const bool portable = way.instruction_set == InstructionSet::kPortable;
  const auto reference = CompilerOf(
      {.instruction_set = portable ? InstructionSet::kPortable : InstructionSet::kAvx512});
  for (uint64_t seed = 30'001; seed <= 30'000 + kFunctions / 10 && !testing::Test::HasFailure();
       ++seed) {
    const uint64_t uniform_inputs = seed % 3 == 0 ? seed % 8 : 0;
    const Function function = RandomFunction(seed, {.steps = 30});
    CheckFunction(function, seed, *reference, *other,
                  {.lanes = other->simd_lanes(), .uniform_inputs = uniform_inputs});
    CheckFunction(function, seed, *reference, *other, {});
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ways, EveryWay,
    testing::Values(
        Way{.name = "TensorsInMemory", .tuning = {.register_elements = 1}},
        Way{.name = "MemoryTwoLanes", .simd_lanes = 2, .tuning = {.register_elements = 1}},
        Way{.name = "ShortTensorsInRegisters", .tuning = {.register_elements = 3}},
        Way{.name = "NoBatches", .tuning = {.batch_calls = false}},
        Way{.name = "TwoLanes", .simd_lanes = 2}, Way{.name = "FourLanes", .simd_lanes = 4},
        Way{.name = "OneInstructionBlocks", .block_size = 1},
        Way{.name = "SmallBlocksInMemory", .block_size = 8, .tuning = {.register_elements = 1}},
        Way{.name = "Avx2", .instruction_set = InstructionSet::kAvx2},
        Way{.name = "Avx2InMemory",
            .simd_lanes = 8,
            .tuning = {.register_elements = 1},
            .instruction_set = InstructionSet::kAvx2},
        Way{.name = "PortableFourLanes",
            .simd_lanes = 4,
            .instruction_set = InstructionSet::kPortable},
        Way{.name = "PortableInMemory",
            .tuning = {.register_elements = 1},
            .instruction_set = InstructionSet::kPortable}),
    [](const testing::TestParamInfo<Way>& info) { return info.param.name; });

}  // namespace
}  // namespace costate

// Compiled code against the interpreter, and against itself at other widths, on random graphs.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/codegen/host_compiler.h"
#include "engine/interpreter/interpreter.h"
#include "gtest/gtest.h"
#include "tests/engine/codegen/evaluation.h"
#include "tests/engine/random_function.h"

namespace costate {
namespace {

using codegen::DetectHost;
using codegen::InstructionSet;
using codegen::MakeCompilerFor;
using codegen::Tuning;

std::unique_ptr<Compiler> CompilerWith(const CompilerOptions& options, const Tuning& tuning = {},
                                       InstructionSet at_most = InstructionSet::kAvx512) {
  auto compiler = MakeCompilerFor(options, DetectHost(at_most).value(), tuning);
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
      EXPECT_NEAR(actual[i][k], expected[i][k], 1e-10) << what << " output " << i << ", " << k;
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
  const auto compiler = CompilerWith({});
  const KernelSpec spec = {.lanes = compiler->simd_lanes()};
  for (uint64_t seed = 1; seed <= 700 && !testing::Test::HasFailure(); ++seed) {
    CheckFunction(RandomFunction(seed, {.steps = 15}), seed, *compiler, *compiler, spec);
  }
}

TEST(RandomEquivalence, ScalarFunctionsAgree) {
  const auto compiler = CompilerWith({});
  const KernelSpec spec = {.lanes = compiler->simd_lanes()};
  for (uint64_t seed = 2001; seed <= 2300 && !testing::Test::HasFailure(); ++seed) {
    CheckFunction(RandomFunction(seed, {.steps = 15, .tensors = false}), seed, *compiler, *compiler,
                  spec);
  }
}

TEST(RandomEquivalence, AnyUniformBuffersGiveTheSameBits) {
  const auto compiler = CompilerWith({});
  for (uint64_t seed = 3001; seed <= 3100 && !testing::Test::HasFailure(); ++seed) {
    const KernelSpec spec = {.lanes = compiler->simd_lanes(), .uniform_inputs = seed % 8};
    CheckFunction(RandomFunction(seed, {}), seed, *compiler, *compiler, spec);
  }
}

struct Way {
  std::string name;
  CompilerOptions options;
  Tuning tuning;
  bool portable = false;
};

class EveryWay : public testing::TestWithParam<Way> {};

// Functions from a host without AVX2 come from another math library, so only the sequence of
// operations is compared there: ScalarAndLanes on the restricted host itself.
TEST_P(EveryWay, GivesTheSameBits) {
  const Way& way = GetParam();
  const auto other = CompilerWith(way.options, way.tuning, way.portable);
  const auto reference =
      way.portable ? CompilerWith({.simd_lanes = 1}, {}, true) : CompilerWith({});
  for (uint64_t seed = 4001; seed <= 4060 && !testing::Test::HasFailure(); ++seed) {
    const uint64_t uniform_inputs = seed % 3 == 0 ? seed % 8 : 0;
    const Function function = RandomFunction(seed, {.steps = 30});
    CheckFunction(function, seed, *reference, *other,
                  {.lanes = other->simd_lanes(), .uniform_inputs = uniform_inputs});
    if (other->simd_lanes() > 1) CheckFunction(function, seed, *reference, *other, {});
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ways, EveryWay,
    testing::Values(Way{"TensorsInMemory", {}, {.register_elements = 1}},
                    Way{"TensorsInMemoryTwoLanes", {.simd_lanes = 2}, {.register_elements = 1}},
                    Way{"ShortTensorsInRegisters", {}, {.register_elements = 3}},
                    Way{"NoBatches", {}, {.batch_calls = false}},
                    Way{"TwoLanes", {.simd_lanes = 2}, {}}, Way{"FourLanes", {.simd_lanes = 4}, {}},
                    Way{"OneInstructionBlocks", {.block_size = 1}, {}},
                    Way{"SmallBlocksInMemory", {.block_size = 8}, {.register_elements = 1}},
                    Way{"PortableFourLanes", {.simd_lanes = 4}, {}, true},
                    Way{"PortableInMemory", {}, {.register_elements = 1}, true}),
    [](const testing::TestParamInfo<Way>& info) { return info.param.name; });

}  // namespace
}  // namespace costate

#include "tests/engine/codegen/every_way.h"

#include <utility>

#include "engine/codegen/host_compiler.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using codegen::DetectHost;
using codegen::InstructionSet;
using codegen::MakeCompilerFor;
using codegen::Tuning;

}  // namespace

EveryWay::EveryWay() {
  const auto add = [this](int block_size, int lanes, const Tuning& tuning, InstructionSet set) {
    CompilerOptions options;
    options.block_size = block_size;
    options.simd_lanes = lanes;
    compilers_.push_back(MakeCompilerFor(options, DetectHost(set).value(), tuning).value());
  };
  add(256, 0, {}, InstructionSet::kAvx512);
  add(256, 2, {.register_elements = 1}, InstructionSet::kAvx512);
  add(1, 4, {.register_elements = 3, .batch_calls = false}, InstructionSet::kAvx2);
}

std::vector<Buffers> EveryWay::Run(const Function& function, const std::vector<Buffers>& inputs) {
  std::vector<Buffers> expected;
  const auto kernel = compilers_[0]->Build(function, {});
  EXPECT_TRUE(kernel.ok()) << kernel.status();
  if (!kernel.ok()) return {};
  for (const Buffers& input : inputs) {
    expected.push_back(RunLanes(function, *kernel, {}, {input})[0]);
  }
  const uint64_t all = (uint64_t{1} << function.inputs.size()) - 1;
  for (uint64_t uniform = 0; uniform <= all; ++uniform) {
    RunOne(*compilers_[0], function, inputs, expected, uniform);
  }
  RunOne(*compilers_[1], function, inputs, expected, all & 0b101);
  RunOne(*compilers_[1], function, inputs, expected, 0);
  RunOne(*compilers_[2], function, inputs, expected, 0);
  return expected;
}

void EveryWay::RunOne(Compiler& compiler, const Function& function,
                      const std::vector<Buffers>& inputs, const std::vector<Buffers>& expected,
                      uint64_t uniform_inputs) {
  const KernelSpec spec = {.lanes = compiler.simd_lanes(), .uniform_inputs = uniform_inputs};
  const auto alone = compiler.Build(function, {});
  const auto together = compiler.Build(function, spec);
  ASSERT_TRUE(alone.ok() && together.ok()) << alone.status() << together.status();
  std::vector<Buffers> lanes;
  for (int lane = 0; lane < spec.lanes; ++lane) lanes.push_back(inputs[lane % inputs.size()]);
  for (size_t buffer = 0; buffer < function.inputs.size(); ++buffer) {
    if (((uniform_inputs >> buffer) & 1) == 0) continue;
    for (Buffers& lane : lanes) lane[buffer] = inputs[0][buffer];
  }
  const std::vector<Buffers> results = RunLanes(function, *together, spec, lanes);
  for (int lane = 0; lane < spec.lanes; ++lane) {
    const Buffers own = RunLanes(function, *alone, {}, {lanes[lane]})[0];
    EXPECT_TRUE(SameBits(results[lane], own))
        << function.name << " lane " << lane << " of " << spec.lanes << ", uniform inputs "
        << uniform_inputs;
    if (uniform_inputs == 0) {
      EXPECT_TRUE(SameBits(own, expected[lane % inputs.size()]))
          << function.name << " lane " << lane;
    }
  }
}

}  // namespace costate

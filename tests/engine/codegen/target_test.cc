#include "engine/codegen/target.h"

#include "gtest/gtest.h"
#include "llvm/Target/TargetMachine.h"

namespace costate::codegen {
namespace {

TEST(Target, LanesFitTheInstructionSet) {
  const HostTarget host = DetectHost().value();
  const HostTarget portable = DetectHost(InstructionSet::kPortable).value();
  EXPECT_EQ(portable.simd_lanes, 2);
  EXPECT_EQ(portable.instruction_set, InstructionSet::kPortable);
  EXPECT_GE(host.simd_lanes, portable.simd_lanes);
  if (host.instruction_set == InstructionSet::kAvx512) {
    EXPECT_EQ(host.simd_lanes, 8);
  }
  if (host.instruction_set >= InstructionSet::kAvx2) {
    EXPECT_EQ(DetectHost(InstructionSet::kAvx2)->simd_lanes, 4);
  }
}

TEST(Target, MachinesCanBeMade) {
  for (const InstructionSet set : {InstructionSet::kPortable, InstructionSet::kAvx512}) {
    const auto machine = MakeTargetMachine(DetectHost(set).value());
    ASSERT_TRUE(machine.ok()) << machine.status();
    EXPECT_EQ((*machine)->Options.AllowFPOpFusion, llvm::FPOpFusion::Strict);
  }
  HostTarget nowhere = DetectHost().value();
  nowhere.triple = "no-such-machine";
  EXPECT_EQ(MakeTargetMachine(nowhere).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace costate::codegen

#include "engine/codegen/target.h"

#include "absl/strings/str_cat.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/SubtargetFeature.h"
#include "llvm/TargetParser/Triple.h"

namespace costate::codegen {
namespace {

bool InitializeNative() {
  static const bool ok =
      !llvm::InitializeNativeTarget() && !llvm::InitializeNativeTargetAsmPrinter();
  return ok;
}

InstructionSet Classify(const llvm::StringMap<bool>& features) {
  const auto has = [&](const char* name) { return features.lookup(name); };
  if (!has("avx2") || !has("fma")) return InstructionSet::kPortable;
  const bool avx512 =
      has("avx512f") && has("avx512dq") && has("avx512vl") && has("avx512bw") && has("avx512cd");
  return avx512 ? InstructionSet::kAvx512 : InstructionSet::kAvx2;
}

}  // namespace

absl::StatusOr<HostTarget> DetectHost(InstructionSet at_most) {
  if (!InitializeNative()) return absl::UnavailableError("LLVM has no code generator for the host");
  HostTarget host;
  host.triple = llvm::sys::getProcessTriple();
  host.cpu = llvm::sys::getHostCPUName().str();
  const bool x86 = llvm::Triple(host.triple).isX86();
  const llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  llvm::SubtargetFeatures list;
  for (const auto& feature : features) list.AddFeature(feature.first(), feature.second);
  host.features = list.getString();
  if (x86) host.instruction_set = Classify(features);
  if (x86 && at_most < host.instruction_set) {
    host.instruction_set = at_most;
    host.cpu = at_most == InstructionSet::kAvx2 ? "x86-64-v3" : "x86-64";
    host.features.clear();
  }
  switch (host.instruction_set) {
    case InstructionSet::kPortable:
      host.simd_lanes = 2;
      break;
    case InstructionSet::kAvx2:
      host.simd_lanes = 4;
      break;
    case InstructionSet::kAvx512:
      host.simd_lanes = 8;
      break;
  }
  return host;
}

absl::StatusOr<std::unique_ptr<llvm::TargetMachine>> MakeTargetMachine(const HostTarget& host) {
  std::string error;
  const llvm::Target* target = llvm::TargetRegistry::lookupTarget(host.triple, error);
  if (target == nullptr) return absl::UnavailableError(error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      host.triple, host.cpu, host.features, options, llvm::Reloc::PIC_, llvm::CodeModel::Small,
      llvm::CodeGenOptLevel::Default, /*JIT=*/true));
  if (machine == nullptr) {
    return absl::UnavailableError(absl::StrCat("no target machine for ", host.triple));
  }
  return machine;
}

}  // namespace costate::codegen

#include "engine/codegen/emitter.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/codegen/block_emitter.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Vectorize/SLPVectorizer.h"

namespace costate::codegen {
namespace {

// Steps per object file.
constexpr size_t kStepsPerModule = 8192;

std::string BlockName(size_t block) { return absl::StrCat("costate_block_", block); }

void EmitBlockFunction(ModuleEmitter& emitter, const Block& block, const std::string& name) {
  BlockEmitter(emitter, emitter.DeclareEntry(name)).Emit(block);
}

// The entry of a kernel of several blocks: calls one after the other.
void EmitBlockCalls(ModuleEmitter& emitter, size_t num_blocks) {
  llvm::Function* entry = emitter.DeclareEntry(kEntrySymbol);
  llvm::IRBuilder<> builder(
      llvm::BasicBlock::Create(emitter.module().getContext(), "entry", entry));
  llvm::SmallVector<llvm::Value*, 4> arguments;
  for (llvm::Argument& argument : entry->args()) arguments.push_back(&argument);
  for (size_t i = 0; i < num_blocks; ++i) {
    llvm::Function* block = emitter.module().getFunction(BlockName(i));
    if (block == nullptr) block = emitter.DeclareEntry(BlockName(i));
    builder.CreateCall(block, arguments);
  }
  builder.CreateRetVoid();
}

// Blocks [first, end) and, in the last module, the entry.
void EmitModule(ModuleEmitter& emitter, size_t first, size_t end) {
  const std::vector<Block>& blocks = emitter.plan().blocks;
  if (blocks.size() == 1) return EmitBlockFunction(emitter, blocks[0], kEntrySymbol);
  for (size_t i = first; i < end; ++i) EmitBlockFunction(emitter, blocks[i], BlockName(i));
  if (end == blocks.size()) EmitBlockCalls(emitter, blocks.size());
}

size_t EndOfModule(const std::vector<Block>& blocks, size_t first) {
  size_t steps = 0;
  size_t end = first;
  while (end < blocks.size() && steps < kStepsPerModule) steps += blocks[end++].steps.size();
  return end;
}

std::unique_ptr<llvm::Module> MakeModule(llvm::LLVMContext& context, const HostTarget& host,
                                         const llvm::DataLayout& layout) {
  auto module = std::make_unique<llvm::Module>("costate", context);
  module->setTargetTriple(host.triple);
  module->setDataLayout(layout);
  return module;
}

// Few passes, as the IR of the model comes simplified: common subexpressions of addresses,
// splats and powers, then packing of equal scalar work around batches and stores (which halves
// the time of a kernel full of gates and costs a fifth of its compilation). None of them changes
// a bit of a result, as no instruction carries a fast-math flag.
void Optimise(llvm::Module& module, llvm::TargetMachine& machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager call_graph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(call_graph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, call_graph, modules);
  llvm::FunctionPassManager passes;
  passes.addPass(llvm::EarlyCSEPass());
  passes.addPass(llvm::InstCombinePass());
  passes.addPass(llvm::SLPVectorizerPass());
  passes.addPass(llvm::InstCombinePass());
  passes.addPass(llvm::EarlyCSEPass());
  llvm::ModulePassManager all;
  all.addPass(llvm::createModuleToFunctionPassAdaptor(std::move(passes)));
  all.run(module, modules);
}

absl::StatusOr<std::string> CompileModule(llvm::Module& module, llvm::TargetMachine& machine) {
#ifndef NDEBUG
  std::string problem;
  llvm::raw_string_ostream problem_stream(problem);
  if (llvm::verifyModule(module, &problem_stream)) {
    return absl::InternalError(absl::StrCat("emitted code is malformed: ", problem));
  }
#endif
  Optimise(module, machine);
  llvm::legacy::PassManager passes;
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream stream(object);
  llvm::MCContext* mc_context = nullptr;
  if (machine.addPassesToEmitMC(passes, mc_context, stream, /*DisableVerify=*/true)) {
    return absl::InternalError("the host's target cannot emit object files");
  }
  passes.run(module);
  return std::string(object.data(), object.size());
}

}  // namespace

absl::StatusOr<std::vector<std::string>> EmitObjects(const Function& function, const Plan& plan,
                                                     const HostTarget& host) {
  ASSIGN_OR_RETURN(const std::unique_ptr<llvm::TargetMachine> machine, MakeTargetMachine(host));
  std::vector<std::string> objects;
  size_t first = 0;
  do {
    const size_t end = EndOfModule(plan.blocks, first);
    llvm::LLVMContext context;
    const auto module = MakeModule(context, host, machine->createDataLayout());
    ModuleEmitter emitter(function, plan, host, *module);
    EmitModule(emitter, first, end);
    ASSIGN_OR_RETURN(std::string object, CompileModule(*module, *machine));
    objects.push_back(std::move(object));
    first = end;
  } while (first < plan.blocks.size());
  return objects;
}

std::string PrintLlvmIr(const Function& function, const Plan& plan, const HostTarget& host) {
  const auto machine = MakeTargetMachine(host);
  if (!machine.ok()) return machine.status().ToString();
  llvm::LLVMContext context;
  const auto module = MakeModule(context, host, (*machine)->createDataLayout());
  ModuleEmitter emitter(function, plan, host, *module);
  EmitModule(emitter, 0, plan.blocks.size());
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream, nullptr);
  return text;
}

}  // namespace costate::codegen

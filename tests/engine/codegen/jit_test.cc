// Objects made from hand-written LLVM IR, so that they can refer to anything.
#include "engine/codegen/jit.h"

#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "engine/codegen/target.h"
#include "gtest/gtest.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

namespace costate::codegen {
namespace {

std::string Compile(const std::string& ir) {
  const auto machine = MakeTargetMachine(DetectHost().value()).value();
  llvm::LLVMContext context;
  llvm::SMDiagnostic problem;
  const auto module = llvm::parseAssemblyString(ir, problem, context);
  EXPECT_NE(module, nullptr) << problem.getMessage().str();
  module->setTargetTriple(machine->getTargetTriple().str());
  module->setDataLayout(machine->createDataLayout());
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager passes;
  llvm::MCContext* mc = nullptr;
  EXPECT_FALSE(machine->addPassesToEmitMC(passes, mc, stream));
  passes.run(*module);
  return {object.data(), object.size()};
}

std::shared_ptr<Jit> MakeJit() {
  return Jit::Create(RuntimeSymbols(DetectHost().value().instruction_set)).value();
}

using Function0 = double (*)(double);

double Call(const LoadedCode& code, double x) {
  return reinterpret_cast<Function0>(code.entry())(x);
}

const char kTwice[] = "define double @f(double %x) { %y = fadd double %x, %x ret double %y }";

TEST(Jit, RunsWhatItLinks) {
  const auto code = MakeJit()->Load({Compile(kTwice)}, "f");
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(Call(**code, 21), 42);
}

TEST(Jit, AllowedSymbolsLink) {
  const auto code = MakeJit()->Load(
      {Compile("declare double @floor(double)\n"
               "define double @f(double %x) { %y = call double @floor(double %x) ret double %y }")},
      "f");
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(Call(**code, 2.5), 2);
}

// All of these are in the process.
TEST(Jit, NothingElseOfTheProcessLinks) {
  const auto jit = MakeJit();
  for (const std::string symbol : {"system", "printf", "malloc", "exp", "sin", "mmap", "abort"}) {
    const auto code = jit->Load({Compile("declare double @" + symbol +
                                         "(double)\n"
                                         "define double @f(double %x) {\n"
                                         "  %y = call double @" +
                                         symbol +
                                         "(double %x) nobuiltin\n"
                                         "  ret double %y\n}")},
                                "f");
    const bool portable = DetectHost()->instruction_set == InstructionSet::kPortable;
    if (symbol == "sin" && portable) continue;  // the C library's is allowed there
    EXPECT_EQ(code.status().code(), absl::StatusCode::kInternal) << symbol;
    EXPECT_TRUE(absl::StrContains(code.status().message(), symbol)) << code.status();
  }
  EXPECT_TRUE(jit->Load({Compile(kTwice)}, "f").ok()) << "a failure leaves the others alone";
}

TEST(Jit, ObjectsOfOneKernelSeeEachOther) {
  const auto code = MakeJit()->Load(
      {Compile("declare double @g(double)\n"
               "define double @f(double %x) { %y = call double @g(double %x) ret double %y }"),
       Compile("define double @g(double %x) { %y = fmul double %x, 3.0 ret double %y }")},
      "f");
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(Call(**code, 5), 15);
}

TEST(Jit, KernelsDoNotSeeEachOther) {
  const auto jit = MakeJit();
  const auto first = jit->Load({Compile(kTwice)}, "f");
  const auto second = jit->Load({Compile("define double @f(double %x) { ret double 7.0 }")}, "f");
  const auto third = jit->Load(
      {Compile("declare double @f(double)\n"
               "define double @h(double %x) { %y = call double @f(double %x) ret double %y }")},
      "h");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(Call(**first, 4), 8);
  EXPECT_EQ(Call(**second, 4), 7);
  EXPECT_FALSE(third.ok());
}

TEST(Jit, BadObjectsAndMissingEntriesAreErrors) {
  const auto jit = MakeJit();
  EXPECT_EQ(jit->Load({"not an object"}, "f").status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(jit->Load({""}, "f").status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(jit->Load({Compile(kTwice).substr(0, 200)}, "f").status().code(),
            absl::StatusCode::kInternal);
  EXPECT_EQ(jit->Load({Compile(kTwice)}, "g").status().code(), absl::StatusCode::kInternal);
}

TEST(Jit, CodeOutlivesTheJit) {
  auto jit = MakeJit();
  const auto code = jit->Load({Compile(kTwice)}, "f").value();
  jit.reset();
  EXPECT_EQ(Call(*code, 4), 8);
}

TEST(Jit, NoPageIsWritableAndExecutable) {
  const auto code = MakeJit()->Load({Compile(kTwice)}, "f").value();
  std::ifstream maps("/proc/self/maps");
  const auto entry = reinterpret_cast<uintptr_t>(code->entry());
  bool found = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long first = 0, last = 0;
    char mode[5] = "";
    ASSERT_EQ(std::sscanf(line.c_str(), "%lx-%lx %4s", &first, &last, mode), 3);
    EXPECT_FALSE(mode[1] == 'w' && mode[2] == 'x') << line;
    if (entry >= first && entry < last) {
      found = true;
      EXPECT_EQ(std::string(mode), "r-xp");
    }
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace costate::codegen

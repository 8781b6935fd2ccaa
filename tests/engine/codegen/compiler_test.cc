#include "engine/codegen/compiler.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "gtest/gtest.h"
#include "tests/engine/codegen/evaluation.h"

namespace costate {
namespace {

namespace fs = std::filesystem;

// y_i' = (sigmoid(v + p_i) - y_i) / (1 + p_i), equation by equation.
Function Equations(int64_t n) {
  FunctionBuilder b("rhs", {{"t", 1}, {"y", n}, {"p", n}}, {{"dy", n}});
  const ValueId v = b.Input(1, 0, {});
  for (int64_t i = 0; i < n; ++i) {
    const ValueId p = b.Input(2, i, {});
    const ValueId gate = b.Unary(Op::kSigmoid, b.Binary(Op::kAdd, v, p));
    const ValueId distance = b.Binary(Op::kSub, gate, b.Input(1, i, {}));
    b.Result(b.Binary(Op::kDiv, distance, b.Binary(Op::kAdd, b.Constant(1.0), p)), 0, i);
  }
  return std::move(b).Build();
}

Buffers Inputs(int64_t n, double shift = 0) {
  Buffers in = {{0.5}, {}, {}};
  for (int64_t i = 0; i < n; ++i) {
    in[1].push_back(0.01 * static_cast<double>(i % 37) + shift);
    in[2].push_back(0.02 * static_cast<double>(i % 53) - shift);
  }
  return in;
}

TEST(Compiler, RefusesWhatItCannotDo) {
  const auto compiler = MakeCompiler({}).value();
  const Function f = Equations(2);
  EXPECT_EQ(compiler->Build(f, {.lanes = 3}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(compiler->Build(f, {.lanes = 0}).status().code(), absl::StatusCode::kInvalidArgument);
  const KernelSpec uniform_output = {.lanes = compiler->simd_lanes(), .uniform_outputs = 1};
  EXPECT_EQ(compiler->Build(f, uniform_output).status().code(), absl::StatusCode::kInvalidArgument);
  CompilerOptions options;
  options.simd_lanes = 3;
  EXPECT_EQ(MakeCompiler(options).status().code(), absl::StatusCode::kInvalidArgument);
  options = {};
  options.block_size = 0;
  EXPECT_EQ(MakeCompiler(options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Compiler, UniformOutputsAreWrittenOnce) {
  FunctionBuilder b("f", {{"x", 3}, {"p", 20}}, {{"y", 3}, {"q", 21}});
  const ValueId p = b.Unary(Op::kExp, b.Input(1, 0, {20}));
  b.Result(b.Binary(Op::kMul, b.Input(0, 0, {3}), b.Sum(p)), 0, 0);
  b.Result(p, 1, 0);
  b.Result(b.Sum(p), 1, 20);
  const Function f = std::move(b).Build();
  const auto compiler = MakeCompiler({}).value();
  const KernelSpec spec = {
      .lanes = compiler->simd_lanes(), .uniform_inputs = 0b10, .uniform_outputs = 0b10};
  const Kernel kernel = compiler->Build(f, spec).value();
  std::vector<Buffers> lanes;
  for (int i = 0; i < spec.lanes; ++i) {
    lanes.push_back({{1.0 * i, 2, 3}, std::vector<double>(20, 0.25)});
  }
  const auto results = RunLanes(f, kernel, spec, lanes);
  for (int i = 0; i < spec.lanes; ++i) {
    const Buffers alone = RunLanes(f, compiler->Build(f, {}).value(), {}, {lanes[i]})[0];
    EXPECT_TRUE(SameBits(results[i], alone));
  }
}

TEST(Compiler, BlockSizeChangesNoBit) {
  constexpr int64_t kSize = 300;
  const Function f = Equations(kSize);
  std::vector<Buffers> results;
  for (const int block_size : {1, 8, 64, 256, 100'000}) {
    CompilerOptions options;
    options.block_size = block_size;
    const auto compiler = MakeCompiler(options).value();
    results.push_back(RunLanes(f, compiler->Build(f, {}).value(), {}, {Inputs(kSize)})[0]);
    EXPECT_TRUE(SameBits(results.back(), results.front())) << block_size;
  }
  const Buffers expected = Interpret(f, Inputs(kSize));
  for (int64_t i = 0; i < kSize; ++i) EXPECT_LE(UlpDistance(results[0][0][i], expected[0][i]), 64u);
}

TEST(Compiler, LargeFunctionsComeInSeveralObjects) {
  constexpr int64_t kSize = 4000;
  const Function f = Equations(kSize);
  const auto compiler = MakeCompiler({}).value();
  const Buffers result = RunLanes(f, compiler->Build(f, {}).value(), {}, {Inputs(kSize)})[0];
  const Buffers first =
      RunLanes(Equations(300), compiler->Build(Equations(300), {}).value(), {}, {Inputs(300)})[0];
  for (int64_t i = 0; i < kSize; ++i) {
    ASSERT_TRUE(std::isfinite(result[0][i]));
    if (i < 300) {
      ASSERT_EQ(result[0][i], first[0][i]);
    }
  }
}

TEST(Compiler, AnEmptyFunctionIsAKernel) {
  Function f;
  f.name = "empty";
  f.inputs = {{"x", 3}};
  const auto compiler = MakeCompiler({}).value();
  const Kernel kernel = compiler->Build(f, {}).value();
  RunLanes(f, kernel, {}, {{{1, 2, 3}}});
}

TEST(Compiler, SecondRequestComesFromMemory) {
  const auto compiler = MakeCompiler({}).value();
  const Function f = Equations(5);
  ASSERT_TRUE(compiler->Build(f, {}).ok() && compiler->Build(f, {}).ok());
  Function renamed = f;
  renamed.name = "another";
  // With one lane the masks say nothing.
  ASSERT_TRUE(compiler->Build(renamed, {.lanes = 1, .uniform_inputs = 7}).ok());
  EXPECT_EQ(compiler->stats().compiled, 1);
  EXPECT_EQ(compiler->stats().memory_hits, 2);
  EXPECT_GT(compiler->stats().code_bytes, 0);
  EXPECT_GT(compiler->stats().compile_time, absl::ZeroDuration());
}

TEST(Compiler, MemoryIsBounded) {
  CompilerOptions options;
  options.max_memory_cache_bytes = 1;
  const auto compiler = MakeCompiler(options).value();
  const Function f = Equations(5);
  const Kernel first = compiler->Build(f, {}).value();
  const Kernel second = compiler->Build(f, {}).value();
  EXPECT_EQ(compiler->stats().compiled, 2);
  EXPECT_TRUE(
      SameBits(RunLanes(f, first, {}, {Inputs(5)})[0], RunLanes(f, second, {}, {Inputs(5)})[0]));
}

TEST(Compiler, KernelsOutliveTheCompiler) {
  const Function f = Equations(12);
  Kernel kernel;
  {
    const auto compiler = MakeCompiler({}).value();
    kernel = compiler->Build(f, {}).value();
  }
  const Kernel copy = kernel;
  kernel = Kernel();
  const Buffers result = RunLanes(f, copy, {}, {Inputs(12)})[0];
  EXPECT_LE(UlpDistance(result[0][3], Interpret(f, Inputs(12))[0][3]), 64u);
}

TEST(Compiler, ThreadsShareKernelsAndCompileOnce) {
  const auto compiler = MakeCompiler({}).value();
  std::vector<Function> functions;
  for (int64_t n = 1; n <= 6; ++n) functions.push_back(Equations(n));
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < functions.size(); ++i) {
        const Function& f = functions[(i + t) % functions.size()];
        const auto kernel = compiler->Build(f, {});
        ASSERT_TRUE(kernel.ok()) << kernel.status();
        const Buffers in = Inputs(f.outputs[0].size, 0.1 * t);
        const Buffers out = RunLanes(f, *kernel, {}, {in})[0];
        EXPECT_NEAR(out[0][0], Interpret(f, in)[0][0], 1e-13);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(compiler->stats().compiled, 6);
  EXPECT_EQ(compiler->stats().memory_hits, 42);
}

class CompilerOnDisk : public testing::Test {
 protected:
  CompilerOnDisk()
      : directory_(absl::StrCat(testing::TempDir(), "/costate_compiler_", getpid(), "_",
                                testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::remove_all(directory_);
    options_.cache_directory = directory_;
  }
  ~CompilerOnDisk() override { fs::remove_all(directory_); }

  // A new process: compiles or loads, checks the values, returns the statistics.
  CompilerStats RunOnce(const KernelSpec& spec = {}) {
    const auto compiler = MakeCompiler(options_).value();
    const Function f = Equations(40);
    const auto kernel = compiler->Build(f, spec);
    EXPECT_TRUE(kernel.ok()) << kernel.status();
    const Buffers out = RunLanes(f, *kernel, spec, std::vector<Buffers>(spec.lanes, Inputs(40)))[0];
    EXPECT_NEAR(out[0][39], Interpret(f, Inputs(40))[0][39], 1e-13);
    return compiler->stats();
  }

  const std::string directory_;
  CompilerOptions options_;
};

TEST_F(CompilerOnDisk, AnotherProcessFindsTheObject) {
  EXPECT_EQ(RunOnce().compiled, 1);
  const CompilerStats second = RunOnce();
  EXPECT_EQ(second.compiled, 0);
  EXPECT_EQ(second.disk_hits, 1);
  EXPECT_EQ(RunOnce({.lanes = MakeCompiler({}).value()->simd_lanes()}).compiled, 1);
}

TEST_F(CompilerOnDisk, ADamagedFileIsCompiledAgain) {
  RunOnce();
  for (const auto& entry : fs::directory_iterator(directory_)) {
    fs::resize_file(entry.path(), fs::file_size(entry.path()) / 2);
  }
  EXPECT_EQ(RunOnce().compiled, 1);
  EXPECT_EQ(RunOnce().disk_hits, 1);
}

TEST_F(CompilerOnDisk, OtherOptionsAreOtherFiles) {
  RunOnce();
  options_.block_size = 17;
  EXPECT_EQ(RunOnce().compiled, 1);
}

TEST_F(CompilerOnDisk, AnUnusableDirectoryIsAnError) {
  options_.cache_directory = "/proc/no/such/place";
  EXPECT_EQ(MakeCompiler(options_).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace costate

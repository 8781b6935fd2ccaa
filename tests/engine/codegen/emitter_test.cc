#include "engine/codegen/emitter.h"

#include "absl/strings/match.h"
#include "engine/model/function_builder.h"
#include "gtest/gtest.h"

namespace costate::codegen {
namespace {

Function Gates(int64_t n) {
  FunctionBuilder b("f", {{"y", n}, {"p", n}}, {{"dy", n}});
  for (int64_t i = 0; i < n; ++i) {
    const ValueId x = b.Binary(Op::kMul, b.Input(0, i, {}), b.Input(1, i, {}));
    b.Result(b.Binary(Op::kAdd, b.Unary(Op::kTanh, x), b.Unary(Op::kSin, x)), 0, i);
  }
  return std::move(b).Build();
}

struct Emitted {
  std::string ir;
  int64_t object_bytes = 0;
  size_t objects = 0;
};

Emitted Emit(const Function& f, const KernelSpec& spec, int block_size) {
  const HostTarget host = DetectHost().value();
  const PlanOptions options = {.block_size = block_size, .batch_width = host.simd_lanes};
  const Plan plan = MakePlan(f, spec, options).value();
  Emitted emitted;
  emitted.ir = PrintLlvmIr(f, plan, host);
  const auto objects = EmitObjects(f, plan, host);
  EXPECT_TRUE(objects.ok()) << objects.status();
  for (const std::string& object : *objects) {
    emitted.object_bytes += static_cast<int64_t>(object.size());
  }
  emitted.objects = objects->size();
  return emitted;
}

TEST(Emitter, NoInstructionMayBeReassociatedOrContracted) {
  const std::string ir = Emit(Gates(4), {}, 256).ir;
  for (const char* flag : {" fast ", " reassoc ", " contract ", " nnan ", " ninf ", " nsz ",
                           " arcp ", " afn ", "fmuladd"}) {
    EXPECT_FALSE(absl::StrContains(ir, flag)) << flag;
  }
  EXPECT_TRUE(absl::StrContains(ir, "llvm.fma")) << "of the polynomials";
}

TEST(Emitter, OneBlockIsTheEntryItself) {
  const Emitted one = Emit(Gates(2), {}, 256);
  EXPECT_TRUE(absl::StrContains(one.ir, "@costate_kernel"));
  EXPECT_FALSE(absl::StrContains(one.ir, "@costate_block_0"));
  EXPECT_TRUE(absl::StrContains(Emit(Gates(200), {}, 64).ir, "@costate_block_7"));
}

// Past some number of calls a function of the module serves them all.
TEST(Emitter, CodeGrowsSlowlyWithTheNumberOfCalls) {
  const Emitted few = Emit(Gates(100), {}, 256);
  const Emitted many = Emit(Gates(1000), {}, 256);
  EXPECT_LT(many.object_bytes, 12 * few.object_bytes);
  EXPECT_LT(many.object_bytes, 1000 * 400);
}

TEST(Emitter, ConstantTensorsAreNotUnrolled) {
  FunctionBuilder b("f", {{"y", 1000}}, {{"dy", 1000}});
  ValueId x = b.Input(0, 0, {1000});
  for (int i = 0; i < 10; ++i) x = b.Binary(Op::kMul, b.Unary(Op::kTanh, x), b.Constant(i + 0.5));
  b.Result(x, 0, 0);
  const Function f = std::move(b).Build();
  EXPECT_LT(Emit(f, {}, 256).object_bytes, 16'000);
  EXPECT_LT(Emit(f, {.lanes = DetectHost()->simd_lanes}, 256).object_bytes, 16'000);
}

}  // namespace
}  // namespace costate::codegen

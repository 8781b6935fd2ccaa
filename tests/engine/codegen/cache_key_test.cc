#include "engine/codegen/cache_key.h"

#include <functional>
#include <set>

#include "engine/model/function_builder.h"
#include "gtest/gtest.h"

namespace costate::codegen {
namespace {

Function Example() {
  FunctionBuilder b("f", {{"x", 6}}, {{"y", 3}});
  const ValueId x = b.Input(0, 0, {3});
  const ValueId p = b.Powi(b.Binary(Op::kAdd, x, b.Constant({1, 2, 3}, {3})), 3);
  b.Result(b.Binary(Op::kMul, p, b.Constant(0.5)), 0, 0);
  return std::move(b).Build();
}

size_t IndexOf(const Function& f, Op op) {
  for (size_t i = 0; i < f.instructions.size(); ++i) {
    if (f.instructions[i].op == op) return i;
  }
  return f.instructions.size();
}

TEST(CacheKey, NamesAndLocationsDoNotCount) {
  const HostTarget host = DetectHost().value();
  Function f = Example();
  const CacheKey key = KernelKey(f, {}, {}, host);
  f.name = "g";
  f.inputs[0].name = "other";
  f.outputs[0].name = "out";
  for (Instruction& instruction : f.instructions) instruction.location.line = 7;
  EXPECT_EQ(KernelKey(f, {}, {}, host), key);
}

TEST(CacheKey, EverythingElseCounts) {
  const HostTarget host = DetectHost().value();
  std::set<CacheKey> keys = {KernelKey(Example(), {}, {}, host)};
  const auto add = [&](const std::function<void(Function&)>& change) {
    Function f = Example();
    change(f);
    EXPECT_TRUE(keys.insert(KernelKey(f, {}, {}, host)).second) << keys.size();
  };
  add([](Function& f) { f.inputs[0].size = 7; });
  add([](Function& f) { f.inputs.push_back({"z", 1}); });
  add([](Function& f) { f.outputs[0].size = 4; });
  add([](Function& f) { f.constants[0][0] = -0.0; });
  add([](Function& f) { f.constants[0][0] = 0.0; });
  add([](Function& f) { f.instructions[IndexOf(f, Op::kAdd)].op = Op::kSub; });
  add([](Function& f) { f.instructions[IndexOf(f, Op::kPowi)].attributes[0] = 2; });
  add([](Function& f) { f.instructions[IndexOf(f, Op::kInput)].attributes[1] = 1; });
  add([](Function& f) { f.instructions[IndexOf(f, Op::kAdd)].shape = {3, 1}; });
  add([](Function& f) {
    std::swap(f.instructions.back().operands[0], f.instructions.back().operands[1]);
  });
  add([](Function& f) { f.results[0].value = 0; });
  add([](Function& f) { f.results[0].offset = 1; });
  const Function f = Example();
  EXPECT_TRUE(keys.insert(KernelKey(f, {.lanes = 8}, {}, host)).second);
  EXPECT_TRUE(keys.insert(KernelKey(f, {.lanes = 8, .uniform_inputs = 1}, {}, host)).second);
  EXPECT_TRUE(keys.insert(KernelKey(f, {.lanes = 8, .uniform_outputs = 1}, {}, host)).second);
  EXPECT_TRUE(keys.insert(KernelKey(f, {}, {.block_size = 9}, host)).second);
  HostTarget other = host;
  other.features += ",-avx512f";
  EXPECT_TRUE(keys.insert(KernelKey(f, {}, {}, other)).second);
  other = host;
  other.cpu = "x86-64";
  EXPECT_TRUE(keys.insert(KernelKey(f, {}, {}, other)).second);
}

TEST(CacheKey, HexHasTwoDigitsAByte) {
  CacheKey key = {};
  key[0] = 0xab;
  key[31] = 0x01;
  EXPECT_EQ(KeyToHex(key), "ab" + std::string(60, '0') + "01");
}

}  // namespace
}  // namespace costate::codegen

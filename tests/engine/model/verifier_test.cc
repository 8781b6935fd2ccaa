// Broken functions and models, and what the verifier says about each.
#include <functional>
#include <limits>
#include <string>

#include "engine/base/limits.h"
#include "engine/model/function_builder.h"
#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();

// %0 = input x, %1 = lt %0, %0, %2 = select %1, %0, %0; out = %2.
Function Good() {
  Function f;
  f.name = "f";
  f.inputs = {{"x", 3}};
  f.outputs = {{"out", 3}};
  Instruction input;
  input.op = Op::kInput;
  input.shape = {3};
  input.attributes = {0, 0};
  Instruction compare;
  compare.op = Op::kLt;
  compare.dtype = DType::kBool;
  compare.shape = {3};
  compare.operands = {0, 0};
  Instruction select;
  select.op = Op::kSelect;
  select.shape = {3};
  select.operands = {1, 0, 0};
  f.instructions = {input, compare, select};
  f.results = {{2, 0, 0}};
  return f;
}

TEST(VerifierTest, AcceptsTheGoodFunction) { EXPECT_TRUE(VerifyFunction(Good()).ok()); }

TEST(VerifierTest, RefusesBrokenFunctions) {
  struct Row {
    std::function<void(Function&)> spoil;
    std::string message;
  };
  const Row rows[] = {
      {[](Function& f) { f.instructions[1].operands[0] = 1; },
       "f: instruction 1 (lt): operand %1 is not an earlier value"},
      {[](Function& f) { f.instructions[1].operands[0] = 2; },
       "operand %2 is not an earlier value"},
      {[](Function& f) { f.instructions[1].operands[0] = -7; }, "operand %-7 is not an earlier"},
      {[](Function& f) { f.instructions[0].op = static_cast<Op>(255); },
       "f: instruction 0 (op 255): unknown op"},
      {[](Function& f) { f.instructions[1].dtype = DType::kF64; },
       "f: instruction 1 (lt): dtype is f64, expected bool"},
      {[](Function& f) { f.instructions[2].shape = {4}; },
       "f: instruction 2 (select): shape is [4], expected [3]"},
      {[](Function& f) { f.instructions[0].attributes = {0, 1}; },
       "f: instruction 0 (input): reads 3 elements from 1 on, buffer 'x' has 3"},
      {[](Function& f) { f.instructions[0].attributes = {1, 0}; }, "input buffer 1 does not exist"},
      {[](Function& f) { f.instructions[0].attributes = {}; }, "has 0 attributes, expected 2"},
      {[](Function& f) { f.results[0].value = 1; }, "f: result %1 is bool, expected f64"},
      {[](Function& f) { f.results[0].value = 3; }, "f: result %3 does not exist"},
      {[](Function& f) { f.results[0].value = -1; }, "f: result %-1 does not exist"},
      {[](Function& f) { f.results[0].buffer = 1; }, "f: output buffer 1 does not exist"},
      {[](Function& f) { f.results[0].buffer = -1; }, "f: output buffer -1 does not exist"},
      {[](Function& f) { f.results[0].offset = 1; },
       "entry at 1 of 3 elements of output 'out' overlaps, leaves a gap"},
      {[](Function& f) { f.results[0].offset = std::numeric_limits<int64_t>::min(); },
       "overlaps, leaves a gap"},
      {[](Function& f) { f.results.push_back({0, 0, 2}); }, "overlaps, leaves a gap"},
      {[](Function& f) { f.results.push_back({0, 0, 3}); }, "or exceeds size 3"},
      {[](Function& f) { f.results.clear(); }, "f: output 'out' has 3 elements, 0 are written"},
      {[](Function& f) { f.outputs[0].size = 4; }, "output 'out' has 4 elements, 3 are written"},
      {[](Function& f) { f.outputs[0].size = -3; }, "output buffer 'out' has size -3"},
      {[](Function& f) { f.inputs[0].size = int64_t{1} << 60; }, "allowed are 0 to 67108864"},
      {[](Function& f) { f.inputs.resize(65); }, "has 65 input buffers, at most 64"},
      {[](Function& f) { f.instructions.resize(limits::kMaxInstructions + 1, f.instructions[0]); },
       "has 1000001 instructions, at most 1000000"},
  };
  for (const Row& row : rows) {
    Function f = Good();
    row.spoil(f);
    const absl::Status status = VerifyFunction(f);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.message));
  }
}

TEST(VerifierTest, EntriesMayComeInAnyOrder) {
  Function f = Good();
  f.outputs[0].size = 6;
  f.results = {{2, 0, 3}, {0, 0, 0}};
  EXPECT_TRUE(VerifyFunction(f).ok());
}

// x' = -k x, out = x, x(0) = k
ModelIr GoodModel() {
  ModelIr model;
  model.name = "decay";
  model.params = {{"k", {}, 0, {2.0}, 0, kInf, {}}};
  model.states = {{"x", {}, 0, {}, 0, 0, {}}};
  model.outputs = {{"x", {}, 0, {}, 0, 0, {}}};
  FunctionBuilder init("init", {{"t", 1}, {"p", 1}}, {{"y", 1}});
  init.Result(init.Input(1, 0, {}), 0, 0);
  model.init = std::move(init).Build();
  FunctionBuilder rhs("rhs", {{"t", 1}, {"y", 1}, {"p", 1}}, {{"dy", 1}});
  const ValueId flow =
      rhs.Binary(Op::kMul, rhs.Input(kParamBuffer, 0, {}), rhs.Input(kStateBuffer, 0, {}));
  rhs.Result(rhs.Unary(Op::kNeg, flow), 0, 0);
  model.rhs = std::move(rhs).Build();
  FunctionBuilder outputs("outputs", {{"t", 1}, {"y", 1}, {"p", 1}}, {{"out", 1}});
  outputs.Result(outputs.Input(kStateBuffer, 0, {}), 0, 0);
  model.output_map = std::move(outputs).Build();
  return model;
}

TEST(VerifierTest, AcceptsTheGoodModel) {
  EXPECT_TRUE(VerifyModel(GoodModel()).ok()) << VerifyModel(GoodModel());
  ModelIr unnamed = GoodModel();
  unnamed.name.clear();
  EXPECT_TRUE(VerifyModel(unnamed).ok());
}

TEST(VerifierTest, RefusesBrokenModels) {
  struct Row {
    std::function<void(ModelIr&)> spoil;
    std::string message;
  };
  const Row rows[] = {
      {[](ModelIr& m) { m.name = "de cay"; }, "the model's name is not an identifier"},
      {[](ModelIr& m) { m.params[0].name = "2k"; }, "'2k' is not an identifier"},
      {[](ModelIr& m) { m.params[0].name = std::string(129, 'k'); }, "at most 128 bytes"},
      {[](ModelIr& m) { m.params[0].name = "x"; }, "name 'x' is used twice"},
      {[](ModelIr& m) { m.params[0].offset = 1; }, "'k' has offset 1, expected 0"},
      {[](ModelIr& m) { m.params[0].shape = {2}; }, "'k' has 1 defaults, expected 2"},
      {[](ModelIr& m) { m.params[0].shape = {-1}; }, "shape [-1] of 'k' is not allowed"},
      {[](ModelIr& m) { m.params[0].shape = {1, 1, 1, 1, 1}; }, "'k' has more than 4 axes"},
      {[](ModelIr& m) { m.params[0].shape = {int64_t{1} << 40, int64_t{1} << 40}; },
       "of 'k' is not allowed"},
      {[](ModelIr& m) { m.params[0].defaults = {kInf}; }, "default of parameter 'k' is not finite"},
      {[](ModelIr& m) { m.params[0].lower = 3, m.params[0].upper = 2; },
       "bounds [3, 2] of parameter 'k' are not in order"},
      {[](ModelIr& m) { m.params[0].upper = std::numeric_limits<double>::quiet_NaN(); },
       "are not in order"},
      {[](ModelIr& m) { m.states.clear(); }, "the model has 0 states, allowed are 1 to"},
      {[](ModelIr& m) { m.params.clear(); }, "function 'init' does not have the buffers of init"},
      {[](ModelIr& m) { m.rhs = m.init; }, "function 'init' does not have the buffers of rhs"},
      {[](ModelIr& m) { m.output_map.outputs.clear(); }, "does not have the buffers of outputs"},
      {[](ModelIr& m) { m.rhs.results.clear(); }, "rhs: output 'dy' has 1 elements, 0 are written"},
  };
  for (const Row& row : rows) {
    ModelIr model = GoodModel();
    row.spoil(model);
    const absl::Status status = VerifyModel(model);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.message));
  }
}

}  // namespace
}  // namespace costate

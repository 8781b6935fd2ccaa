#include "engine/model/function_builder.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "engine/model/model.h"

namespace costate {
namespace {

// Constants with more elements are not looked up for sharing: their bits would be kept twice.
constexpr size_t kMaxSharedConstant = 1024;

[[noreturn]] void Abort(const Instruction& instruction, const absl::Status& status) {
  std::fprintf(stderr, "FunctionBuilder: %s: %s\n", std::string(OpName(instruction.op)).c_str(),
               std::string(status.message()).c_str());
  std::abort();
}

template <typename T>
void AppendBytes(T value, std::string* key) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  key->append(bytes, sizeof(T));
}

Instruction Make(Op op, std::initializer_list<ValueId> operands, Shape shape = {}) {
  Instruction instruction;
  instruction.op = op;
  instruction.operands.assign(operands.begin(), operands.end());
  instruction.shape = std::move(shape);
  return instruction;
}

bool Commutes(Op op) {
  return op == Op::kAdd || op == Op::kMul || op == Op::kEq || op == Op::kNe || op == Op::kAnd ||
         op == Op::kOr;
}

}  // namespace

FunctionBuilder::FunctionBuilder(std::string name, std::vector<Buffer> inputs,
                                 std::vector<Buffer> outputs) {
  function_.name = std::move(name);
  function_.inputs = std::move(inputs);
  function_.outputs = std::move(outputs);
}

ValueId FunctionBuilder::Constant(double value) {
  return Constant(std::vector<double>{value}, Shape{});
}

ValueId FunctionBuilder::Constant(std::vector<double> elements, Shape shape) {
  std::string key;
  if (elements.size() <= kMaxSharedConstant) {
    key.reserve(1 + 8 * (shape.size() + elements.size()));
    AppendBytes(static_cast<uint8_t>(Op::kConstant), &key);
    for (int64_t extent : shape) AppendBytes(extent, &key);
    AppendBytes(int64_t{-1}, &key);
    for (double element : elements) AppendBytes(element, &key);
    const auto found = shared_.find(key);
    if (found != shared_.end()) return found->second;
  }
  Instruction instruction = Make(Op::kConstant, {}, std::move(shape));
  instruction.attributes = {static_cast<int64_t>(function_.constants.size())};
  function_.constants.push_back(std::move(elements));
  const absl::Status status = InferShape(function_, &instruction);
  if (!status.ok()) Abort(instruction, status);
  const ValueId id = AppendShared(std::move(instruction));
  if (!key.empty()) shared_.emplace(std::move(key), id);
  return id;
}

ValueId FunctionBuilder::Input(int buffer, int64_t offset, Shape shape) {
  Instruction instruction = Make(Op::kInput, {}, std::move(shape));
  instruction.attributes = {buffer, offset};
  return Append(std::move(instruction));
}

ValueId FunctionBuilder::Unary(Op op, ValueId x) { return Append(Make(op, {x})); }

ValueId FunctionBuilder::Binary(Op op, ValueId a, ValueId b) { return Append(Make(op, {a, b})); }

ValueId FunctionBuilder::Powi(ValueId x, int64_t exponent) {
  Instruction instruction = Make(Op::kPowi, {x});
  instruction.attributes = {exponent};
  return Append(std::move(instruction));
}

ValueId FunctionBuilder::Select(ValueId condition, ValueId a, ValueId b) {
  return Append(Make(Op::kSelect, {condition, a, b}));
}

ValueId FunctionBuilder::Sum(ValueId x, int64_t axis) {
  Instruction instruction = Make(Op::kSum, {x});
  instruction.attributes = {axis};
  return Append(std::move(instruction));
}

ValueId FunctionBuilder::Reshape(ValueId x, Shape shape) {
  return Append(Make(Op::kReshape, {x}, std::move(shape)));
}

ValueId FunctionBuilder::Transpose(ValueId x) {
  return shape(x).size() < 2 ? x : Append(Make(Op::kTranspose, {x}));
}

ValueId FunctionBuilder::BroadcastTo(ValueId x, Shape shape) {
  return Append(Make(Op::kBroadcastTo, {x}, std::move(shape)));
}

ValueId FunctionBuilder::SumTo(ValueId x, Shape shape) {
  return Append(Make(Op::kSumTo, {x}, std::move(shape)));
}

ValueId FunctionBuilder::Slice(ValueId x, std::vector<int64_t> start_stop_step) {
  Instruction instruction = Make(Op::kSlice, {x});
  instruction.attributes.assign(start_stop_step.begin(), start_stop_step.end());
  return Append(std::move(instruction));
}

ValueId FunctionBuilder::Pad(ValueId x, std::vector<int64_t> start_step, Shape shape) {
  Instruction instruction = Make(Op::kPad, {x}, std::move(shape));
  instruction.attributes.assign(start_step.begin(), start_step.end());
  return Append(std::move(instruction));
}

ValueId FunctionBuilder::Concat(std::vector<ValueId> parts, int64_t axis) {
  Instruction instruction = Make(Op::kConcat, {});
  instruction.operands.assign(parts.begin(), parts.end());
  instruction.attributes = {axis};
  return Append(std::move(instruction));
}

ValueId FunctionBuilder::Matmul(ValueId a, ValueId b, bool transpose_a, bool transpose_b) {
  Instruction instruction = Make(Op::kMatmul, {a, b});
  instruction.attributes = {transpose_a ? 1 : 0, transpose_b ? 1 : 0};
  return Append(std::move(instruction));
}

ValueId FunctionBuilder::Outer(ValueId a, ValueId b) { return Append(Make(Op::kOuter, {a, b})); }

ValueId FunctionBuilder::Append(Instruction instruction) {
  const absl::Status status = InferShape(function_, &instruction);
  if (!status.ok()) Abort(instruction, status);
  const ValueId simpler = Simplify(instruction);
  return simpler != kNoValue ? simpler : AppendShared(std::move(instruction));
}

ValueId FunctionBuilder::Copy(const Function& source, const Instruction& instruction,
                              absl::Span<const ValueId> operands) {
  const SourceLocation outer = location_;
  location_ = instruction.location;
  ValueId id;
  if (instruction.op == Op::kConstant) {
    id = Constant(source.constants[instruction.attributes[0]], instruction.shape);
  } else {
    Instruction copy = instruction;
    copy.operands.assign(operands.begin(), operands.end());
    id = Append(std::move(copy));
  }
  location_ = outer;
  return id;
}

void FunctionBuilder::Result(ValueId value, int buffer, int64_t offset) {
  function_.results.push_back({value, buffer, offset});
}

const std::vector<double>* FunctionBuilder::constant(ValueId id) const {
  const Instruction& instruction = function_.instructions[id];
  if (instruction.op != Op::kConstant) return nullptr;
  return &function_.constants[instruction.attributes[0]];
}

std::string FunctionBuilder::Key(const Instruction& instruction) const {
  std::string key;
  AppendBytes(static_cast<uint8_t>(instruction.op), &key);
  auto operands = instruction.operands;
  if (Commutes(instruction.op) && operands[0] > operands[1]) std::swap(operands[0], operands[1]);
  for (ValueId operand : operands) AppendBytes(operand, &key);
  AppendBytes(int32_t{-1}, &key);
  for (int64_t attribute : instruction.attributes) AppendBytes(attribute, &key);
  if (!IsElementwise(instruction.op)) {
    for (int64_t extent : instruction.shape) AppendBytes(extent, &key);
  }
  return key;
}

ValueId FunctionBuilder::AppendShared(Instruction instruction) {
  const auto next = static_cast<ValueId>(function_.instructions.size());
  if (instruction.op != Op::kConstant) {
    const auto [entry, inserted] = shared_.emplace(Key(instruction), next);
    if (!inserted) return entry->second;
  }
  const std::optional<bool> known = KnownCondition(instruction);
  known_.push_back(known.has_value() ? static_cast<int8_t>(*known) : int8_t{-1});
  instruction.location = location_;
  function_.instructions.push_back(std::move(instruction));
  return next;
}

Function FunctionBuilder::Build() && {
  std::vector<Instruction>& all = function_.instructions;
  std::vector<char> live(all.size(), 0);
  for (const OutputEntry& entry : function_.results) live[entry.value] = 1;
  for (size_t i = all.size(); i-- > 0;) {
    if (!live[i]) continue;
    for (ValueId operand : all[i].operands) live[operand] = 1;
  }
  std::vector<ValueId> renumbered(all.size(), kNoValue);
  std::vector<std::vector<double>> constants;
  size_t kept = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!live[i]) continue;
    for (ValueId& operand : all[i].operands) operand = renumbered[operand];
    if (all[i].op == Op::kConstant) {
      constants.push_back(std::move(function_.constants[all[i].attributes[0]]));
      all[i].attributes[0] = static_cast<int64_t>(constants.size()) - 1;
    }
    renumbered[i] = static_cast<ValueId>(kept);
    if (kept != i) all[kept] = std::move(all[i]);
    ++kept;
  }
  all.resize(kept, Instruction{});
  for (OutputEntry& entry : function_.results) entry.value = renumbered[entry.value];
  function_.constants = std::move(constants);
  return std::move(function_);
}

}  // namespace costate

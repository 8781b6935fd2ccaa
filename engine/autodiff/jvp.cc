#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/autodiff/autodiff.h"
#include "engine/autodiff/jvp_rules.h"
#include "engine/autodiff/terms.h"
#include "engine/base/status_macros.h"
#include "engine/model/function_builder.h"

namespace costate {
namespace {

// The derivative without a body.
Function Signature(const Function& f, const std::vector<int>& wrt, bool keep_values) {
  Function derivative;
  derivative.name = absl::StrCat(f.name, "_jvp");
  derivative.inputs = f.inputs;
  std::vector<Buffer> moved;
  for (int buffer : wrt) moved.push_back(f.inputs[buffer]);
  for (Buffer& buffer : Prefixed("d_", moved)) derivative.inputs.push_back(std::move(buffer));
  if (keep_values) derivative.outputs = f.outputs;
  for (Buffer& buffer : Prefixed("d_", f.outputs)) derivative.outputs.push_back(std::move(buffer));
  return derivative;
}

// Per input buffer of f, the index of its tangent buffer, or -1.
std::vector<int> TangentBuffers(const Function& f, const std::vector<int>& wrt) {
  std::vector<int> tangent_buffers(f.inputs.size(), -1);
  for (size_t i = 0; i < wrt.size(); ++i) {
    tangent_buffers[wrt[i]] = static_cast<int>(f.inputs.size() + i);
  }
  return tangent_buffers;
}

}  // namespace

absl::StatusOr<Function> Jvp(const Function& f, const std::vector<int>& wrt,
                             const DerivativeOptions& options) {
  RETURN_IF_ERROR(CheckWrt(f, wrt));
  Function signature = Signature(f, wrt, options.keep_values);
  RETURN_IF_ERROR(CheckBufferCounts(signature));
  FunctionBuilder b(std::move(signature.name), std::move(signature.inputs),
                    std::move(signature.outputs));
  const std::vector<int> tangent_buffers = TangentBuffers(f, wrt);
  std::vector<ValueId> values(f.instructions.size());
  std::vector<ValueId> tangents(f.instructions.size(), kNoValue);
  std::vector<ValueId> operands;
  std::vector<ValueId> operand_tangents;
  for (size_t i = 0; i < f.instructions.size(); ++i) {
    const Instruction& instruction = f.instructions[i];
    values[i] = b.Copy(f, instruction, Mapped(instruction, values, &operands));
    b.set_location(instruction.location);
    if (instruction.op == Op::kInput) {
      const int buffer = tangent_buffers[instruction.attributes[0]];
      if (buffer >= 0) tangents[i] = b.Input(buffer, instruction.attributes[1], instruction.shape);
    } else {
      tangents[i] = PushForward(b, {f, instruction, operands, values[i]},
                                Mapped(instruction, tangents, &operand_tangents));
    }
    RETURN_IF_ERROR(CheckLength(b));
  }
  b.set_location({});
  const int first = options.keep_values ? static_cast<int>(f.outputs.size()) : 0;
  for (const OutputEntry& entry : f.results) {
    if (options.keep_values) b.Result(values[entry.value], entry.buffer, entry.offset);
    const ValueId tangent = tangents[entry.value];
    b.Result(tangent == kNoValue ? Zeros(b, f.instructions[entry.value].shape) : tangent,
             first + entry.buffer, entry.offset);
  }
  RETURN_IF_ERROR(CheckLength(b));
  return std::move(b).Build();
}

}  // namespace costate

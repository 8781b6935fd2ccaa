#include <charconv>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/model/ir.h"
#include "engine/model/model.h"

namespace costate {
namespace {

void AppendNumber(double value, std::string* text) {
  if (std::isnan(value)) {
    text->append("nan");
    return;
  }
  char digits[32];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof(digits), value);
  text->append(digits, end.ptr);
}

void AppendNumbers(const std::vector<double>& values, std::string* text) {
  text->push_back('[');
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text->append(", ");
    AppendNumber(values[i], text);
  }
  text->push_back(']');
}

std::string BufferList(const std::vector<Buffer>& buffers) {
  return absl::StrCat("{",
                      absl::StrJoin(buffers, ", ",
                                    [](std::string* out, const Buffer& buffer) {
                                      absl::StrAppend(out, buffer.name, "[", buffer.size, "]");
                                    }),
                      "}");
}

std::string TypeOf(const Instruction& instruction) {
  return absl::StrCat(instruction.dtype == DType::kF64 ? "f64" : "bool",
                      instruction.shape.empty() ? "" : ShapeToString(instruction.shape));
}

void AppendInstruction(const Function& function, size_t id, std::string* text) {
  const Instruction& instruction = function.instructions[id];
  absl::StrAppend(text, "  %", id, " = ", std::string(OpName(instruction.op)));
  for (size_t i = 0; i < instruction.operands.size(); ++i) {
    absl::StrAppend(text, i == 0 ? " %" : ", %", instruction.operands[i]);
  }
  if (instruction.op == Op::kConstant) {
    const std::vector<double>& elements = function.constants[instruction.attributes[0]];
    text->push_back(' ');
    if (instruction.shape.empty()) {
      AppendNumber(elements[0], text);
    } else {
      AppendNumbers(elements, text);
    }
  } else if (!instruction.attributes.empty()) {
    absl::StrAppend(text, " {", absl::StrJoin(instruction.attributes, ", "), "}");
  }
  absl::StrAppend(text, " : ", TypeOf(instruction), "\n");
}

void AppendTensors(const char* kind, const std::vector<TensorInfo>& tensors, std::string* text) {
  for (const TensorInfo& tensor : tensors) {
    absl::StrAppend(text, kind, " ", tensor.name,
                    tensor.shape.empty() ? "" : ShapeToString(tensor.shape), "\n");
  }
}

void AppendParams(const std::vector<TensorInfo>& params, std::string* text) {
  for (const TensorInfo& param : params) {
    absl::StrAppend(text, "param ", param.name,
                    param.shape.empty() ? "" : ShapeToString(param.shape), " = ");
    AppendNumbers(param.defaults, text);
    text->append(" in ");
    AppendNumbers({param.lower, param.upper}, text);
    text->push_back('\n');
  }
}

}  // namespace

std::string PrintFunction(const Function& function) {
  std::string text = absl::StrCat(function.name, ": inputs ", BufferList(function.inputs),
                                  " -> outputs ", BufferList(function.outputs), "\n");
  for (size_t i = 0; i < function.instructions.size(); ++i) AppendInstruction(function, i, &text);
  text.append("  return");
  for (size_t i = 0; i < function.results.size(); ++i) {
    const OutputEntry& entry = function.results[i];
    absl::StrAppend(&text, i == 0 ? " " : ", ", function.outputs[entry.buffer].name, "[",
                    entry.offset, "] = %", entry.value);
  }
  text.push_back('\n');
  return text;
}

std::string CanonicalText(const ModelIr& model) {
  std::string text = absl::StrCat("model ", model.name, "\n");
  AppendParams(model.params, &text);
  AppendTensors("state", model.states, &text);
  AppendTensors("output", model.outputs, &text);
  absl::StrAppend(&text, PrintFunction(model.init), PrintFunction(model.rhs),
                  PrintFunction(model.output_map));
  return text;
}

}  // namespace costate

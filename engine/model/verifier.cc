#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/model/ir.h"
#include "engine/model/model.h"

namespace costate {
namespace {

// One bit of a KernelSpec mask per buffer.
constexpr size_t kMaxBuffers = 64;
// The longest buffer: a dense Jacobian.
constexpr int64_t kMaxBufferElements = int64_t{1} << 26;

template <typename... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status CheckBuffers(const Function& function, const std::vector<Buffer>& buffers,
                          const char* kind) {
  if (buffers.size() > kMaxBuffers) {
    return Wrong(function.name, ": has ", buffers.size(), " ", kind, " buffers, at most ",
                 kMaxBuffers, " are allowed");
  }
  for (const Buffer& buffer : buffers) {
    if (buffer.size < 0 || buffer.size > kMaxBufferElements) {
      return Wrong(function.name, ": ", kind, " buffer '", buffer.name, "' has size ", buffer.size,
                   ", allowed are 0 to ", kMaxBufferElements);
    }
  }
  return absl::OkStatus();
}

std::string NameOf(const Instruction& instruction) {
  if (static_cast<int>(instruction.op) >= kNumOps) {
    return absl::StrCat("op ", static_cast<int>(instruction.op));
  }
  return std::string(OpName(instruction.op));
}

absl::Status CheckInstruction(const Function& function, ValueId id) {
  const Instruction& given = function.instructions[id];
  for (ValueId operand : given.operands) {
    if (operand < 0 || operand >= id) {
      return Wrong("operand %", operand, " is not an earlier value");
    }
  }
  Instruction inferred = given;
  RETURN_IF_ERROR(InferShape(function, &inferred));
  if (inferred.dtype != given.dtype) {
    return Wrong("dtype is ",
                 given.dtype == DType::kF64 ? "f64, expected bool" : "bool, expected f64");
  }
  if (inferred.shape != given.shape) {
    return Wrong("shape is ", ShapeToString(given.shape), ", expected ",
                 ShapeToString(inferred.shape));
  }
  return absl::OkStatus();
}

// Every element of every output exactly once: sorted by place, the entries join without gaps.
absl::Status CheckResults(const Function& function) {
  const auto num_values = static_cast<int64_t>(function.instructions.size());
  for (const OutputEntry& entry : function.results) {
    if (entry.value < 0 || entry.value >= num_values) {
      return Wrong("result %", entry.value, " does not exist");
    }
    if (entry.buffer < 0 || entry.buffer >= static_cast<int64_t>(function.outputs.size())) {
      return Wrong("output buffer ", entry.buffer, " does not exist");
    }
    if (function.instructions[entry.value].dtype != DType::kF64) {
      return Wrong("result %", entry.value, " is bool, expected f64");
    }
  }
  std::vector<OutputEntry> sorted = function.results;
  std::sort(sorted.begin(), sorted.end(), [](const OutputEntry& a, const OutputEntry& b) {
    return a.buffer != b.buffer ? a.buffer < b.buffer : a.offset < b.offset;
  });
  size_t next = 0;
  for (size_t buffer = 0; buffer < function.outputs.size(); ++buffer) {
    const Buffer& output = function.outputs[buffer];
    int64_t covered = 0;
    for (; next < sorted.size() && sorted[next].buffer == static_cast<int32_t>(buffer); ++next) {
      const int64_t size = NumElements(function.instructions[sorted[next].value].shape);
      if (sorted[next].offset != covered || size > output.size - covered) {
        return Wrong("entry at ", sorted[next].offset, " of ", size, " elements of output '",
                     output.name, "' overlaps, leaves a gap or exceeds size ", output.size);
      }
      covered += size;
    }
    if (covered != output.size) {
      return Wrong("output '", output.name, "' has ", output.size, " elements, ", covered,
                   " are written");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSignature(const Function& function, const char* role,
                            const std::vector<int64_t>& inputs, int64_t output) {
  std::vector<int64_t> sizes;
  for (const Buffer& buffer : function.inputs) sizes.push_back(buffer.size);
  if (sizes != inputs || function.outputs.size() != 1 || function.outputs[0].size != output) {
    return Wrong("function '", function.name, "' does not have the buffers of ", role);
  }
  return VerifyFunction(function);
}

bool IsIdentifier(std::string_view name) {
  if (name.empty() || static_cast<int64_t>(name.size()) > limits::kMaxIdentifierBytes) return false;
  if (std::isdigit(static_cast<unsigned char>(name[0]))) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return c == '_' || std::isalnum(static_cast<unsigned char>(c));
  });
}

absl::Status CheckShapeOf(const TensorInfo& tensor, int64_t* elements) {
  *elements = 1;
  if (static_cast<int64_t>(tensor.shape.size()) > limits::kMaxTensorRank) {
    return Wrong("'", tensor.name, "' has more than ", limits::kMaxTensorRank, " axes");
  }
  for (int64_t extent : tensor.shape) {
    if (extent < 1 || extent > limits::kMaxTensorElements / *elements) {
      return Wrong("shape ", ShapeToString(tensor.shape), " of '", tensor.name, "' is not allowed");
    }
    *elements *= extent;
  }
  return absl::OkStatus();
}

// Names, shapes and offsets; `total` becomes the number of elements of the flat vector.
absl::Status CheckTensors(const std::vector<TensorInfo>& tensors, std::set<std::string>* names,
                          int64_t* total) {
  *total = 0;
  for (const TensorInfo& tensor : tensors) {
    if (!IsIdentifier(tensor.name)) {
      return Wrong("'", tensor.name.substr(0, limits::kMaxIdentifierBytes),
                   "' is not an identifier of at most ", limits::kMaxIdentifierBytes, " bytes");
    }
    if (!names->insert(tensor.name).second) return Wrong("name '", tensor.name, "' is used twice");
    int64_t elements = 0;
    RETURN_IF_ERROR(CheckShapeOf(tensor, &elements));
    if (tensor.offset != *total) {
      return Wrong("'", tensor.name, "' has offset ", tensor.offset, ", expected ", *total);
    }
    *total += elements;
    if (*total > kMaxBufferElements) return Wrong("more than ", kMaxBufferElements, " elements");
  }
  return absl::OkStatus();
}

absl::Status CheckParam(const TensorInfo& param) {
  if (static_cast<int64_t>(param.defaults.size()) != NumElements(param.shape)) {
    return Wrong("parameter '", param.name, "' has ", param.defaults.size(), " defaults, expected ",
                 NumElements(param.shape));
  }
  for (double value : param.defaults) {
    if (!std::isfinite(value))
      return Wrong("default of parameter '", param.name, "' is not finite");
  }
  if (!(param.lower <= param.upper)) {
    return Wrong("bounds [", param.lower, ", ", param.upper, "] of parameter '", param.name,
                 "' are not in order");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status VerifyFunction(const Function& function) {
  RETURN_IF_ERROR(CheckBuffers(function, function.inputs, "input"));
  RETURN_IF_ERROR(CheckBuffers(function, function.outputs, "output"));
  if (static_cast<int64_t>(function.instructions.size()) > limits::kMaxInstructions) {
    return Wrong(function.name, ": has ", function.instructions.size(), " instructions, at most ",
                 limits::kMaxInstructions, " are allowed");
  }
  for (size_t i = 0; i < function.instructions.size(); ++i) {
    if (absl::Status status = CheckInstruction(function, static_cast<ValueId>(i)); !status.ok()) {
      return Wrong(function.name, ": instruction ", i, " (", NameOf(function.instructions[i]),
                   "): ", status.message());
    }
  }
  if (absl::Status status = CheckResults(function); !status.ok()) {
    return Wrong(function.name, ": ", status.message());
  }
  return absl::OkStatus();
}

absl::Status VerifyModel(const ModelIr& model) {
  if (!model.name.empty() && !IsIdentifier(model.name)) {
    return Wrong("the model's name is not an identifier");
  }
  std::set<std::string> names;
  std::set<std::string> output_names;  // an output may carry the name of a state
  int64_t num_params = 0;
  int64_t num_states = 0;
  int64_t num_outputs = 0;
  RETURN_IF_ERROR(CheckTensors(model.params, &names, &num_params));
  RETURN_IF_ERROR(CheckTensors(model.states, &names, &num_states));
  RETURN_IF_ERROR(CheckTensors(model.outputs, &output_names, &num_outputs));
  if (num_states < 1 || num_states > limits::kMaxStates) {
    return Wrong("the model has ", num_states, " states, allowed are 1 to ", limits::kMaxStates);
  }
  if (num_params > limits::kMaxParams) {
    return Wrong("the model has ", num_params, " parameters, at most ", limits::kMaxParams,
                 " are allowed");
  }
  for (const TensorInfo& param : model.params) RETURN_IF_ERROR(CheckParam(param));
  RETURN_IF_ERROR(CheckSignature(model.init, "init", {1, num_params}, num_states));
  RETURN_IF_ERROR(CheckSignature(model.rhs, "rhs", {1, num_states, num_params}, num_states));
  return CheckSignature(model.output_map, "outputs", {1, num_states, num_params}, num_outputs);
}

}  // namespace costate

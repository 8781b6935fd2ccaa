#include "server/convert/graph.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/model/model.h"
#include "server/convert/array.h"

namespace costate {
namespace {

absl::Status Wrong(const std::string& field, const absl::Status& status) {
  return FieldStatus(absl::StatusCode::kInvalidArgument, field, std::string(status.message()));
}

absl::Status CheckExtents(const std::string& field,
                          const google::protobuf::RepeatedField<int64_t>& shape,
                          int64_t* num_elements) {
  *num_elements = 1;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] < 1 || shape[i] > limits::kMaxTensorElements / *num_elements) {
      return FieldError(
          absl::StrCat(field, ".shape[", i, "]"), absl::StrCat(shape[i]),
          absl::StrCat("an extent >= 1, at most ", limits::kMaxTensorElements, " elements in all"));
    }
    *num_elements *= shape[i];
  }
  return absl::OkStatus();
}

// What states, outputs and parameters have in common. `offset` moves on.
template <typename Declaration>
absl::StatusOr<TensorInfo> Declare(const std::string& field, const Declaration& declaration,
                                   int64_t limit, int64_t* offset) {
  int64_t size = 0;
  RETURN_IF_ERROR(CheckExtents(field, declaration.shape(), &size));
  if (*offset + size > limit) {
    return FieldError(field, absl::StrCat(*offset + size, " elements up to here"),
                      absl::StrCat("at most ", limit));
  }
  TensorInfo tensor;
  tensor.name = declaration.name();
  tensor.shape.assign(declaration.shape().begin(), declaration.shape().end());
  tensor.offset = *offset;
  tensor.lower = -std::numeric_limits<double>::infinity();
  tensor.upper = std::numeric_limits<double>::infinity();
  *offset += size;
  return tensor;
}

absl::StatusOr<std::vector<TensorInfo>> DeclareAll(
    const std::string& field, const google::protobuf::RepeatedPtrField<v1::Tensor>& protos,
    int64_t limit, int64_t* total) {
  std::vector<TensorInfo> tensors;
  for (int i = 0; i < protos.size(); ++i) {
    ASSIGN_OR_RETURN(TensorInfo tensor,
                     Declare(absl::StrCat(field, "[", i, "]"), protos[i], limit, total));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

absl::Status FillParameter(const std::string& field, const v1::Parameter& proto,
                           TensorInfo* tensor) {
  const size_t size = static_cast<size_t>(NumElements(tensor->shape));
  std::vector<double> defaults = ValuesFromProto(proto.default_value());
  if (defaults.empty()) defaults = {0.0};
  if (defaults.size() != 1 && defaults.size() != size) {
    return FieldError(field + ".default_value", absl::StrCat(defaults.size(), " elements"),
                      absl::StrCat("1 or ", size));
  }
  if (defaults.size() != size) defaults.assign(size, defaults[0]);
  tensor->defaults = std::move(defaults);
  if (proto.has_lower()) tensor->lower = proto.lower();
  if (proto.has_upper()) tensor->upper = proto.upper();
  return absl::OkStatus();
}

absl::Status AddInstruction(const std::string& field, const v1::Instruction& proto,
                            Function* function) {
  const std::optional<Op> op = FindOp(proto.op());
  if (!op.has_value()) {
    return FieldError(field + ".op", absl::StrCat("\"", proto.op().substr(0, 64), "\""),
                      "the name of an op (see ServerInfo.ops)");
  }
  const int64_t id = static_cast<int64_t>(function->instructions.size());
  for (int i = 0; i < proto.operands_size(); ++i) {
    if (proto.operands(i) >= 0 && proto.operands(i) < id) continue;
    return FieldError(absl::StrCat(field, ".operands[", i, "]"), absl::StrCat(proto.operands(i)),
                      "the index of an earlier instruction");
  }
  Instruction instruction;
  instruction.op = *op;
  instruction.shape.assign(proto.shape().begin(), proto.shape().end());
  instruction.operands.assign(proto.operands().begin(), proto.operands().end());
  instruction.attributes.assign(proto.attributes().begin(), proto.attributes().end());
  if (absl::Status status = InferShape(*function, &instruction); !status.ok()) {
    return Wrong(field,
                 absl::InvalidArgumentError(absl::StrCat(proto.op(), ": ", status.message())));
  }
  if (proto.shape_size() > 0 &&
      Shape(proto.shape().begin(), proto.shape().end()) != instruction.shape) {
    return FieldError(field + ".shape",
                      ShapeToString(Shape(proto.shape().begin(), proto.shape().end())),
                      ShapeToString(instruction.shape));
  }
  function->instructions.push_back(std::move(instruction));
  return absl::OkStatus();
}

absl::Status FillFunction(const std::string& field, const v1::GraphFunction& proto,
                          Function* function) {
  for (const v1::Array& constant : proto.constants()) {
    function->constants.push_back(ValuesFromProto(constant));
  }
  function->instructions.reserve(proto.instructions_size());
  for (int i = 0; i < proto.instructions_size(); ++i) {
    RETURN_IF_ERROR(AddInstruction(absl::StrCat(field, ".instructions[", i, "]"),
                                   proto.instructions(i), function));
  }
  for (const v1::GraphResult& result : proto.results()) {
    function->results.push_back({result.value(), 0, result.offset()});
  }
  if (absl::Status status = VerifyFunction(*function); !status.ok()) return Wrong(field, status);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelIr> GraphFromProto(const std::string& field, const v1::Graph& graph) {
  ModelIr ir;
  ir.name = graph.display_name();
  int64_t m = 0;
  for (int i = 0; i < graph.params_size(); ++i) {
    const std::string path = absl::StrCat(field, ".params[", i, "]");
    ASSIGN_OR_RETURN(TensorInfo tensor, Declare(path, graph.params(i), limits::kMaxParams, &m));
    RETURN_IF_ERROR(FillParameter(path, graph.params(i), &tensor));
    ir.params.push_back(std::move(tensor));
  }
  int64_t n = 0;
  ASSIGN_OR_RETURN(ir.states,
                   DeclareAll(field + ".states", graph.states(), limits::kMaxStates, &n));
  int64_t k = 0;
  ASSIGN_OR_RETURN(ir.outputs,
                   DeclareAll(field + ".outputs", graph.outputs(), limits::kMaxStates, &k));
  ir.init.name = "init";
  ir.init.inputs = {{"t", 1}, {"p", m}};
  ir.init.outputs = {{"y", n}};
  ir.rhs.name = "rhs";
  ir.rhs.inputs = {{"t", 1}, {"y", n}, {"p", m}};
  ir.rhs.outputs = {{"dy", n}};
  ir.output_map.name = "outputs";
  ir.output_map.inputs = ir.rhs.inputs;
  ir.output_map.outputs = {{"out", k}};
  RETURN_IF_ERROR(FillFunction(field + ".init", graph.init(), &ir.init));
  RETURN_IF_ERROR(FillFunction(field + ".rhs", graph.rhs(), &ir.rhs));
  RETURN_IF_ERROR(FillFunction(field + ".output_map", graph.output_map(), &ir.output_map));
  if (absl::Status status = VerifyModel(ir); !status.ok()) return Wrong(field, status);
  return ir;
}

}  // namespace costate

#include "engine/model/expression_lowering.h"

#include <utility>

#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/model/builtins.h"
#include "engine/model/dependencies.h"
#include "engine/model/text.h"

namespace costate {
namespace {

// Nodes looked at while expanding calls, for one IR function.
constexpr int64_t kMaxNodesLowered = 8 * limits::kMaxInstructions;

std::string HintFor(std::string_view message) {
  if (message.ends_with("got a condition")) {
    return "a condition becomes a number by: if condition then 1 else 0";
  }
  if (message.ends_with("got a number") || message.ends_with("is a number")) {
    return "a number becomes a condition by a comparison: x > 0";
  }
  return "";
}

}  // namespace

ExpressionLowering::ExpressionLowering(const Syntax* syntax, const TensorTable* tensors,
                                       InputBuffers inputs, FunctionBuilder builder,
                                       IssueList* issues)
    : syntax_(*syntax),
      tensors_(*tensors),
      inputs_(inputs),
      builder_(std::move(builder)),
      tensor_builder_(&builder_),
      issues_(*issues),
      lets_(syntax->lets.size(), kNoValue) {}

void ExpressionLowering::LowerLetsNeededBy(const std::vector<Expression>& roots) {
  for (Definition definition : DefinitionsNeededBy(syntax_, roots)) {
    if (definition.kind != RefKind::kLet || lets_[definition.index] != kNoValue) continue;
    lets_[definition.index] = Lower(syntax_.lets[definition.index].value);
  }
}

void ExpressionLowering::LowerRemainingLets() {
  for (size_t i = 0; i < lets_.size(); ++i) {
    const LetSyntax& let = syntax_.lets[i];
    if (!let.broken && lets_[i] == kNoValue) lets_[i] = Lower(let.value);
  }
}

ValueId ExpressionLowering::LowerBody(const Expression& expression,
                                      absl::Span<const ValueId> arguments) {
  if (expression.empty()) return kNoValue;
  const Frame frame = {&expression, values_.size(), arguments};
  values_.resize(frame.base + (expression.root - expression.first + 1), kNoValue);
  for (NodeId id = expression.first; id <= expression.root && !stopped_; ++id) {
    const Node& node = syntax_.nodes[id];
    builder_.set_location(node.location);
    const ValueId value = LowerNode(node, frame);
    if (Exhausted(node)) break;
    values_[frame.base + (id - expression.first)] = value;
  }
  const ValueId result = stopped_ ? kNoValue : values_.back();
  values_.resize(frame.base);
  return result;
}

ValueId ExpressionLowering::LowerNode(const Node& node, const Frame& frame) {
  switch (node.kind) {
    case NodeKind::kError:
    case NodeKind::kSlice:
    case NodeKind::kAbsent:
      return kNoValue;
    case NodeKind::kNumber:
      return builder_.Constant(node.number);
    case NodeKind::kName:
      return LowerName(node, frame);
    case NodeKind::kCall:
      return LowerCall(node, frame);
    case NodeKind::kIndex:
      return LowerIndex(node, frame);
    case NodeKind::kNegate:
    case NodeKind::kNot:
    case NodeKind::kAdd:
    case NodeKind::kSubtract:
    case NodeKind::kMultiply:
    case NodeKind::kDivide:
    case NodeKind::kPower:
    case NodeKind::kMatmul:
    case NodeKind::kLess:
    case NodeKind::kLessEqual:
    case NodeKind::kGreater:
    case NodeKind::kGreaterEqual:
    case NodeKind::kEqual:
    case NodeKind::kNotEqual:
    case NodeKind::kAnd:
    case NodeKind::kOr:
    case NodeKind::kIf:
    case NodeKind::kTensor:
    case NodeKind::kTranspose:
      break;
  }
  std::vector<ValueId> operands;
  operands.reserve(node.num_children);
  for (int i = 0; i < node.num_children; ++i) {
    operands.push_back(ValueOf(syntax_.child(node, i), frame));
    if (operands.back() == kNoValue) return kNoValue;
  }
  return LowerOperator(node, operands);
}

ValueId ExpressionLowering::LowerOperator(const Node& node, absl::Span<const ValueId> operands) {
  TensorBuilder& b = tensor_builder_;
  const auto binary = [&](Op op, std::string_view name) {
    return Check(b.Binary(op, operands[0], operands[1], name), node);
  };
  switch (node.kind) {
    case NodeKind::kNegate:
      return Check(b.Unary(Op::kNeg, operands[0], "'-'"), node);
    case NodeKind::kNot:
      return Check(b.Unary(Op::kNot, operands[0], "'not'"), node);
    case NodeKind::kAdd:
      return binary(Op::kAdd, "'+'");
    case NodeKind::kSubtract:
      return binary(Op::kSub, "'-'");
    case NodeKind::kMultiply:
      return binary(Op::kMul, "'*'");
    case NodeKind::kDivide:
      return binary(Op::kDiv, "'/'");
    case NodeKind::kPower:
      return Check(b.Power(operands[0], operands[1]), node);
    case NodeKind::kMatmul:
      return Check(b.Matmul(operands[0], operands[1]), node);
    case NodeKind::kLess:
      return binary(Op::kLt, "'<'");
    case NodeKind::kLessEqual:
      return binary(Op::kLe, "'<='");
    case NodeKind::kGreater:
      return Check(b.Binary(Op::kLt, operands[1], operands[0], "'>'"), node);
    case NodeKind::kGreaterEqual:
      return Check(b.Binary(Op::kLe, operands[1], operands[0], "'>='"), node);
    case NodeKind::kEqual:
      return binary(Op::kEq, "'=='");
    case NodeKind::kNotEqual:
      return binary(Op::kNe, "'!='");
    case NodeKind::kAnd:
      return binary(Op::kAnd, "'and'");
    case NodeKind::kOr:
      return binary(Op::kOr, "'or'");
    case NodeKind::kIf:
      return Check(b.Elementwise(Op::kSelect, operands, "'if'"), node);
    case NodeKind::kTensor:
      return Check(b.Stack(operands), node);
    case NodeKind::kTranspose:
      return Check(b.Transpose(operands[0]), node);
    case NodeKind::kNumber:
    case NodeKind::kName:
    case NodeKind::kError:
    case NodeKind::kCall:
    case NodeKind::kIndex:
    case NodeKind::kSlice:
    case NodeKind::kAbsent:
      break;
  }
  return kNoValue;
}

ValueId ExpressionLowering::LowerName(const Node& node, const Frame& frame) {
  const auto input = [&](int buffer, const TensorInfo* tensor) {
    if (buffer < 0 || tensor == nullptr) return kNoValue;
    return builder_.Input(buffer, tensor->offset, tensor->shape);
  };
  switch (node.ref) {
    case RefKind::kTime:
      return inputs_.time < 0 ? kNoValue : builder_.Input(inputs_.time, 0, {});
    case RefKind::kConstant:
      return builder_.Constant(NamedConstants()[node.target].value);
    case RefKind::kParam:
      return input(inputs_.param, tensors_.params[node.target]);
    case RefKind::kState:
      return input(inputs_.state, tensors_.states[node.target]);
    case RefKind::kLet:
      return lets_[node.target];
    case RefKind::kArgument:
      return frame.arguments[node.target];
    case RefKind::kUnresolved:
    case RefKind::kFun:
    case RefKind::kBuiltin:
      break;
  }
  return kNoValue;
}

ValueId ExpressionLowering::LowerCall(const Node& node, const Frame& frame) {
  std::vector<ValueId> arguments;
  arguments.reserve(node.num_children);
  for (int i = 0; i < node.num_children; ++i) {
    arguments.push_back(ValueOf(syntax_.child(node, i), frame));
    if (arguments.back() == kNoValue) return kNoValue;
  }
  if (node.ref == RefKind::kFun) return LowerFun(node, arguments);
  if (node.ref != RefKind::kBuiltin) return kNoValue;
  return Check(Builtins()[node.target].lower(tensor_builder_, arguments), node);
}

ValueId ExpressionLowering::LowerFun(const Node& node, absl::Span<const ValueId> arguments) {
  const FunSyntax& fun = syntax_.funs[node.target];
  if (fun.broken) return kNoValue;
  std::vector<int32_t> key = {node.target};
  key.insert(key.end(), arguments.begin(), arguments.end());
  const auto found = calls_.find(key);
  if (found != calls_.end()) return found->second;
  if (static_cast<int64_t>(open_calls_.size()) >= limits::kMaxNestingDepth) {
    Report(absl::InvalidArgumentError(
               Text("calls are nested deeper than ", limits::kMaxNestingDepth, " levels")),
           open_calls_.front()->location);
    return kNoValue;
  }
  open_calls_.push_back(&node);
  const ValueId value = LowerBody(fun.value, arguments);
  open_calls_.pop_back();
  calls_.emplace(std::move(key), value);
  return value;
}

absl::StatusOr<Subscript> ExpressionLowering::MakeSubscript(const Node& node, NodeId id,
                                                            const Frame& frame) {
  Subscript subscript;
  if (node.kind != NodeKind::kSlice) {
    ASSIGN_OR_RETURN(subscript.start,
                     tensor_builder_.ConstantInteger(ValueOf(id, frame), "an index"));
    return subscript;
  }
  subscript.is_range = true;
  std::optional<int64_t>* const parts[] = {&subscript.start, &subscript.stop, &subscript.step};
  for (int i = 0; i < 3; ++i) {
    const NodeId part = syntax_.child(node, i);
    if (syntax_.nodes[part].kind == NodeKind::kAbsent) continue;
    ASSIGN_OR_RETURN(*parts[i],
                     tensor_builder_.ConstantInteger(ValueOf(part, frame), "the end of a range"));
  }
  return subscript;
}

ValueId ExpressionLowering::LowerIndex(const Node& node, const Frame& frame) {
  const ValueId base = ValueOf(syntax_.child(node, 0), frame);
  bool known = base != kNoValue;
  for (int i = 1; i < node.num_children; ++i) {
    const NodeId id = syntax_.child(node, i);
    const Node& subscript = syntax_.nodes[id];
    if (subscript.kind != NodeKind::kSlice) {
      known = known && ValueOf(id, frame) != kNoValue;
      continue;
    }
    for (int k = 0; k < 3; ++k) {
      const NodeId part = syntax_.child(subscript, k);
      const bool absent = syntax_.nodes[part].kind == NodeKind::kAbsent;
      known = known && (absent || ValueOf(part, frame) != kNoValue);
    }
  }
  if (!known) return kNoValue;
  std::vector<Subscript> subscripts;
  for (int i = 1; i < node.num_children; ++i) {
    const NodeId id = syntax_.child(node, i);
    const absl::StatusOr<Subscript> subscript = MakeSubscript(syntax_.nodes[id], id, frame);
    if (!subscript.ok()) {
      Report(subscript.status(), syntax_.nodes[id].location);
      return kNoValue;
    }
    subscripts.push_back(*subscript);
  }
  // With one subscript its place is the better one to point at.
  const Node& place = node.num_children == 2 ? syntax_.nodes[syntax_.child(node, 1)] : node;
  return Check(tensor_builder_.Index(base, subscripts), place);
}

ValueId ExpressionLowering::Check(const absl::StatusOr<ValueId>& value, const Node& node) {
  if (value.ok()) return *value;
  Report(value.status(), node.location);
  return kNoValue;
}

void ExpressionLowering::Report(const absl::Status& status, const SourceLocation& location) {
  std::string hint = HintFor(std::string(status.message()));
  if (hint.empty() && !open_calls_.empty()) {
    const Node& call = *open_calls_.front();
    const bool same =
        call.location.line == location.line && call.location.column == location.column;
    if (!same)
      hint = Text("in the call of '", syntax_.names[call.name], "' at ", call.location.line, ":",
                  call.location.column);
  }
  issues_.Add(location, std::string(status.message()), std::move(hint));
}

void ExpressionLowering::Stop(const Node& node, std::string message) {
  stopped_ = true;
  const SourceLocation& location =
      open_calls_.empty() ? node.location : open_calls_.front()->location;
  issues_.Add(location, std::move(message), "the model is too large here");
}

bool ExpressionLowering::Exhausted(const Node& node) {
  if (stopped_) return true;
  const std::vector<Instruction>& instructions = builder_.function().instructions;
  for (; instructions_counted_ < instructions.size(); ++instructions_counted_) {
    elements_ += NumElements(instructions[instructions_counted_].shape);
  }
  if (static_cast<int64_t>(instructions.size()) > limits::kMaxInstructions) {
    Stop(node, Text("more than ", limits::kMaxInstructions, " instructions"));
  } else if (elements_ > limits::kMaxScratchElements) {
    Stop(node, Text("the values of the model have more than ", limits::kMaxScratchElements,
                    " elements together"));
  } else if (++nodes_lowered_ > kMaxNodesLowered) {
    Stop(node, Text("expanding the functions takes more than ", kMaxNodesLowered, " operations"));
  }
  return stopped_;
}

}  // namespace costate

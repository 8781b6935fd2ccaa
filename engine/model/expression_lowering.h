// Resolved expressions to instructions of one IR function.
#ifndef COSTATE_ENGINE_MODEL_EXPRESSION_LOWERING_H_
#define COSTATE_ENGINE_MODEL_EXPRESSION_LOWERING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "engine/model/function_builder.h"
#include "engine/model/issue_list.h"
#include "engine/model/syntax.h"
#include "engine/model/tensor_builder.h"

namespace costate {

// Shapes and places of the declared tensors, by index of declaration; null where the
// declaration is broken.
struct TensorTable {
  std::vector<const TensorInfo*> params;
  std::vector<const TensorInfo*> states;
};

// Which input buffer of the function holds what; -1: nothing may refer to it.
struct InputBuffers {
  int time = -1;
  int state = -1;
  int param = -1;
};

// Calls are expanded; the same call with the same arguments is expanded once. Each let is
// lowered once. What cannot be lowered is reported once, at its place, and everything that
// needs it becomes kNoValue in silence. The instructions, the elements of all values and the
// nodes looked at are bounded; past a bound nothing is lowered any more.
//
// Thread-safety: none.
class ExpressionLowering {
 public:
  ExpressionLowering(const Syntax* syntax, const TensorTable* tensors, InputBuffers inputs,
                     FunctionBuilder builder, IssueList* issues);
  ExpressionLowering(const ExpressionLowering&) = delete;
  ExpressionLowering& operator=(const ExpressionLowering&) = delete;

  // Lowers the lets that `roots` need. Before Lower of any of them.
  void LowerLetsNeededBy(const std::vector<Expression>& roots);

  // Lowers the lets left, once those they need are lowered.
  void LowerRemainingLets();

  // The value of an expression, or kNoValue after an issue.
  ValueId Lower(const Expression& expression) { return LowerBody(expression, {}); }

  TensorBuilder& tensors() { return tensor_builder_; }
  FunctionBuilder& builder() { return builder_; }

 private:
  struct Frame {
    const Expression* expression;
    size_t base;  // of its values in values_
    absl::Span<const ValueId> arguments;
  };

  ValueId LowerBody(const Expression& expression, absl::Span<const ValueId> arguments);
  ValueId LowerNode(const Node& node, const Frame& frame);
  ValueId LowerName(const Node& node, const Frame& frame);
  ValueId LowerCall(const Node& node, const Frame& frame);
  ValueId LowerFun(const Node& node, absl::Span<const ValueId> arguments);
  ValueId LowerIndex(const Node& node, const Frame& frame);
  ValueId LowerOperator(const Node& node, absl::Span<const ValueId> operands);
  absl::StatusOr<Subscript> MakeSubscript(const Node& node, NodeId id, const Frame& frame);

  ValueId ValueOf(NodeId id, const Frame& frame) const {
    return values_[frame.base + (id - frame.expression->first)];
  }
  // Reports a failure at the node; returns the value otherwise.
  ValueId Check(const absl::StatusOr<ValueId>& value, const Node& node);
  void Report(const absl::Status& status, const SourceLocation& location);
  // True once a bound is passed; reports the first time.
  bool Exhausted(const Node& node);
  void Stop(const Node& node, std::string message);

  const Syntax& syntax_;
  const TensorTable& tensors_;
  const InputBuffers inputs_;
  FunctionBuilder builder_;
  TensorBuilder tensor_builder_;
  IssueList& issues_;

  std::vector<ValueId> lets_;                                 // by index of declaration
  std::vector<ValueId> values_;                               // of the nodes of the open frames
  absl::flat_hash_map<std::vector<int32_t>, ValueId> calls_;  // (function, arguments)
  std::vector<const Node*> open_calls_;
  int64_t nodes_lowered_ = 0;
  size_t instructions_counted_ = 0;
  int64_t elements_ = 0;
  bool stopped_ = false;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_EXPRESSION_LOWERING_H_

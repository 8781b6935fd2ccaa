#include "tests/engine/model/syntax_text.h"

#include <map>
#include <sstream>
#include <vector>

namespace costate {
namespace {

std::string Head(const Syntax& syntax, const Node& node) {
  static const std::map<NodeKind, std::string> kHeads = {
      {NodeKind::kNegate, "neg"},   {NodeKind::kNot, "not"},     {NodeKind::kAdd, "+"},
      {NodeKind::kSubtract, "-"},   {NodeKind::kMultiply, "*"},  {NodeKind::kDivide, "/"},
      {NodeKind::kPower, "^"},      {NodeKind::kMatmul, "@"},    {NodeKind::kLess, "<"},
      {NodeKind::kLessEqual, "<="}, {NodeKind::kGreater, ">"},   {NodeKind::kGreaterEqual, ">="},
      {NodeKind::kEqual, "=="},     {NodeKind::kNotEqual, "!="}, {NodeKind::kAnd, "and"},
      {NodeKind::kOr, "or"},        {NodeKind::kIf, "if"},       {NodeKind::kIndex, "index"},
      {NodeKind::kSlice, "slice"},  {NodeKind::kTranspose, "T"},
  };
  if (node.kind == NodeKind::kCall) return "call " + std::string(syntax.names[node.name]);
  return kHeads.at(node.kind);
}

}  // namespace

std::string ExpressionText(const Syntax& syntax, const Expression& expression) {
  if (expression.empty()) return "";
  std::vector<std::string> texts;
  for (NodeId id = expression.first; id <= expression.root; ++id) {
    const Node& node = syntax.nodes[id];
    std::string inner;
    for (int i = 0; i < node.num_children; ++i) {
      inner += (i > 0 ? " " : "") + texts[syntax.child(node, i) - expression.first];
    }
    if (node.kind == NodeKind::kNumber) {
      std::ostringstream number;
      number << node.number;
      texts.push_back(number.str());
    } else if (node.kind == NodeKind::kName) {
      texts.emplace_back(syntax.names[node.name]);
    } else if (node.kind == NodeKind::kError) {
      texts.emplace_back("error");
    } else if (node.kind == NodeKind::kAbsent) {
      texts.emplace_back("_");
    } else if (node.kind == NodeKind::kTensor) {
      texts.push_back("[" + inner + "]");
    } else {
      texts.push_back("(" + Head(syntax, node) + (inner.empty() ? "" : " ") + inner + ")");
    }
  }
  return texts.back();
}

}  // namespace costate

#include "engine/model/dependencies.h"

#include <algorithm>
#include <utility>

namespace costate {
namespace {

enum class Mark : uint8_t { kNew, kOpen, kDone };

class Walk {
 public:
  Walk(const Syntax& syntax, const std::function<void(const std::vector<Definition>&)>& on_cycle)
      : syntax_(syntax),
        on_cycle_(on_cycle),
        marks_(syntax.lets.size() + syntax.funs.size(), Mark::kNew) {}

  void Visit(const Expression& root) {
    path_.push_back({{}, root.first, root.root});
    while (!path_.empty()) Advance();
  }

  std::vector<Definition> Take() { return std::move(order_); }

 private:
  struct Frame {
    Definition definition;  // index -1: a root
    NodeId next, last;      // nodes left to look at
  };

  Mark& MarkOf(Definition definition) {
    const size_t base = definition.kind == RefKind::kLet ? 0 : syntax_.lets.size();
    return marks_[base + definition.index];
  }

  void Advance() {
    Frame& frame = path_.back();
    for (; frame.next <= frame.last; ++frame.next) {
      const Node& node = syntax_.nodes[frame.next];
      if (node.ref != RefKind::kLet && node.ref != RefKind::kFun) continue;
      const Definition needed = {node.ref, node.target};
      Mark& mark = MarkOf(needed);
      if (mark == Mark::kDone) continue;
      if (mark == Mark::kOpen) {
        ReportCycle(needed);
        continue;
      }
      const Declaration& declaration = DeclarationOf(syntax_, needed);
      mark = declaration.broken ? Mark::kDone : Mark::kOpen;
      if (declaration.broken) continue;
      ++frame.next;
      path_.push_back({needed, declaration.value.first, declaration.value.root});
      return;
    }
    if (frame.definition.index >= 0) {
      MarkOf(frame.definition) = Mark::kDone;
      order_.push_back(frame.definition);
    }
    path_.pop_back();
  }

  void ReportCycle(Definition again) {
    if (!on_cycle_ || ++num_cycles_ > kMaxReportedCycles) return;
    std::vector<Definition> members;
    for (size_t i = path_.size(); i-- > 0;) {
      members.push_back(path_[i].definition);
      if (path_[i].definition == again) break;
    }
    std::reverse(members.begin(), members.end());
    on_cycle_(members);
  }

  const Syntax& syntax_;
  const std::function<void(const std::vector<Definition>&)>& on_cycle_;
  std::vector<Mark> marks_;
  std::vector<Frame> path_;
  std::vector<Definition> order_;
  int num_cycles_ = 0;
};

}  // namespace

const Declaration& DeclarationOf(const Syntax& syntax, Definition definition) {
  if (definition.kind == RefKind::kLet) return syntax.lets[definition.index];
  return syntax.funs[definition.index];
}

std::vector<Definition> DefinitionsNeededBy(
    const Syntax& syntax, const std::vector<Expression>& roots,
    const std::function<void(const std::vector<Definition>&)>& on_cycle) {
  Walk walk(syntax, on_cycle);
  for (const Expression& root : roots) {
    if (!root.empty()) walk.Visit(root);
  }
  return walk.Take();
}

}  // namespace costate

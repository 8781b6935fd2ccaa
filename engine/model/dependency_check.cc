// CheckDependencies: cycles, and values that depend on what they may not.
#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "engine/model/dependencies.h"
#include "engine/model/resolver.h"
#include "engine/model/text.h"

namespace costate {
namespace {

constexpr size_t kMaxShownMembers = 8;  // of a cycle

// The first thing of a kind that an expression depends on, and the definition in between.
struct Dependence {
  RefKind kind = RefKind::kUnresolved;  // kUnresolved: on nothing of the kind
  int32_t index = -1;
  bool found() const { return kind != RefKind::kUnresolved; }
};

struct Dependences {
  Dependence state;     // a state
  Dependence variable;  // a state, a parameter, or the time
};

class DependencyCheck {
 public:
  DependencyCheck(Syntax* syntax, IssueList* issues)
      : syntax_(*syntax),
        issues_(*issues),
        of_lets_(syntax->lets.size()),
        of_funs_(syntax->funs.size()) {}

  void Run() {
    std::vector<std::vector<Definition>> cycles;
    const std::vector<Definition> order = DefinitionsNeededBy(
        syntax_, AsUses(),
        [&](const std::vector<Definition>& members) { cycles.push_back(members); });
    for (const std::vector<Definition>& members : cycles) ReportCycle(members);
    for (Definition definition : order) Summarize(definition);
    for (ParamSyntax& param : syntax_.params) CheckParam(&param);
    for (StateSyntax& state : syntax_.states) CheckState(&state);
  }

 private:
  // One root per definition, so that each is visited as a definition.
  std::vector<Expression> AsUses() {
    std::vector<Expression> uses;
    const auto add = [&](RefKind kind, size_t index, const Declaration& declaration) {
      Node node;
      node.kind = NodeKind::kName;
      node.ref = kind;
      node.target = static_cast<int32_t>(index);
      node.name = declaration.name;
      node.location = declaration.location;
      const auto id = static_cast<NodeId>(syntax_.nodes.size());
      syntax_.nodes.push_back(node);
      uses.push_back({id, id, declaration.location});
    };
    for (size_t i = 0; i < syntax_.lets.size(); ++i) add(RefKind::kLet, i, syntax_.lets[i]);
    for (size_t i = 0; i < syntax_.funs.size(); ++i) add(RefKind::kFun, i, syntax_.funs[i]);
    return uses;
  }

  Declaration& Mutable(Definition definition) {
    if (definition.kind == RefKind::kLet) return syntax_.lets[definition.index];
    return syntax_.funs[definition.index];
  }

  std::string_view NameOf(Definition definition) const {
    return syntax_.names[DeclarationOf(syntax_, definition).name];
  }

  void ReportCycle(const std::vector<Definition>& members) {
    // Begin with the member that stands first in the text.
    size_t first = 0;
    for (size_t i = 1; i < members.size(); ++i) {
      const SourceLocation& a = Mutable(members[i]).location;
      const SourceLocation& b = Mutable(members[first]).location;
      if (std::tie(a.line, a.column) < std::tie(b.line, b.column)) first = i;
    }
    const Definition start = members[first];
    std::string path;
    for (size_t i = 0; i < std::min(members.size(), kMaxShownMembers); ++i) {
      AppendText(&path, NameOf(members[(first + i) % members.size()]), " -> ");
    }
    if (members.size() > kMaxShownMembers) AppendText(&path, "... -> ");
    const bool is_fun = std::all_of(members.begin(), members.end(),
                                    [](Definition member) { return member.kind == RefKind::kFun; });
    issues_.Add(Mutable(start).location,
                Text("'", NameOf(start),
                     is_fun ? "' calls itself: " : "' depends on itself: ", path, NameOf(start)),
                is_fun ? "functions are expanded where they are called and cannot recurse" : "");
    for (Definition member : members) Mutable(member).broken = true;
  }

  Dependence DependenceOn(const Node& node, bool states_only) const {
    switch (node.ref) {
      case RefKind::kState:
        return {node.ref, node.target};
      case RefKind::kParam:
      case RefKind::kTime:
        return states_only ? Dependence{} : Dependence{node.ref, node.target};
      case RefKind::kLet: {
        const Dependences& inner = of_lets_[node.target];
        return states_only ? inner.state : inner.variable;
      }
      case RefKind::kFun: {
        const Dependences& inner = of_funs_[node.target];
        return states_only ? inner.state : inner.variable;
      }
      case RefKind::kUnresolved:
      case RefKind::kConstant:
      case RefKind::kArgument:
      case RefKind::kBuiltin:
        break;
    }
    return {};
  }

  void Summarize(Definition definition) {
    const Declaration& declaration = DeclarationOf(syntax_, definition);
    if (declaration.broken) return;
    Dependences summary;
    for (NodeId id = declaration.value.first; id <= declaration.value.root; ++id) {
      const Node& node = syntax_.nodes[id];
      if (!summary.state.found()) summary.state = DependenceOn(node, true);
      if (!summary.variable.found()) summary.variable = DependenceOn(node, false);
    }
    (definition.kind == RefKind::kLet ? of_lets_ : of_funs_)[definition.index] = summary;
  }

  std::string Describe(Dependence dependence) const {
    if (dependence.kind == RefKind::kTime) return "the time";
    if (dependence.kind == RefKind::kParam) {
      return Text("param '", syntax_.names[syntax_.params[dependence.index].name], "'");
    }
    return Text("state '", syntax_.names[syntax_.states[dependence.index].name], "'");
  }

  // Reports the first forbidden dependence of `expression`; true if there is one.
  bool Refuse(const Expression& expression, bool states_only, const std::string& what,
              const std::string& hint) {
    if (expression.empty()) return false;
    for (NodeId id = expression.first; id <= expression.root; ++id) {
      const Node& node = syntax_.nodes[id];
      const Dependence dependence = DependenceOn(node, states_only);
      if (!dependence.found()) continue;
      const bool through = node.ref == RefKind::kLet || node.ref == RefKind::kFun;
      issues_.Add(node.location,
                  Text(what, " depends on ", Describe(dependence),
                       through ? Text(" through '", syntax_.names[node.name], "'") : ""),
                  hint);
      return true;
    }
    return false;
  }

  bool RefuseExtents(const std::vector<Expression>& extents, const std::string& name) {
    bool refused = false;
    for (const Expression& extent : extents) {
      refused |= Refuse(extent, false, Text("the extent of ", name),
                        "a shape is made of numbers and lets of numbers");
    }
    return refused;
  }

  void CheckParam(ParamSyntax* param) {
    if (param->broken) return;
    const std::string name = Text("'", syntax_.names[param->name], "'");
    const std::string hint = "it is made of numbers, pi, functions and lets of these";
    param->broken = RefuseExtents(param->extents, name);
    param->broken |= Refuse(param->value, false, Text("the default of ", name), hint);
    param->broken |= Refuse(param->lower, false, Text("the lower bound of ", name), hint);
    param->broken |= Refuse(param->upper, false, Text("the upper bound of ", name), hint);
  }

  void CheckState(StateSyntax* state) {
    if (state->broken) return;
    const std::string name = Text("'", syntax_.names[state->name], "'");
    state->broken = RefuseExtents(state->extents, name);
    state->broken |= Refuse(state->value, true, Text("the initial value of ", name),
                            "it is made of numbers, params, t and lets of these");
  }

  Syntax& syntax_;
  IssueList& issues_;
  std::vector<Dependences> of_lets_;
  std::vector<Dependences> of_funs_;
};

}  // namespace

void CheckDependencies(Syntax* syntax, IssueList* issues) { DependencyCheck(syntax, issues).Run(); }

}  // namespace costate

#include "engine/model/resolver.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/model/builtins.h"
#include "engine/model/name_suggestion.h"
#include "engine/model/text.h"

namespace costate {
namespace {

struct Symbol {
  RefKind kind = RefKind::kUnresolved;  // kUnresolved: not declared
  int32_t index = -1;
};

std::string_view KindName(RefKind kind) {
  switch (kind) {
    case RefKind::kParam:
      return "a param";
    case RefKind::kState:
      return "a state";
    case RefKind::kLet:
      return "a let";
    case RefKind::kFun:
      return "a fun";
    case RefKind::kTime:
      return "the time";
    case RefKind::kConstant:
      return "a constant";
    case RefKind::kArgument:
      return "an argument";
    case RefKind::kBuiltin:
      return "a built-in function";
    case RefKind::kUnresolved:
      break;
  }
  return "unknown";
}

class Resolver {
 public:
  Resolver(Syntax* syntax, IssueList* issues) : syntax_(*syntax), issues_(*issues) {}

  void Run() {
    symbols_.resize(syntax_.names.size());
    argument_of_name_.assign(syntax_.names.size(), -1);
    DeclareAll();
    PairEquations();
    ResolveDeclarations();
    ReportUnknownNames();
    CheckStates();
  }

 private:
  struct Entry {
    Declaration* declaration;
    RefKind kind;
    int32_t index;
  };

  struct Unknown {
    SourceLocation first;
    int64_t uses = 0;
    int32_t fun = -1;  // of the first use, whose arguments are in scope
    bool call = false;
  };

  std::string Quoted(NameId name) const { return Text("'", syntax_.names[name], "'"); }

  Declaration& DeclarationAt(Symbol symbol) {
    if (symbol.kind == RefKind::kParam) return syntax_.params[symbol.index];
    if (symbol.kind == RefKind::kState) return syntax_.states[symbol.index];
    if (symbol.kind == RefKind::kFun) return syntax_.funs[symbol.index];
    return syntax_.lets[symbol.index];
  }

  template <typename T>
  void Collect(std::vector<T>* list, RefKind kind, std::vector<Entry>* entries) {
    for (size_t i = 0; i < list->size(); ++i) {
      entries->push_back({&(*list)[i], kind, static_cast<int32_t>(i)});
    }
  }

  static bool Before(const SourceLocation& a, const SourceLocation& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  }

  void DeclareAll() {
    std::vector<Entry> entries;
    Collect(&syntax_.params, RefKind::kParam, &entries);
    Collect(&syntax_.states, RefKind::kState, &entries);
    Collect(&syntax_.lets, RefKind::kLet, &entries);
    Collect(&syntax_.funs, RefKind::kFun, &entries);
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return Before(a.declaration->location, b.declaration->location);
    });
    for (const Entry& entry : entries) DeclareOne(entry);
    DeclareOutputs();
    DeclareUndeclared();
  }

  void DeclareOne(const Entry& entry) {
    Declaration& declaration = *entry.declaration;
    const std::string_view name = syntax_.names[declaration.name];
    if (name == "t") {
      issues_.Add(declaration.location, "'t' is the time and cannot be declared",
                  "choose another name");
      declaration.broken = true;
      return;
    }
    if (entry.kind == RefKind::kFun && FindBuiltin(name) >= 0) {
      issues_.Add(declaration.location, Text("'", name, "' is a built-in function"),
                  "choose another name");
      declaration.broken = true;
      return;
    }
    Symbol& symbol = symbols_[declaration.name];
    if (symbol.kind == RefKind::kUnresolved) {
      symbol = {entry.kind, entry.index};
      return;
    }
    const Declaration& first = DeclarationAt(symbol);
    ReportDuplicate(declaration, first);
    declaration.broken = true;
  }

  void ReportDuplicate(const Declaration& again, const Declaration& first) {
    if (again.broken) return;
    issues_.Add(again.location, Text("duplicate name ", Quoted(again.name)),
                Text("first declared on line ", first.location.line));
  }

  void DeclareOutputs() {
    output_of_name_.assign(syntax_.names.size(), -1);
    for (size_t i = 0; i < syntax_.outputs.size(); ++i) {
      OutputSyntax& output = syntax_.outputs[i];
      int32_t& first = output_of_name_[output.name];
      if (first >= 0) {
        ReportDuplicate(output, syntax_.outputs[first]);
        output.broken = true;
      } else {
        first = static_cast<int32_t>(i);
      }
    }
  }

  // A name with an equation but no declaration is reported there, and known from then on.
  void DeclareUndeclared() {
    for (EquationSyntax& equation : syntax_.equations) {
      if (symbols_[equation.name].kind != RefKind::kUnresolved) continue;
      const std::string name(syntax_.names[equation.name]);
      if (name == "t") {
        if (!equation.broken) {
          issues_.Add(equation.location, "'t' is the time and has no equation",
                      "its derivative is 1");
        }
        equation.broken = true;
        continue;
      }
      if (!equation.broken) {
        if (equation.assigned) {
          issues_.Add(equation.location, Text("'", name, "' is not declared"),
                      Text("write: let ", name, " = ..., or param, or state"));
        } else {
          ReportUndeclaredState(equation, name);
        }
      }
      equation.broken = true;
      LetSyntax let;
      let.name = equation.name;
      let.location = equation.location;
      let.broken = true;
      symbols_[equation.name] = {RefKind::kLet, static_cast<int32_t>(syntax_.lets.size())};
      syntax_.lets.push_back(let);
    }
  }

  void ReportUndeclaredState(const EquationSyntax& equation, const std::string& name) {
    if (issues_.full()) return issues_.Add(equation.location, "");
    std::vector<std::string_view> without_equation;
    std::vector<bool> has_equation(syntax_.names.size());
    for (const EquationSyntax& other : syntax_.equations) has_equation[other.name] = true;
    for (const StateSyntax& state : syntax_.states) {
      if (!has_equation[state.name]) without_equation.push_back(syntax_.names[state.name]);
    }
    const std::string near = NearestName(name, without_equation);
    issues_.Add(
        equation.location, Text("equation for '", name, "', which is not declared"),
        near.empty() ? Text("add: state ", name, " = 0") : Text("did you mean '", near, "'?"));
    if (!near.empty()) excused_.push_back(near);
  }

  void PairEquations() {
    for (size_t i = 0; i < syntax_.equations.size(); ++i) {
      EquationSyntax& equation = syntax_.equations[i];
      const Symbol symbol = symbols_[equation.name];
      if (symbol.kind == RefKind::kUnresolved) continue;
      Declaration& declaration = DeclarationAt(symbol);
      if (symbol.kind != RefKind::kState) {
        if (!equation.broken && !declaration.broken) ReportStrayEquation(equation, symbol);
        equation.broken = true;
        continue;
      }
      StateSyntax& state = syntax_.states[symbol.index];
      const std::string name(syntax_.names[equation.name]);
      if (equation.assigned && !equation.broken) {
        issues_.Add(equation.location, Text("'", name, "' is a state, its equation has a prime"),
                    Text("write: ", name, "' = ..."));
        equation.broken = true;
      }
      if (state.equation >= 0) {
        const EquationSyntax& first = syntax_.equations[state.equation];
        if (!equation.broken) {
          issues_.Add(equation.location, Text("second equation for '", name, "'"),
                      Text("the first is on line ", first.location.line));
        }
        equation.broken = true;
        continue;
      }
      state.equation = static_cast<int32_t>(i);
    }
  }

  void ReportStrayEquation(const EquationSyntax& equation, Symbol symbol) {
    const std::string name = Quoted(equation.name);
    const Declaration& declared = DeclarationAt(symbol);
    if (equation.assigned) {
      issues_.Add(
          equation.location, Text(name, " has a value already"),
          Text("it is ", KindName(symbol.kind), ", declared on line ", declared.location.line));
      return;
    }
    issues_.Add(equation.location,
                Text("equation for ", name, ", which is ", KindName(symbol.kind)),
                Text("only a state has an equation; declare it as: state ",
                     syntax_.names[equation.name], " = ..."));
  }

  void ResolveDeclarations() {
    for (ParamSyntax& param : syntax_.params) {
      for (const Expression& extent : param.extents) Resolve(extent);
      Resolve(param.value);
      Resolve(param.lower);
      Resolve(param.upper);
    }
    for (StateSyntax& state : syntax_.states) {
      for (const Expression& extent : state.extents) Resolve(extent);
      Resolve(state.value);
    }
    for (LetSyntax& let : syntax_.lets) Resolve(let.value);
    for (size_t i = 0; i < syntax_.funs.size(); ++i) ResolveFun(static_cast<int32_t>(i));
    for (EquationSyntax& equation : syntax_.equations) Resolve(equation.value);
    for (OutputSyntax& output : syntax_.outputs) {
      if (output.by_name && !output.broken) AddValueOfName(&output);
      Resolve(output.value);
    }
  }

  // output x  stands for  output x = x
  void AddValueOfName(OutputSyntax* output) {
    Node node;
    node.kind = NodeKind::kName;
    node.name = output->name;
    node.location = output->location;
    const auto id = static_cast<NodeId>(syntax_.nodes.size());
    syntax_.nodes.push_back(node);
    output->value = {id, id, output->location};
  }

  void ResolveFun(int32_t index) {
    const FunSyntax& fun = syntax_.funs[index];
    for (size_t i = 0; i < fun.arguments.size(); ++i) {
      const Argument& argument = fun.arguments[i];
      if (syntax_.names[argument.name] == "t") {
        issues_.Add(argument.location, "'t' is the time and cannot be an argument",
                    "choose another name");
      } else if (argument_of_name_[argument.name] >= 0) {
        issues_.Add(argument.location, Text("duplicate argument ", Quoted(argument.name)));
      }
      argument_of_name_[argument.name] = static_cast<int32_t>(i);
    }
    current_fun_ = index;
    Resolve(fun.value);
    current_fun_ = -1;
    for (const Argument& argument : fun.arguments) argument_of_name_[argument.name] = -1;
  }

  void Resolve(const Expression& expression) {
    if (expression.empty()) return;
    for (NodeId id = expression.first; id <= expression.root; ++id) {
      Node& node = syntax_.nodes[id];
      if (node.kind == NodeKind::kName) ResolveValue(&node);
      if (node.kind == NodeKind::kCall) ResolveCall(&node);
    }
  }

  Symbol FindValue(NameId name) const {
    if (argument_of_name_[name] >= 0) return {RefKind::kArgument, argument_of_name_[name]};
    if (symbols_[name].kind != RefKind::kUnresolved) return symbols_[name];
    if (syntax_.names[name] == "t") return {RefKind::kTime, 0};
    const absl::Span<const NamedConstant> constants = NamedConstants();
    for (size_t i = 0; i < constants.size(); ++i) {
      if (constants[i].name == syntax_.names[name]) {
        return {RefKind::kConstant, static_cast<int32_t>(i)};
      }
    }
    return {};
  }

  void ResolveValue(Node* node) {
    const Symbol symbol = FindValue(node->name);
    if (symbol.kind == RefKind::kFun) {
      if (DeclarationAt(symbol).broken) return;
      return NoteUnknown(*node);
    }
    if (symbol.kind == RefKind::kUnresolved) return NoteUnknown(*node);
    node->ref = symbol.kind;
    node->target = symbol.index;
  }

  void ResolveCall(Node* node) {
    const Symbol symbol = symbols_[node->name];
    const bool argument = argument_of_name_[node->name] >= 0;
    if (!argument && symbol.kind == RefKind::kFun) {
      const FunSyntax& fun = syntax_.funs[symbol.index];
      if (fun.broken) return;
      const auto expected = static_cast<int32_t>(fun.arguments.size());
      if (node->num_children != expected) {
        return ReportArgumentCount(*node, expected, expected, Signature(fun));
      }
      node->ref = RefKind::kFun;
      node->target = symbol.index;
      return;
    }
    const int builtin = FindBuiltin(syntax_.names[node->name]);
    if (builtin < 0) {
      const bool silent =
          !argument && symbol.kind != RefKind::kUnresolved && DeclarationAt(symbol).broken;
      if (!silent) NoteUnknown(*node);
      return;
    }
    const Builtin& signature = Builtins()[builtin];
    if (node->num_children < signature.min_arguments ||
        node->num_children > signature.max_arguments) {
      return ReportArgumentCount(*node, signature.min_arguments, signature.max_arguments,
                                 std::string(signature.signature));
    }
    node->ref = RefKind::kBuiltin;
    node->target = builtin;
  }

  std::string Signature(const FunSyntax& fun) const {
    std::string text = Text(syntax_.names[fun.name], "(");
    for (size_t i = 0; i < fun.arguments.size(); ++i) {
      AppendText(&text, i > 0 ? ", " : "", syntax_.names[fun.arguments[i].name]);
    }
    return Text(text, ")");
  }

  void ReportArgumentCount(const Node& node, int least, int most, const std::string& signature) {
    const std::string wanted = least == most        ? Text(least)
                               : most == kAnyNumber ? Text("at least ", least)
                                                    : Text(least, " to ", most);
    issues_.Add(node.location,
                Text(Quoted(node.name), " takes ", wanted, most == 1 ? " argument" : " arguments",
                     ", got ", node.num_children),
                Text("write: ", signature));
  }

  void NoteUnknown(const Node& node) {
    Unknown& unknown = unknown_[{node.name, node.kind == NodeKind::kCall}];
    if (unknown.uses++ == 0) {
      unknown.first = node.location;
      unknown.fun = current_fun_;
      unknown.call = node.kind == NodeKind::kCall;
      unknown_order_.push_back(node.name);
      unknown_is_call_.push_back(unknown.call);
    }
  }

  void ReportUnknownNames() {
    for (size_t i = 0; i < unknown_order_.size(); ++i) {
      const NameId name = unknown_order_[i];
      const Unknown& unknown = unknown_.at({name, unknown_is_call_[i]});
      if (issues_.full()) {
        issues_.Add(unknown.first, "");
        return;
      }
      const std::string uses = unknown.uses > 1 ? Text(" (used ", unknown.uses, " times)") : "";
      if (unknown.call) {
        ReportUnknownFunction(name, unknown, uses);
      } else {
        issues_.Add(unknown.first, Text("unknown name ", Quoted(name), uses),
                    UnknownValueHint(name, unknown));
      }
    }
  }

  void ReportUnknownFunction(NameId name, const Unknown& unknown, const std::string& uses) {
    const Symbol value = FindValue(name);
    bool argument = false;
    if (unknown.fun >= 0) {
      for (const Argument& candidate : syntax_.funs[unknown.fun].arguments) {
        argument = argument || candidate.name == name;
      }
    }
    if (argument || value.kind != RefKind::kUnresolved) {
      const RefKind kind = argument ? RefKind::kArgument : value.kind;
      issues_.Add(unknown.first, Text(Quoted(name), " is ", KindName(kind), ", not a function"),
                  Text("for a product write ", syntax_.names[name], "*(...)"));
      return;
    }
    std::string hint;
    const std::string_view ours = ForeignFunctionHint(syntax_.names[name]);
    if (!ours.empty()) {
      hint = Text("write: ", ours);
    } else {
      std::vector<std::string_view> candidates;
      for (const FunSyntax& fun : syntax_.funs) candidates.push_back(syntax_.names[fun.name]);
      for (const Builtin& builtin : Builtins()) candidates.push_back(builtin.name);
      const std::string near = NearestName(syntax_.names[name], candidates);
      if (!near.empty()) hint = Text("did you mean '", near, "'?");
    }
    issues_.Add(unknown.first, Text("unknown function ", Quoted(name), uses), hint);
  }

  std::string UnknownValueHint(NameId name, const Unknown& unknown) {
    const std::string_view text = syntax_.names[name];
    if (symbols_[name].kind == RefKind::kFun || FindBuiltin(text) >= 0) {
      return Text("'", text, "' is a function, call it: ", text, "(...)");
    }
    if (output_of_name_[name] >= 0 && !syntax_.outputs[output_of_name_[name]].by_name) {
      return "an output is not used in expressions; name the value with 'let'";
    }
    if (text == "e") return "Euler's number is exp(1)";
    if (text == "time") return "the time is called 't'";
    std::vector<std::string_view> candidates = {"t", "pi", "inf"};
    for (const ParamSyntax& param : syntax_.params) candidates.push_back(syntax_.names[param.name]);
    for (const StateSyntax& state : syntax_.states) candidates.push_back(syntax_.names[state.name]);
    for (const LetSyntax& let : syntax_.lets) candidates.push_back(syntax_.names[let.name]);
    if (unknown.fun >= 0) {
      for (const Argument& argument : syntax_.funs[unknown.fun].arguments) {
        candidates.push_back(syntax_.names[argument.name]);
      }
    }
    const std::string near = NearestName(text, candidates);
    if (!near.empty()) return Text("did you mean '", near, "'?");
    return Text("declare it: param ", text, " = ...");
  }

  void CheckStates() {
    for (const StateSyntax& state : syntax_.states) {
      if (state.equation >= 0 || symbols_[state.name].kind != RefKind::kState) continue;
      if (&syntax_.states[symbols_[state.name].index] != &state) continue;  // a duplicate
      const std::string name(syntax_.names[state.name]);
      if (std::find(excused_.begin(), excused_.end(), name) != excused_.end()) continue;
      issues_.Add(state.location, Text("state '", name, "' has no equation"),
                  Text("write: ", name, "' = ..."));
    }
    if (syntax_.states.empty() && !syntax_.lost_declarations && !HasBrokenEquation()) {
      issues_.Add({1, 1, 1}, "the model declares no states",
                  "a model has at least one state and its equation: state x = 1; x' = -x");
    }
  }

  bool HasBrokenEquation() const {
    return std::any_of(syntax_.equations.begin(), syntax_.equations.end(),
                       [](const EquationSyntax& equation) { return equation.broken; });
  }

  Syntax& syntax_;
  IssueList& issues_;
  std::vector<Symbol> symbols_;            // by name
  std::vector<int32_t> argument_of_name_;  // by name, inside a function
  std::vector<int32_t> output_of_name_;    // by name
  int32_t current_fun_ = -1;
  absl::flat_hash_map<std::pair<NameId, bool>, Unknown> unknown_;  // (name, is a call)
  std::vector<NameId> unknown_order_;
  std::vector<bool> unknown_is_call_;
  std::vector<std::string> excused_;  // states whose equation seems to be misnamed
};

}  // namespace

void ResolveNames(Syntax* syntax, IssueList* issues) { Resolver(syntax, issues).Run(); }

}  // namespace costate

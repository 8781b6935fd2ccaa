// The syntax tree of a model text: declarations, and expressions as flat lists of nodes.
//
// The nodes of one expression are neighbours in Syntax::nodes, operands before their users, the
// root last. Every walk over an expression is therefore a loop from `first` to `root`, and no
// algorithm recurses on the depth of a text.
#ifndef COSTATE_ENGINE_MODEL_SYNTAX_H_
#define COSTATE_ENGINE_MODEL_SYNTAX_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/model/ir.h"

namespace costate {

enum class NodeKind : uint8_t {
  kNumber,  // number
  kName,    // name; `ref` and `target` once resolved
  kError,   // stands for what was reported
  kNegate,  // 1 child
  kNot,     // 1 child
  kAdd,     // binary operators: 2 children
  kSubtract,
  kMultiply,
  kDivide,
  kPower,
  kMatmul,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kEqual,
  kNotEqual,
  kAnd,
  kOr,
  kIf,         // 3 children: condition, then, else
  kCall,       // name; children are the arguments
  kIndex,      // children: base, then one subscript per axis
  kSlice,      // subscript a:b:c; 3 children, each an expression or kAbsent
  kAbsent,     // a left-out part of a slice
  kTensor,     // [a, b, ...]: children are stacked along a new first axis
  kTranspose,  // x.T: 1 child
};

// What a name stands for.
enum class RefKind : uint8_t {
  kUnresolved,  // reported, or not looked at
  kTime,
  kConstant,  // target: index into the named constants
  kParam,     // target: index into Syntax::params; the next ones likewise
  kState,
  kLet,
  kFun,
  kArgument,  // target: position in the function's argument list
  kBuiltin,   // target: index into Builtins()
};

using NodeId = int32_t;
using NameId = int32_t;

struct Node {
  NodeKind kind = NodeKind::kError;
  RefKind ref = RefKind::kUnresolved;
  int32_t target = -1;
  NameId name = -1;
  int32_t first_child = 0;  // in Syntax::children
  int32_t num_children = 0;
  double number = 0;
  SourceLocation location;  // of the token that makes the node: operator, name, bracket
};

// Empty when root < 0.
struct Expression {
  NodeId first = 0;
  NodeId root = -1;
  SourceLocation location;  // where it begins

  bool empty() const { return root < 0; }
};

// Common to all declarations. `broken` means: reported, to be known but not judged further.
struct Declaration {
  NameId name = -1;
  SourceLocation location;  // of the name
  bool broken = false;
  Expression value;
};

struct ParamSyntax : Declaration {
  std::vector<Expression> extents;
  Expression lower, upper;
};

struct StateSyntax : Declaration {
  std::vector<Expression> extents;
  int32_t equation = -1;  // index into Syntax::equations, once resolved
};

struct LetSyntax : Declaration {};

struct Argument {
  NameId name = -1;
  SourceLocation location;
};

struct FunSyntax : Declaration {
  std::vector<Argument> arguments;
};

struct OutputSyntax : Declaration {
  bool by_name = false;  // "output x", which means "output x = x"
};

// name' = value
struct EquationSyntax : Declaration {
  bool assigned = false;  // was written without the prime
};

struct Syntax {
  NameId model_name = -1;
  std::vector<std::string_view> names;  // by NameId; parts of the text
  std::vector<Node> nodes;
  std::vector<NodeId> children;

  std::vector<ParamSyntax> params;
  std::vector<StateSyntax> states;
  std::vector<LetSyntax> lets;
  std::vector<FunSyntax> funs;
  std::vector<OutputSyntax> outputs;
  std::vector<EquationSyntax> equations;
  bool lost_declarations = false;  // a statement was too broken to say what it declares

  NodeId child(const Node& node, int i) const { return children[node.first_child + i]; }
};

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_SYNTAX_H_

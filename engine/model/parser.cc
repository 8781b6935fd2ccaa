#include "engine/model/parser.h"

#include <string>
#include <utility>

#include "engine/model/expression_parser.h"
#include "engine/model/name_suggestion.h"
#include "engine/model/scanner.h"
#include "engine/model/text.h"
#include "engine/model/token_stream.h"

namespace costate {
namespace {

class StatementParser {
 public:
  StatementParser(std::string_view text, IssueList* issues)
      : issues_(*issues),
        tokens_(text, SplitStatements(ScanModel(text, issues))),
        expressions_(&tokens_, &syntax_, issues) {}

  Syntax Run() {
    while (!tokens_.At(TokenKind::kEnd)) {
      if (tokens_.AtStatementEnd()) {
        tokens_.Next();
        continue;
      }
      expressions_.Reset();
      ParseStatement();
      if (!expressions_.failed() && !tokens_.AtStatementEnd()) {
        if (tokens_.At(TokenKind::kComma)) {
          expressions_.Fail(tokens_.Peek(), "unexpected ','", "one declaration per statement");
        }
        expressions_.FailAtRest();
      }
      Recover();
    }
    return std::move(syntax_);
  }

 private:
  void ParseStatement() {
    switch (tokens_.Peek().kind) {
      case TokenKind::kModel:
        return ParseModelName();
      case TokenKind::kParam:
        return ParseParam();
      case TokenKind::kState:
        return ParseState();
      case TokenKind::kLet:
        return ParseLet();
      case TokenKind::kFun:
        return ParseFun();
      case TokenKind::kOutput:
        return ParseOutput();
      case TokenKind::kReserved:
        return RefuseReserved();
      case TokenKind::kName:
        if (tokens_.Peek(1).kind == TokenKind::kPrime) return ParseEquation();
        return RefuseName();
      default:  // nothing else begins a statement
        return RefuseStatement();
    }
  }

  // Goes to the next statement. What the rest of a broken statement seems to declare is taken as
  // declared, so that its absence is not reported as well.
  void Recover() {
    if (!expressions_.failed()) return;
    if (last_ != nullptr) last_->broken = true;
    while (!tokens_.AtStatementEnd()) {
      const Token& token = tokens_.Next();
      if (token.kind == TokenKind::kName && tokens_.At(TokenKind::kPrime)) {
        AddBrokenEquation(token);
      }
    }
  }

  // Reads the declared name into `declaration`; false after an error.
  bool ParseDeclaredName(Declaration* declaration) {
    const Token token = tokens_.Peek();
    if (token.kind != TokenKind::kName) {
      syntax_.lost_declarations = true;
      if (tokens_.AtStatementEnd()) {
        expressions_.Fail(tokens_.Previous(),
                          Text("expected a name after ", tokens_.Describe(tokens_.Previous())));
      } else {
        expressions_.FailExpecting("a name");
      }
      return false;
    }
    tokens_.Next();
    declaration->name = expressions_.Intern(token);
    declaration->location = tokens_.Locate(token);
    return true;
  }

  // Adds a declaration to its list, to be marked if its statement fails.
  template <typename T>
  T* Declare(std::vector<T>* list, T declaration) {
    list->push_back(std::move(declaration));
    last_ = &list->back();
    return &list->back();
  }

  void ParseModelName() {
    const Token word = tokens_.Next();
    last_ = nullptr;
    Declaration name;
    if (!ParseDeclaredName(&name)) return;
    if (syntax_.model_name >= 0) {
      expressions_.Fail(word, "the model has a name already",
                        Text("it is '", syntax_.names[syntax_.model_name], "'"));
      return;
    }
    syntax_.model_name = name.name;
  }

  std::vector<Expression> ParseExtents() {
    std::vector<Expression> extents;
    if (!tokens_.At(TokenKind::kOpenBracket)) return extents;
    const Token open = tokens_.Next();
    do {
      extents.push_back(expressions_.Parse());
    } while (!expressions_.failed() && tokens_.Accept(TokenKind::kComma));
    expressions_.Close(open, TokenKind::kCloseBracket, "']'");
    return extents;
  }

  void ParseBounds(ParamSyntax* param) {
    if (expressions_.failed() || !tokens_.Accept(TokenKind::kIn)) return;
    const std::string hint = "bounds are written: in [lower, upper]";
    const Token open = tokens_.Peek();
    if (!tokens_.Accept(TokenKind::kOpenBracket)) return expressions_.FailExpecting("'['", hint);
    param->lower = expressions_.Parse();
    if (!expressions_.failed() && !tokens_.Accept(TokenKind::kComma)) {
      return expressions_.FailExpecting("','", hint);
    }
    param->upper = expressions_.Parse();
    expressions_.Close(open, TokenKind::kCloseBracket, "']'");
  }

  void ParseParam() {
    tokens_.Next();
    last_ = nullptr;
    ParamSyntax declared;
    if (!ParseDeclaredName(&declared)) return;
    ParamSyntax* param = Declare(&syntax_.params, std::move(declared));
    param->extents = ParseExtents();
    if (!expressions_.failed() && tokens_.Accept(TokenKind::kAssign)) {
      param->value = expressions_.Parse();
    }
    ParseBounds(param);
  }

  void ParseState() {
    tokens_.Next();
    last_ = nullptr;
    StateSyntax declared;
    if (!ParseDeclaredName(&declared)) return;
    StateSyntax* state = Declare(&syntax_.states, std::move(declared));
    state->extents = ParseExtents();
    if (expressions_.failed()) return;
    if (tokens_.Accept(TokenKind::kAssign)) {
      state->value = expressions_.Parse();
    } else if (tokens_.AtStatementEnd()) {
      const std::string name(syntax_.names[state->name]);
      issues_.Add(state->location, Text("state '", name, "' has no initial value"),
                  Text("write: state ", name, state->extents.empty() ? "" : "[...]", " = 0"));
      state->broken = true;
    }
    if (!expressions_.failed() && tokens_.At(TokenKind::kIn)) {
      expressions_.Fail(tokens_.Peek(), "a state has no bounds", "only a param has bounds");
    }
  }

  void ParseLet() {
    tokens_.Next();
    last_ = nullptr;
    LetSyntax declared;
    if (!ParseDeclaredName(&declared)) return;
    LetSyntax* let = Declare(&syntax_.lets, std::move(declared));
    if (tokens_.At(TokenKind::kOpenBracket)) {
      expressions_.Fail(tokens_.Peek(), "a let has no declared shape",
                        "it takes the shape of its value");
    } else if (tokens_.At(TokenKind::kOpenParen)) {
      expressions_.Fail(tokens_.Peek(), "a let has no arguments",
                        Text("write: fun ", syntax_.names[let->name], "(...) = ..."));
    } else if (!tokens_.Accept(TokenKind::kAssign)) {
      expressions_.FailExpecting("'='", "write: let name = expression");
    }
    if (!expressions_.failed()) let->value = expressions_.Parse();
  }

  void ParseFun() {
    tokens_.Next();
    last_ = nullptr;
    FunSyntax declared;
    if (!ParseDeclaredName(&declared)) return;
    FunSyntax* fun = Declare(&syntax_.funs, std::move(declared));
    const std::string hint = "write: fun name(a, b) = expression";
    const Token open = tokens_.Peek();
    if (!tokens_.Accept(TokenKind::kOpenParen)) return expressions_.FailExpecting("'('", hint);
    while (!tokens_.At(TokenKind::kCloseParen)) {
      const Token token = tokens_.Peek();
      if (token.kind != TokenKind::kName) {
        if (tokens_.AtStatementEnd()) break;
        return expressions_.FailExpecting("the name of an argument", hint);
      }
      tokens_.Next();
      fun->arguments.push_back({expressions_.Intern(token), tokens_.Locate(token)});
      if (!tokens_.Accept(TokenKind::kComma)) break;
    }
    expressions_.Close(open, TokenKind::kCloseParen, "')'");
    if (expressions_.failed()) return;
    if (fun->arguments.empty()) {
      return expressions_.Fail(open, "a function has at least one argument",
                               Text("write: let ", syntax_.names[fun->name], " = ..."));
    }
    if (!tokens_.Accept(TokenKind::kAssign)) return expressions_.FailExpecting("'='", hint);
    fun->value = expressions_.Parse();
  }

  void ParseOutput() {
    tokens_.Next();
    last_ = nullptr;
    OutputSyntax declared;
    if (!ParseDeclaredName(&declared)) return;
    OutputSyntax* output = Declare(&syntax_.outputs, std::move(declared));
    output->by_name = tokens_.AtStatementEnd();
    if (output->by_name) return;
    if (!tokens_.Accept(TokenKind::kAssign)) {
      return expressions_.FailExpecting("'='", "write: output name = expression");
    }
    output->value = expressions_.Parse();
  }

  void ParseEquation() {
    last_ = nullptr;
    EquationSyntax declared;
    ParseDeclaredName(&declared);
    EquationSyntax* equation = Declare(&syntax_.equations, std::move(declared));
    const Token prime = tokens_.Next();
    if (tokens_.At(TokenKind::kPrime)) {
      return expressions_.Fail(prime, "second derivatives are not equations",
                               "declare the first derivative as a state of its own");
    }
    if (tokens_.At(TokenKind::kOpenBracket)) {
      return expressions_.Fail(tokens_.Peek(), "an equation is for the whole state",
                               Text("write: ", syntax_.names[equation->name], "' = [..., ...]"));
    }
    if (!tokens_.Accept(TokenKind::kAssign)) {
      return expressions_.FailExpecting(
          "'='", Text("write: ", syntax_.names[equation->name], "' = expression"));
    }
    equation->value = expressions_.Parse();
  }

  void RefuseReserved() {
    const Token token = tokens_.Next();
    last_ = nullptr;
    const std::string word(tokens_.TextOf(token));
    expressions_.Fail(token, Text("'", word, "' is reserved for later and not supported yet"),
                      tokens_.At(TokenKind::kAssign) || tokens_.At(TokenKind::kPrime)
                          ? "choose another name"
                          : "");
    if (tokens_.At(TokenKind::kName)) DeclareBroken();
    syntax_.lost_declarations = true;
  }

  // Takes the current name as declared, whatever it may be.
  void DeclareBroken() {
    LetSyntax let;
    let.name = expressions_.Intern(tokens_.Peek());
    let.location = tokens_.Locate(tokens_.Peek());
    let.broken = true;
    syntax_.lets.push_back(let);
  }

  // A statement that begins with a name but is no equation.
  void RefuseName() {
    const Token token = tokens_.Peek();
    const TokenKind next = tokens_.Peek(1).kind;
    last_ = nullptr;
    const std::string name(tokens_.TextOf(token));
    if (next == TokenKind::kAssign) {
      MarkAssigned(token);
      return;
    }
    syntax_.lost_declarations = true;
    tokens_.Next();
    if (next == TokenKind::kName) {
      const std::string near = NearestName(name, {"model", "param", "state", "let", "fun", "output",
                                                  "event", "input", "noise", "control"});
      const std::string hint =
          !near.empty()
              ? Text("did you mean '", near, "'?")
              : "a statement begins with model, param, state, let, fun, output or name' =";
      expressions_.Fail(token, Text("unknown kind of statement '", name, "'"), hint);
      return DeclareBroken();
    }
    if (next == TokenKind::kOpenBracket && HasPrimeOrAssign()) {
      expressions_.Fail(token, "an equation is for the whole state",
                        Text("write: ", name, "' = [..., ...]"));
      AddBrokenEquation(token);
      return;
    }
    if (name.starts_with("d") && next == TokenKind::kSlash &&
        tokens_.Peek(1).kind == TokenKind::kName && tokens_.TextOf(tokens_.Peek(1)) == "dt") {
      Token state = token;
      ++state.offset;
      --state.length;
      if (state.length > 0) AddBrokenEquation(state);
      expressions_.Fail(token, "an equation is written with a prime",
                        Text("write: ", name.substr(1), "' = ..."));
      return;
    }
    expressions_.Fail(token, "this is no statement",
                      "a statement begins with model, param, state, let, fun, output or name' =");
  }

  // name = ...: to be judged when it is known whether the name is a state.
  void MarkAssigned(const Token& token) {
    EquationSyntax* equation = Declare(&syntax_.equations, EquationSyntax{});
    equation->name = expressions_.Intern(token);
    equation->location = tokens_.Locate(token);
    equation->assigned = true;
    tokens_.Next();
    tokens_.Next();
    equation->value = expressions_.Parse();
  }

  bool HasPrimeOrAssign() const {
    for (size_t i = 0; i < 16; ++i) {
      const TokenKind kind = tokens_.Peek(i).kind;
      if (EndsStatement(kind)) return false;
      if (kind == TokenKind::kPrime || kind == TokenKind::kAssign) return true;
    }
    return false;
  }

  void AddBrokenEquation(const Token& token) {
    EquationSyntax equation;
    equation.name = expressions_.Intern(token);
    equation.location = tokens_.Locate(token);
    equation.broken = true;
    syntax_.equations.push_back(equation);
  }

  void RefuseStatement() {
    last_ = nullptr;
    const Token token = tokens_.Peek();
    expressions_.Fail(token, Text("a statement cannot begin with ", tokens_.Describe(token)),
                      "a statement begins with model, param, state, let, fun, output or name' =");
    if (token.kind == TokenKind::kBad) syntax_.lost_declarations = true;
    tokens_.Next();
  }

  IssueList& issues_;
  Syntax syntax_;
  TokenStream tokens_;
  ExpressionParser expressions_;
  Declaration* last_ = nullptr;  // what the current statement declares
};

}  // namespace

Syntax ParseSyntax(std::string_view text, IssueList* issues) {
  return StatementParser(text, issues).Run();
}

}  // namespace costate

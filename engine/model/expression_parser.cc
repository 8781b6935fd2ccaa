#include "engine/model/expression_parser.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "engine/base/limits.h"
#include "engine/model/text.h"

namespace costate {
namespace {

constexpr NodeId kNoNode = -1;

struct BinaryOperator {
  TokenKind token;
  int precedence;
  NodeKind node;
};

constexpr int kNotPrecedence = 3;
constexpr int kComparison = 4;

constexpr BinaryOperator kBinaryOperators[] = {
    {TokenKind::kOr, 1, NodeKind::kOr},
    {TokenKind::kAnd, 2, NodeKind::kAnd},
    {TokenKind::kLess, kComparison, NodeKind::kLess},
    {TokenKind::kLessEqual, kComparison, NodeKind::kLessEqual},
    {TokenKind::kGreater, kComparison, NodeKind::kGreater},
    {TokenKind::kGreaterEqual, kComparison, NodeKind::kGreaterEqual},
    {TokenKind::kEqual, kComparison, NodeKind::kEqual},
    {TokenKind::kNotEqual, kComparison, NodeKind::kNotEqual},
    {TokenKind::kPlus, 5, NodeKind::kAdd},
    {TokenKind::kMinus, 5, NodeKind::kSubtract},
    {TokenKind::kStar, 6, NodeKind::kMultiply},
    {TokenKind::kSlash, 6, NodeKind::kDivide},
    {TokenKind::kAt, 6, NodeKind::kMatmul},
};

const BinaryOperator* FindOperator(TokenKind kind) {
  for (const BinaryOperator& candidate : kBinaryOperators) {
    if (candidate.token == kind) return &candidate;
  }
  return nullptr;
}

bool EndsOperand(TokenKind kind) {
  return kind == TokenKind::kName || kind == TokenKind::kNumber || kind == TokenKind::kCloseParen ||
         kind == TokenKind::kCloseBracket;
}

bool BeginsOperand(TokenKind kind) {
  return kind == TokenKind::kName || kind == TokenKind::kNumber || kind == TokenKind::kOpenParen;
}

}  // namespace

void ExpressionParser::Fail(const Token& token, std::string message, std::string hint) {
  if (!failed_ && !reported_ && token.kind != TokenKind::kBad) {
    issues_.Add(tokens_.Locate(token), std::move(message), std::move(hint));
  }
  failed_ = true;
}

void ExpressionParser::FailExpecting(std::string_view what, std::string hint) {
  if (failed_) return;
  const Token& token = tokens_.Peek();
  std::string message = Text("expected ", what, ", found ", tokens_.Describe(token));
  if (token.kind == TokenKind::kReserved) {
    message = Text(tokens_.Describe(token), " is a word reserved for later");
    hint = "choose another name";
  } else if (hint.empty() && token.kind < TokenKind::kPlus && token.kind >= TokenKind::kModel) {
    hint = Text(tokens_.Describe(token), " is a word of the language and cannot be a name");
  }
  Fail(token, std::move(message), std::move(hint));
}

void ExpressionParser::FailAtRest() {
  if (failed_) return;
  const Token& token = tokens_.Peek();
  const Token& previous = tokens_.Previous();
  const std::string found = tokens_.Describe(token);
  const TokenKind kind = token.kind;
  if (kind == TokenKind::kAssign) {
    Fail(token, "'=' inside an expression", "equality is written '=='");
  } else if (kind == TokenKind::kPrime) {
    Fail(token, "a derivative stands only on the left of an equation",
         "name the right-hand side with 'let' and use that name");
  } else if (kind == TokenKind::kCloseParen || kind == TokenKind::kCloseBracket) {
    Fail(token, Text(found, " without an opening bracket"));
  } else if (kind == TokenKind::kIf) {
    Fail(token, "'if' after an expression", "write: if condition then a else b");
  } else if (BeginsOperand(kind) && EndsOperand(previous.kind)) {
    Fail(token, Text("missing operator before ", found),
         "a product is written with '*'; statements are separated by line ends or ';'");
  } else if (kind == TokenKind::kRowSemicolon) {
    Fail(token, "';' inside brackets", "rows are written [[1, 2], [3, 4]]");
  } else if (kind == TokenKind::kThen || kind == TokenKind::kElse) {
    Fail(token, Text(found, " without 'if'"), "write: if condition then a else b");
  } else {
    Fail(token, Text("unexpected ", found));
  }
}

void ExpressionParser::Close(const Token& open, TokenKind kind, std::string_view sign) {
  if (failed_ || tokens_.Accept(kind)) return;
  if (tokens_.AtStatementEnd()) {
    Fail(open, Text(tokens_.Describe(open), " is never closed"), Text("add the matching ", sign));
    return;
  }
  const Token& token = tokens_.Peek();
  if (token.kind == TokenKind::kCloseParen || token.kind == TokenKind::kCloseBracket) {
    Fail(token,
         Text(tokens_.Describe(token), " does not match the ", tokens_.Describe(open), " at ",
              open.line, ":", open.column),
         Text("expected ", sign));
    return;
  }
  FailAtRest();
}

NameId ExpressionParser::Intern(const Token& token) {
  const std::string_view name = tokens_.TextOf(token);
  const auto [entry, inserted] = name_ids_.emplace(name, static_cast<NameId>(syntax_.names.size()));
  if (inserted) syntax_.names.push_back(name);
  return entry->second;
}

NodeId ExpressionParser::AddWithChildren(NodeKind kind, const Token& token,
                                         const std::vector<NodeId>& children) {
  if (failed_) return kNoNode;
  Node node;
  node.kind = kind;
  node.first_child = static_cast<int32_t>(syntax_.children.size());
  node.num_children = static_cast<int32_t>(children.size());
  node.location = tokens_.Locate(token);
  syntax_.children.insert(syntax_.children.end(), children.begin(), children.end());
  syntax_.nodes.push_back(node);
  return static_cast<NodeId>(syntax_.nodes.size()) - 1;
}

NodeId ExpressionParser::Add(NodeKind kind, const Token& token,
                             std::initializer_list<NodeId> children) {
  if (failed_) return kNoNode;
  Node node;
  node.kind = kind;
  node.first_child = static_cast<int32_t>(syntax_.children.size());
  node.num_children = static_cast<int32_t>(children.size());
  node.location = tokens_.Locate(token);
  syntax_.children.insert(syntax_.children.end(), children);
  syntax_.nodes.push_back(node);
  return static_cast<NodeId>(syntax_.nodes.size()) - 1;
}

bool ExpressionParser::Enter(const Token& token) {
  if (failed_) return false;
  if (++depth_ <= limits::kMaxNestingDepth) return true;
  Fail(token, Text("nested deeper than ", limits::kMaxNestingDepth, " levels"),
       "name a part of the expression with 'let'");
  return true;
}

Expression ExpressionParser::Parse() {
  Expression expression;
  expression.first = static_cast<NodeId>(syntax_.nodes.size());
  expression.location = tokens_.Locate(tokens_.Peek());
  depth_ = 0;
  expression.root = ParseExpression();
  if (failed_) expression.root = kNoNode;
  return expression;
}

NodeId ExpressionParser::ParseExpression() {
  if (!Enter(tokens_.Peek())) return kNoNode;
  const absl::Cleanup leave = [this] { --depth_; };
  if (failed_) return kNoNode;
  return ParseBinary(1);
}

// else-if chains are a loop: the conditions and branches are read in order, the nodes are made
// from the last back.
NodeId ExpressionParser::ParseConditional() {
  struct Arm {
    Token word;
    NodeId condition, value;
  };
  std::vector<Arm> arms;
  NodeId otherwise = kNoNode;
  while (true) {
    Arm arm;
    arm.word = tokens_.Next();  // if
    arm.condition = ParseExpression();
    if (!failed_ && !tokens_.Accept(TokenKind::kThen)) {
      if (EndsStatement(tokens_.Peek().kind)) {
        FailExpecting("'then'", "write: if condition then a else b");
      } else {
        tokens_.At(TokenKind::kAssign)
            ? FailAtRest()
            : FailExpecting("'then'", "write: if condition then a else b");
      }
    }
    if (failed_) return kNoNode;
    arm.value = ParseExpression();
    arms.push_back(arm);
    if (!failed_ && !tokens_.Accept(TokenKind::kElse)) {
      FailExpecting("'else'", "every 'if' has an 'else': if condition then a else b");
    }
    if (failed_) return kNoNode;
    if (tokens_.At(TokenKind::kIf)) continue;
    otherwise = ParseExpression();
    break;
  }
  for (size_t i = arms.size(); i-- > 0;) {
    otherwise = Add(NodeKind::kIf, arms[i].word, {arms[i].condition, arms[i].value, otherwise});
  }
  return otherwise;
}

NodeId ExpressionParser::ParseBinary(int min_precedence) {
  NodeId left =
      tokens_.At(TokenKind::kNot) && min_precedence <= kNotPrecedence ? ParseNots() : ParseUnary();
  bool compared = false;
  while (!failed_) {
    const Token token = tokens_.Peek();
    const BinaryOperator* op = FindOperator(token.kind);
    if (op == nullptr || op->precedence < min_precedence) break;
    if (op->precedence == kComparison && compared) {
      Fail(token, "comparisons do not chain", "write: a < b and b < c");
      break;
    }
    compared = op->precedence == kComparison;
    tokens_.Next();
    const NodeId right = ParseBinary(op->precedence + 1);
    left = Add(op->node, token, {left, right});
  }
  return left;
}

NodeId ExpressionParser::ParseNots() {
  std::vector<Token> words;
  while (tokens_.At(TokenKind::kNot)) words.push_back(tokens_.Next());
  NodeId operand = ParseBinary(kComparison);
  for (size_t i = words.size(); i-- > 0;) operand = Add(NodeKind::kNot, words[i], {operand});
  return operand;
}

NodeId ExpressionParser::ParseUnary() {
  std::vector<Token> minuses;
  while (tokens_.At(TokenKind::kMinus) || tokens_.At(TokenKind::kPlus)) {
    const Token& token = tokens_.Next();
    if (token.kind == TokenKind::kMinus) minuses.push_back(token);
  }
  NodeId operand = ParsePower();
  for (size_t i = minuses.size(); i-- > 0;) operand = Add(NodeKind::kNegate, minuses[i], {operand});
  return operand;
}

NodeId ExpressionParser::ParsePower() {
  const NodeId base = ParsePostfix();
  if (failed_ || !tokens_.At(TokenKind::kCaret)) return base;
  const Token token = tokens_.Next();
  if (!Enter(token)) return kNoNode;
  const absl::Cleanup leave = [this] { --depth_; };
  const NodeId exponent = failed_ ? kNoNode : ParseUnary();
  return Add(NodeKind::kPower, token, {base, exponent});
}

NodeId ExpressionParser::ParsePostfix() {
  NodeId value = ParsePrimary();
  while (!failed_) {
    if (tokens_.At(TokenKind::kOpenBracket)) {
      value = ParseIndex(value);
    } else if (tokens_.At(TokenKind::kDot)) {
      const Token dot = tokens_.Next();
      if (tokens_.At(TokenKind::kName) && tokens_.TextOf(tokens_.Peek()) == "T") {
        tokens_.Next();
        value = Add(NodeKind::kTranspose, dot, {value});
      } else {
        Fail(dot, "unexpected '.'", "the only suffix is '.T', the transposed matrix");
      }
    } else {
      break;
    }
  }
  return value;
}

NodeId ExpressionParser::ParsePrimary() {
  const Token token = tokens_.Peek();
  switch (token.kind) {
    case TokenKind::kNumber: {
      tokens_.Next();
      const NodeId id = Add(NodeKind::kNumber, token, {});
      if (id != kNoNode) syntax_.nodes[id].number = NumberValue(token, tokens_.text());
      return id;
    }
    case TokenKind::kName:
      return ParseName();
    case TokenKind::kBad:  // reported by the scanner
      tokens_.Next();
      reported_ = true;
      return Add(NodeKind::kError, token, {});
    case TokenKind::kOpenParen: {
      tokens_.Next();
      const NodeId inner = ParseExpression();
      if (!failed_ && tokens_.At(TokenKind::kComma)) {
        Fail(tokens_.Peek(), "',' inside parentheses", "a list of values is written [a, b]");
      }
      Close(token, TokenKind::kCloseParen, "')'");
      return inner;
    }
    case TokenKind::kOpenBracket:
      return ParseTensor();
    case TokenKind::kIf:
      return ParseConditional();
    case TokenKind::kNot:
      Fail(token, "'not' inside an arithmetic expression", "put it into parentheses: (not a)");
      return kNoNode;
    default:  // no other token begins an operand
      break;
  }
  const Token& previous = tokens_.Previous();
  const bool after_equals = tokens_.AtStatementEnd() && previous.kind == TokenKind::kAssign;
  if (previous.kind == TokenKind::kAssign && token.kind == TokenKind::kAssign) {
    FailAtRest();
  } else if (after_equals) {
    Fail(previous, "expected an expression after '='");
  } else if (tokens_.AtStatementEnd()) {
    Fail(previous, Text("expected an expression after ", tokens_.Describe(previous)));
  } else {
    FailExpecting("an expression");
  }
  return kNoNode;
}

NodeId ExpressionParser::ParseName() {
  const Token token = tokens_.Next();
  const NameId name = Intern(token);
  NodeId id = kNoNode;
  if (tokens_.At(TokenKind::kOpenParen)) {
    const Token open = tokens_.Next();
    id = AddWithChildren(NodeKind::kCall, token, ParseList(open, TokenKind::kCloseParen, "')'"));
  } else {
    id = Add(NodeKind::kName, token, {});
  }
  if (id != kNoNode) syntax_.nodes[id].name = name;
  return id;
}

std::vector<NodeId> ExpressionParser::ParseList(const Token& open, TokenKind close,
                                                std::string_view sign) {
  std::vector<NodeId> items;
  if (tokens_.Accept(close)) return items;
  do {
    if (tokens_.At(close)) break;  // a trailing comma
    items.push_back(ParseExpression());
  } while (!failed_ && tokens_.Accept(TokenKind::kComma));
  Close(open, close, sign);
  return items;
}

NodeId ExpressionParser::ParseTensor() {
  const Token open = tokens_.Next();
  const std::vector<NodeId> items = ParseList(open, TokenKind::kCloseBracket, "']'");
  if (!failed_ && items.empty()) Fail(open, "a tensor has at least one element");
  return AddWithChildren(NodeKind::kTensor, open, items);
}

NodeId ExpressionParser::ParseIndex(NodeId base) {
  const Token open = tokens_.Next();
  std::vector<NodeId> children = {base};
  do {
    children.push_back(ParseSubscript());
  } while (!failed_ && tokens_.Accept(TokenKind::kComma));
  Close(open, TokenKind::kCloseBracket, "']'");
  return AddWithChildren(NodeKind::kIndex, open, children);
}

NodeId ExpressionParser::ParseSlicePart() {
  if (tokens_.At(TokenKind::kColon) || tokens_.At(TokenKind::kComma) ||
      tokens_.At(TokenKind::kCloseBracket)) {
    return Add(NodeKind::kAbsent, tokens_.Peek(), {});
  }
  return ParseExpression();
}

NodeId ExpressionParser::ParseSubscript() {
  if (tokens_.At(TokenKind::kCloseBracket)) {
    FailExpecting("an index or a range");
    return kNoNode;
  }
  const NodeId start = ParseSlicePart();
  if (failed_ || !tokens_.At(TokenKind::kColon)) return start;
  const Token colon = tokens_.Next();
  const NodeId stop = ParseSlicePart();
  NodeId step = kNoNode;
  if (!failed_ && tokens_.Accept(TokenKind::kColon)) {
    step = ParseSlicePart();
  } else {
    step = Add(NodeKind::kAbsent, colon, {});
  }
  return Add(NodeKind::kSlice, colon, {start, stop, step});
}

}  // namespace costate

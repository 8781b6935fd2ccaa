#include "engine/model/token_stream.h"

namespace costate {
namespace {

bool IsDeclaringWord(TokenKind kind) {
  return kind == TokenKind::kModel || kind == TokenKind::kParam || kind == TokenKind::kState ||
         kind == TokenKind::kLet || kind == TokenKind::kFun || kind == TokenKind::kOutput;
}

// Whether the line that begins with tokens[i] is the beginning of a statement in any context.
bool PlainlyBeginsStatement(const std::vector<Token>& tokens, size_t i) {
  const auto kind = [&](size_t k) { return k < tokens.size() ? tokens[k].kind : TokenKind::kEnd; };
  if (IsDeclaringWord(kind(i))) return true;
  if (kind(i) == TokenKind::kReserved) return kind(i + 1) == TokenKind::kName;
  if (kind(i) != TokenKind::kName) return false;
  return kind(i + 1) == TokenKind::kAssign ||
         (kind(i + 1) == TokenKind::kPrime && kind(i + 2) == TokenKind::kAssign);
}

bool IsInfix(TokenKind kind) {
  switch (kind) {
    case TokenKind::kPlus:
    case TokenKind::kMinus:
    case TokenKind::kStar:
    case TokenKind::kSlash:
    case TokenKind::kCaret:
    case TokenKind::kAt:
    case TokenKind::kLess:
    case TokenKind::kLessEqual:
    case TokenKind::kGreater:
    case TokenKind::kGreaterEqual:
    case TokenKind::kEqual:
    case TokenKind::kNotEqual:
    case TokenKind::kAnd:
    case TokenKind::kOr:
    case TokenKind::kThen:
    case TokenKind::kElse:
    case TokenKind::kIn:
    case TokenKind::kAssign:
      return true;
    default:  // a token kind, not an op: most are of no interest here
      return false;
  }
}

bool WantsMoreAfter(TokenKind kind) {
  return IsInfix(kind) || kind == TokenKind::kIf || kind == TokenKind::kNot ||
         kind == TokenKind::kComma;
}

}  // namespace

bool EndsStatement(TokenKind kind) {
  return kind == TokenKind::kNewline || kind == TokenKind::kSemicolon || kind == TokenKind::kEnd;
}

std::vector<Token> SplitStatements(std::vector<Token> tokens) {
  size_t kept = 0;
  int64_t depth = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const TokenKind kind = tokens[i].kind;
    if (kind == TokenKind::kOpenParen || kind == TokenKind::kOpenBracket) ++depth;
    if (kind == TokenKind::kCloseParen || kind == TokenKind::kCloseBracket) {
      depth = std::max<int64_t>(depth - 1, 0);
    }
    if (kind == TokenKind::kNewline) {
      size_t next = i + 1;
      while (tokens[next].kind == TokenKind::kNewline) ++next;
      const bool end = tokens[next].kind == TokenKind::kEnd;
      const bool forced = end || PlainlyBeginsStatement(tokens, next);
      const bool goes_on = depth > 0 || (kept > 0 && WantsMoreAfter(tokens[kept - 1].kind)) ||
                           IsInfix(tokens[next].kind);
      const size_t last_newline = next - 1;
      if (goes_on && !forced) {
        i = last_newline;
        continue;
      }
      depth = 0;
      tokens[kept++] = tokens[i];
      i = last_newline;
      continue;
    }
    tokens[kept] = tokens[i];
    if (kind == TokenKind::kSemicolon && depth > 0) {
      tokens[kept].kind = TokenKind::kRowSemicolon;
    }
    ++kept;
  }
  tokens.resize(kept);
  return tokens;
}

}  // namespace costate

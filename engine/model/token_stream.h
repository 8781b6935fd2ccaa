// The tokens of a model text cut into statements, with a cursor.
#ifndef COSTATE_ENGINE_MODEL_TOKEN_STREAM_H_
#define COSTATE_ENGINE_MODEL_TOKEN_STREAM_H_

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/model/scanner.h"

namespace costate {

// Removes the line ends inside statements, so that each kNewline or kSemicolon left ends one.
// Semicolons inside brackets become kRowSemicolon.
//
// A statement goes on in the next line inside ( ) and [ ], after an operator, ',', '=' or a word
// that wants an operand, and before a line that begins with an operator. A line that plainly
// begins a statement (a declaring word, "name =" or "name' =") does so whatever came before.
std::vector<Token> SplitStatements(std::vector<Token> tokens);

// True for kNewline, kSemicolon and kEnd.
bool EndsStatement(TokenKind kind);

// Thread-safety: none.
class TokenStream {
 public:
  TokenStream(std::string_view text, std::vector<Token> tokens)
      : text_(text), tokens_(std::move(tokens)) {}

  std::string_view text() const { return text_; }
  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(position_ + ahead, tokens_.size() - 1)];
  }
  const Token& Previous() const { return tokens_[position_ > 0 ? position_ - 1 : 0]; }
  bool At(TokenKind kind) const { return Peek().kind == kind; }
  bool AtStatementEnd() const { return EndsStatement(Peek().kind); }

  // Returns the current token and moves on; stays on kEnd.
  const Token& Next() {
    const Token& token = Peek();
    if (token.kind != TokenKind::kEnd) ++position_;
    return token;
  }
  bool Accept(TokenKind kind) {
    if (!At(kind)) return false;
    Next();
    return true;
  }

  std::string_view TextOf(const Token& token) const {
    return text_.substr(token.offset, token.length);
  }
  SourceLocation Locate(const Token& token) const { return LocationOf(token, text_); }
  std::string Describe(const Token& token) const { return DescribeToken(token, text_); }

 private:
  std::string_view text_;
  std::vector<Token> tokens_;
  size_t position_ = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_TOKEN_STREAM_H_

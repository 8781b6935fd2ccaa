// Expressions of the model language.
//
// From loosest to tightest:  if-then-else;  or;  and;  not;  comparisons (one);  + -;  * / @;
// unary + -;  ^ (from the right);  calls, [ ], .T
#ifndef COSTATE_ENGINE_MODEL_EXPRESSION_PARSER_H_
#define COSTATE_ENGINE_MODEL_EXPRESSION_PARSER_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/model/issue_list.h"
#include "engine/model/syntax.h"
#include "engine/model/token_stream.h"

namespace costate {

// Recursive descent, refused past limits::kMaxNestingDepth; chains of operators, signs and
// else-if are loops. After the first error of a statement `failed()` is true and nothing more is
// read until Reset.
//
// Thread-safety: none.
class ExpressionParser {
 public:
  ExpressionParser(TokenStream* tokens, Syntax* syntax, IssueList* issues)
      : tokens_(*tokens), syntax_(*syntax), issues_(*issues) {}

  void Reset() { failed_ = reported_ = false; }
  bool failed() const { return failed_; }

  // An empty expression after an error.
  Expression Parse();

  // Reports at `token` and fails the statement; silent if the scanner reported a part of it.
  void Fail(const Token& token, std::string message, std::string hint = "");
  // "expected <what>, found <token>"
  void FailExpecting(std::string_view what, std::string hint = "");
  // Says why the statement cannot go on at the current token.
  void FailAtRest();
  // Consumes the bracket that closes `open`, or fails.
  void Close(const Token& open, TokenKind kind, std::string_view sign);

  NameId Intern(const Token& token);

 private:
  NodeId ParseExpression();
  NodeId ParseConditional();
  NodeId ParseBinary(int min_precedence);
  NodeId ParseNots();
  NodeId ParseUnary();
  NodeId ParsePower();
  NodeId ParsePostfix();
  NodeId ParsePrimary();
  NodeId ParseName();
  NodeId ParseTensor();
  NodeId ParseIndex(NodeId base);
  NodeId ParseSubscript();
  NodeId ParseSlicePart();
  std::vector<NodeId> ParseList(const Token& open, TokenKind close, std::string_view sign);

  NodeId Add(NodeKind kind, const Token& token, std::initializer_list<NodeId> children);
  NodeId AddWithChildren(NodeKind kind, const Token& token, const std::vector<NodeId>& children);
  bool Enter(const Token& token);

  TokenStream& tokens_;
  Syntax& syntax_;
  IssueList& issues_;
  absl::flat_hash_map<std::string_view, NameId> name_ids_;
  int depth_ = 0;
  bool failed_ = false;
  bool reported_ = false;  // the statement has a kBad token before the current one
};

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_EXPRESSION_PARSER_H_

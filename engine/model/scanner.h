// Cuts model text into tokens.
//
//   std::vector<Token> tokens = ScanModel(text, &issues);
//
// The result ends with kEnd. A piece that is no token is reported and becomes kBad, which the
// parser passes over in silence, or the token that was plainly meant.
#ifndef COSTATE_ENGINE_MODEL_SCANNER_H_
#define COSTATE_ENGINE_MODEL_SCANNER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/issue_list.h"

namespace costate {

enum class TokenKind : uint8_t {
  kName,
  kNumber,
  // Words. kReserved stands for the words kept for later: input, event, ...
  kModel,
  kParam,
  kState,
  kLet,
  kFun,
  kOutput,
  kIn,
  kIf,
  kThen,
  kElse,
  kAnd,
  kOr,
  kNot,
  kReserved,
  // Signs.
  kPlus,
  kMinus,
  kStar,
  kSlash,
  kCaret,
  kAt,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kEqual,
  kNotEqual,
  kAssign,
  kOpenParen,
  kCloseParen,
  kOpenBracket,
  kCloseBracket,
  kComma,
  kColon,
  kDot,
  kPrime,
  kSemicolon,
  kRowSemicolon,  // inside brackets, where it separates nothing
  kNewline,
  kBad,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int32_t offset = 0;  // bytes
  int32_t length = 0;  // bytes; 0 for kNewline and kEnd
  int32_t line = 1;    // from 1
  int32_t column = 1;  // from 1, in code points
};

// `text` has at most limits::kMaxModelTextBytes bytes.
std::vector<Token> ScanModel(std::string_view text, IssueList* issues);

SourceLocation LocationOf(const Token& token, std::string_view text);

// How a message names the token: "'x'", "the end of the line".
std::string DescribeToken(const Token& token, std::string_view text);

// Finite value of a kNumber token.
double NumberValue(const Token& token, std::string_view text);

// The words of the language that cannot be names.
std::vector<std::string_view> LanguageWords();

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_SCANNER_H_

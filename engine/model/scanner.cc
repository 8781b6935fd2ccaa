#include "engine/model/scanner.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <system_error>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "engine/base/limits.h"
#include "engine/model/text.h"
#include "engine/model/utf8.h"

namespace costate {
namespace {

struct Word {
  std::string_view text;
  TokenKind kind;
};

constexpr Word kWords[] = {
    {"model", TokenKind::kModel},
    {"param", TokenKind::kParam},
    {"state", TokenKind::kState},
    {"let", TokenKind::kLet},
    {"fun", TokenKind::kFun},
    {"output", TokenKind::kOutput},
    {"in", TokenKind::kIn},
    {"if", TokenKind::kIf},
    {"then", TokenKind::kThen},
    {"else", TokenKind::kElse},
    {"and", TokenKind::kAnd},
    {"or", TokenKind::kOr},
    {"not", TokenKind::kNot},
    {"input", TokenKind::kReserved},
    {"event", TokenKind::kReserved},
    {"noise", TokenKind::kReserved},
    {"control", TokenKind::kReserved},
    {"algebraic", TokenKind::kReserved},
};

TokenKind WordKind(std::string_view text) {
  for (const Word& word : kWords) {
    if (word.text == text) return word.kind;
  }
  return TokenKind::kName;
}

constexpr uint32_t kMicroSign = 0xb5;
constexpr uint32_t kSubscriptZero = 0x2080;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAsciiLetter(uint32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// What a writer may take for a letter: names are ASCII, but a word is reported as a whole.
bool StartsWord(uint32_t c) {
  if (c < 0x80) return IsAsciiLetter(c);
  const bool latin = c >= 0xc0 && c <= 0x24f && c != 0xd7 && c != 0xf7;
  const bool greek = c >= 0x370 && c <= 0x3ff && c != 0x37e && c != 0x387;
  const bool cyrillic = c >= 0x400 && c <= 0x52f;
  return latin || greek || cyrillic || c == kMicroSign;
}

bool ContinuesWord(uint32_t c) {
  const bool subscript_digit = c >= kSubscriptZero && c <= kSubscriptZero + 9;
  return StartsWord(c) || (c >= '0' && c <= '9') || subscript_digit;
}

constexpr std::string_view kGreek[] = {
    "alpha", "beta",   "gamma",   "delta", "epsilon", "zeta",    "eta",  "theta", "iota",
    "kappa", "lambda", "mu",      "nu",    "xi",      "omicron", "pi",   "rho",   "sigma",
    "sigma", "tau",    "upsilon", "phi",   "chi",     "psi",     "omega"};

// The word in ASCII, Greek letters by their names; empty if it has other letters.
std::string SpellOut(std::string_view word) {
  std::string spelled;
  for (size_t i = 0; i < word.size();) {
    const CodePoint point = DecodeUtf8(word, i);
    const uint32_t c = point.value;
    const size_t before = spelled.size();
    if (c < 0x80) spelled += static_cast<char>(c);
    if (c == kMicroSign) AppendText(&spelled, "mu");
    if (c >= kSubscriptZero && c <= kSubscriptZero + 9) {
      spelled += static_cast<char>('0' + (c - kSubscriptZero));
    }
    if (c >= 0x3b1 && c <= 0x3c9) AppendText(&spelled, kGreek[c - 0x3b1]);
    if (c >= 0x391 && c <= 0x3a9) {
      AppendText(&spelled, kGreek[c - 0x391]);
      spelled[before] = absl::ascii_toupper(spelled[before]);
    }
    if (spelled.size() == before) return "";
    i += point.num_bytes;
  }
  return spelled;
}

// Characters that look like a sign of the language, with the sign that is meant. `kind` kBad
// means the character is passed over.
struct Lookalike {
  uint32_t code;
  TokenKind kind;
  std::string_view hint;
};

constexpr Lookalike kLookalikes[] = {
    {0x2212, TokenKind::kMinus, "use the ASCII minus '-'"},
    {0x2010, TokenKind::kMinus, "use the ASCII minus '-'"},
    {0x2011, TokenKind::kMinus, "use the ASCII minus '-'"},
    {0x2012, TokenKind::kMinus, "use the ASCII minus '-'"},
    {0x2013, TokenKind::kMinus, "use the ASCII minus '-'"},
    {0x2014, TokenKind::kMinus, "use the ASCII minus '-'"},
    {0x00d7, TokenKind::kStar, "use '*'"},
    {0x00b7, TokenKind::kStar, "use '*'"},
    {0x22c5, TokenKind::kStar, "use '*'"},
    {0x2217, TokenKind::kStar, "use '*'"},
    {0x00f7, TokenKind::kSlash, "use '/'"},
    {0x2215, TokenKind::kSlash, "use '/'"},
    {0x2019, TokenKind::kPrime, "use the ASCII apostrophe '"},
    {0x2018, TokenKind::kPrime, "use the ASCII apostrophe '"},
    {0x2032, TokenKind::kPrime, "use the ASCII apostrophe '"},
    {0x00b4, TokenKind::kPrime, "use the ASCII apostrophe '"},
    {0x2264, TokenKind::kLessEqual, "use '<='"},
    {0x2265, TokenKind::kGreaterEqual, "use '>='"},
    {0x2260, TokenKind::kNotEqual, "use '!='"},
    {0xff08, TokenKind::kOpenParen, "use the ASCII '('"},
    {0xff09, TokenKind::kCloseParen, "use the ASCII ')'"},
    {0xff0c, TokenKind::kComma, "use the ASCII ','"},
    {0xff1d, TokenKind::kAssign, "use the ASCII '='"},
    {0x00b2, TokenKind::kNewline, "write the power as '^2'"},
    {0x00b3, TokenKind::kNewline, "write the power as '^3'"},
};

class Scanner {
 public:
  Scanner(std::string_view text, IssueList* issues) : text_(text), issues_(issues) {}

  std::vector<Token> Run() {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") offset_ = column_offset_ = 3;
    while (offset_ < text_.size()) ScanOne();
    Push(TokenKind::kNewline, 0);
    Push(TokenKind::kEnd, 0);
    return std::move(tokens_);
  }

 private:
  char Peek(size_t ahead = 0) const {
    return offset_ + ahead < text_.size() ? text_[offset_ + ahead] : '\0';
  }

  int32_t Column() {
    // Columns grow from the last place asked for, so that long lines stay linear.
    while (column_offset_ < offset_) {
      column_offset_ += DecodeUtf8(text_, column_offset_).num_bytes;
      ++column_;
    }
    return column_;
  }

  Token MakeToken(TokenKind kind, size_t num_bytes) {
    return {kind, static_cast<int32_t>(offset_), static_cast<int32_t>(num_bytes), line_, Column()};
  }

  void Push(TokenKind kind, size_t num_bytes) {
    tokens_.push_back(MakeToken(kind, num_bytes));
    offset_ += num_bytes;
  }

  // Reports the next `num_bytes` and stands `kind` in their place.
  void PushReported(TokenKind kind, size_t num_bytes, std::string message, std::string hint = "") {
    Push(kind, num_bytes);
    issues_->Add(LocationOf(tokens_.back(), text_), std::move(message), std::move(hint));
  }

  std::string Quoted(size_t num_bytes) const {
    return Text("'", text_.substr(offset_, std::min<size_t>(num_bytes, 40)), "'");
  }

  void NewLine(size_t num_bytes) {
    Push(TokenKind::kNewline, 0);
    offset_ += num_bytes;
    column_offset_ = offset_;
    column_ = 1;
    ++line_;
  }

  void SkipToLineEnd() {
    const size_t end = text_.find_first_of("\r\n", offset_);
    offset_ = end == std::string_view::npos ? text_.size() : end;
  }

  void ScanOne() {
    const char c = Peek();
    if (c == ' ' || c == '\t' || c == '\f' || c == '\v') {
      ++offset_;
    } else if (c == '\n') {
      NewLine(1);
    } else if (c == '\r') {
      NewLine(Peek(1) == '\n' ? 2 : 1);
    } else if (c == '#') {
      SkipToLineEnd();
    } else if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) {
      ScanNumber();
    } else if (IsAsciiLetter(static_cast<uint8_t>(c))) {
      ScanName();
    } else if (static_cast<uint8_t>(c) >= 0x80) {
      ScanUnicode();
    } else {
      ScanSign(c);
    }
  }

  size_t NameEnd(size_t end) const {
    while (end < text_.size()) {
      const CodePoint point = DecodeUtf8(text_, end);
      if (!point.valid || !ContinuesWord(point.value)) break;
      end += point.num_bytes;
    }
    return end;
  }

  void ScanName() {
    const size_t size = NameEnd(offset_) - offset_;
    if (size > static_cast<size_t>(limits::kMaxIdentifierBytes)) {
      PushReported(TokenKind::kBad, size, "name is too long",
                   Text("names have at most ", limits::kMaxIdentifierBytes, " bytes"));
      return;
    }
    const std::string_view word = text_.substr(offset_, size);
    Push(WordKind(word), size);
    if (IsAscii(word) || !foreign_words_.insert(word).second) return;
    const std::string spelled = SpellOut(word);
    issues_->Add(
        LocationOf(tokens_.back(), text_), "names are written in ASCII letters",
        spelled.empty() ? "a to z, A to Z, digits and '_'" : Text("write '", spelled, "'"));
  }

  static bool IsAscii(std::string_view word) {
    return std::all_of(word.begin(), word.end(),
                       [](char c) { return static_cast<uint8_t>(c) < 0x80; });
  }

  void ScanNumber() {
    size_t end = offset_;
    int num_dots = 0;
    const auto skip_digits = [&] {
      for (; end < text_.size() && (IsDigit(text_[end]) || text_[end] == '.'); ++end) {
        if (text_[end] == '.') ++num_dots;
      }
    };
    skip_digits();
    const size_t mantissa_end = end;
    bool bad_exponent = false;
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      size_t digits = end + 1;
      if (digits < text_.size() && (text_[digits] == '+' || text_[digits] == '-')) ++digits;
      if (digits < text_.size() && IsDigit(text_[digits])) {
        end = digits;
        while (end < text_.size() && IsDigit(text_[end])) ++end;
      } else {
        bad_exponent = NameEnd(mantissa_end) == mantissa_end + 1;
        if (bad_exponent) end = digits;
      }
    }
    FinishNumber(end - offset_, mantissa_end - offset_, num_dots, bad_exponent);
  }

  void FinishNumber(size_t size, size_t mantissa_size, int num_dots, bool bad_exponent) {
    if (num_dots > 1) {
      PushReported(TokenKind::kBad, size, Text("malformed number ", Quoted(size)),
                   "a number has one decimal point");
      return;
    }
    if (bad_exponent) {
      PushReported(TokenKind::kBad, size, Text("malformed number ", Quoted(size)),
                   "an exponent has digits, as in 1.5e-3");
      return;
    }
    const size_t word_end = NameEnd(offset_ + size);
    if (word_end > offset_ + size) {
      const std::string_view number = text_.substr(offset_, size);
      const std::string_view word =
          text_.substr(offset_ + size, std::min<size_t>(word_end - offset_ - size, 40));
      std::string hint = Text("for a product write ", number.substr(0, 40), "*", word);
      if (mantissa_size == size && word[0] == '_') hint = "digits are not grouped";
      PushReported(TokenKind::kBad, word_end - offset_, "malformed number or name",
                   std::move(hint));
      return;
    }
    const Token token = MakeToken(TokenKind::kNumber, size);
    if (!std::isfinite(NumberValue(token, text_))) {
      PushReported(TokenKind::kBad, size, "number is out of the range of a double",
                   "magnitudes reach from 4.94e-324 to 1.79e308");
      return;
    }
    Push(TokenKind::kNumber, size);
  }

  void ScanUnicode() {
    const CodePoint point = DecodeUtf8(text_, offset_);
    if (!point.valid) {
      // One report for a run of them.
      size_t end = offset_ + 1;
      while (end < text_.size() && !DecodeUtf8(text_, end).valid) ++end;
      PushReported(
          TokenKind::kBad, end - offset_, "text is not valid UTF-8",
          absl::StrFormat("byte 0x%02x at offset %d", static_cast<uint8_t>(Peek()), offset_));
      return;
    }
    if (StartsWord(point.value)) return ScanName();
    if (point.value == 0xa0 || point.value == 0x3000 || point.value == 0xfeff ||
        (point.value >= 0x2000 && point.value <= 0x200a)) {  // spaces
      offset_ += point.num_bytes;
      return;
    }
    const std::string message =
        Text("character ", Quoted(point.num_bytes),
             absl::StrFormat(" (U+%04X) is not part of the language", point.value));
    for (const Lookalike& lookalike : kLookalikes) {
      if (lookalike.code != point.value) continue;
      PushReported(lookalike.kind, point.num_bytes, message, std::string(lookalike.hint));
      if (lookalike.kind == TokenKind::kNewline) tokens_.pop_back();
      return;
    }
    PushReported(TokenKind::kBad, point.num_bytes, message);
  }

  std::optional<TokenKind> PairKind(char c) const {
    if (Peek(1) != '=') return std::nullopt;
    if (c == '<') return TokenKind::kLessEqual;
    if (c == '>') return TokenKind::kGreaterEqual;
    if (c == '=') return TokenKind::kEqual;
    if (c == '!') return TokenKind::kNotEqual;
    return std::nullopt;
  }

  static std::optional<TokenKind> SingleKind(char c) {
    switch (c) {
      case '+':
        return TokenKind::kPlus;
      case '-':
        return TokenKind::kMinus;
      case '*':
        return TokenKind::kStar;
      case '/':
        return TokenKind::kSlash;
      case '^':
        return TokenKind::kCaret;
      case '@':
        return TokenKind::kAt;
      case '<':
        return TokenKind::kLess;
      case '>':
        return TokenKind::kGreater;
      case '=':
        return TokenKind::kAssign;
      case '(':
        return TokenKind::kOpenParen;
      case ')':
        return TokenKind::kCloseParen;
      case '[':
        return TokenKind::kOpenBracket;
      case ']':
        return TokenKind::kCloseBracket;
      case ',':
        return TokenKind::kComma;
      case ':':
        return TokenKind::kColon;
      case '.':
        return TokenKind::kDot;
      case '\'':
        return TokenKind::kPrime;
      case ';':
        return TokenKind::kSemicolon;
      default:
        return std::nullopt;
    }
  }

  // Signs of other languages, reported with ours.
  bool ScanForeignSign(char c) {
    const char next = Peek(1);
    if (c == '*' && next == '*') {
      PushReported(TokenKind::kCaret, 2, "'**' is not an operator", "a power is written '^'");
    } else if (c == '/' && next == '/') {
      PushReported(TokenKind::kBad, 2, "'//' is not an operator", "a comment starts with '#'");
      tokens_.pop_back();
      SkipToLineEnd();
    } else if (c == ':' && next == '=') {
      PushReported(TokenKind::kAssign, 2, "':=' is not an operator", "write '='");
    } else if (c == '&') {
      PushReported(TokenKind::kAnd, next == '&' ? 2 : 1, "'&' is not an operator", "write 'and'");
    } else if (c == '|') {
      PushReported(TokenKind::kOr, next == '|' ? 2 : 1, "'|' is not an operator", "write 'or'");
    } else if (c == '!' && next != '=') {
      PushReported(TokenKind::kNot, 1, "'!' is not an operator", "write 'not'");
    } else if (c == '%') {
      PushReported(TokenKind::kBad, 1, "'%' is not an operator",
                   "the remainder is mod(a, b); a comment starts with '#'");
    } else if (c == '{' || c == '}') {
      PushReported(TokenKind::kBad, 1, Text("unexpected character ", Quoted(1)),
                   "group with ( ), index and list with [ ]");
    } else if (c == '"') {
      size_t size = 1;
      while (Peek(size) != '"' && Peek(size) != '\n' && offset_ + size < text_.size()) ++size;
      PushReported(TokenKind::kBad, size + (Peek(size) == '"'),
                   "texts are not part of the language", "a comment starts with '#'");
    } else if (c == '\\') {
      PushReported(TokenKind::kBad, 1, "unexpected character '\\'",
                   "an expression continues after an operator or inside parentheses");
    } else {
      return false;
    }
    return true;
  }

  void ScanSign(char c) {
    if (ScanForeignSign(c)) return;
    if (const auto kind = PairKind(c)) return Push(*kind, 2);
    if (const auto kind = SingleKind(c)) return Push(*kind, 1);
    if (c < 0x20 || c == 0x7f) {
      size_t size = 1;
      while (offset_ + size < text_.size() && text_[offset_ + size] == c) ++size;
      PushReported(TokenKind::kBad, size,
                   absl::StrFormat("control character U+%04X in the text", c));
      return;
    }
    PushReported(TokenKind::kBad, 1, Text("unexpected character ", Quoted(1)));
  }

  std::string_view text_;
  IssueList* issues_;
  std::vector<Token> tokens_;
  absl::flat_hash_set<std::string_view> foreign_words_;  // reported
  size_t offset_ = 0;
  size_t column_offset_ = 0;
  int32_t column_ = 1;
  int32_t line_ = 1;
};

}  // namespace

std::vector<Token> ScanModel(std::string_view text, IssueList* issues) {
  return Scanner(text, issues).Run();
}

SourceLocation LocationOf(const Token& token, std::string_view text) {
  const int32_t length = CountCodePoints(text.substr(token.offset, token.length));
  return {token.line, token.column, std::max(length, 1)};
}

std::string DescribeToken(const Token& token, std::string_view text) {
  if (token.kind == TokenKind::kNewline) return "the end of the line";
  if (token.kind == TokenKind::kEnd) return "the end of the text";
  return Text("'", text.substr(token.offset, std::min(token.length, 40)), "'");
}

double NumberValue(const Token& token, std::string_view text) {
  const std::string_view digits = text.substr(token.offset, token.length);
  double value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec == std::errc()) return value;
  // Out of range either way, or below the smallest positive double; "0e-9999" is zero.
  const bool zero = digits.find_first_of("123456789") >= digits.find_first_of("eE");
  return zero ? 0.0 : HUGE_VAL;
}

std::vector<std::string_view> LanguageWords() {
  std::vector<std::string_view> words;
  for (const Word& word : kWords) words.push_back(word.text);
  return words;
}

}  // namespace costate

// A strict reader of JSON objects without nesting: what a log line must be.
#ifndef COSTATE_TESTS_SERVER_FLAT_JSON_H_
#define COSTATE_TESTS_SERVER_FLAT_JSON_H_

#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace costate {

struct JsonScalar {
  enum class Kind { kString, kNumber, kBool, kNull };
  Kind kind = Kind::kNull;
  std::string text;   // kString
  double number = 0;  // kNumber; 0 or 1 for kBool
};
using FlatJson = std::map<std::string, JsonScalar>;

class FlatJsonReader {
 public:
  // Nothing unless the whole text is one object and, perhaps, a newline.
  static std::optional<FlatJson> Read(std::string_view text) {
    FlatJsonReader reader(text);
    FlatJson object;
    if (!reader.Object(&object)) return std::nullopt;
    reader.Take('\n');
    if (!reader.text_.empty()) return std::nullopt;
    return object;
  }

 private:
  explicit FlatJsonReader(std::string_view text) : text_(text) {}

  bool Take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool TakeWord(std::string_view word) {
    if (text_.substr(0, word.size()) != word) return false;
    text_.remove_prefix(word.size());
    return true;
  }

  bool Object(FlatJson* object) {
    if (!Take('{')) return false;
    do {
      std::string key;
      if (!String(&key) || !Take(':') || !Scalar(&(*object)[key])) return false;
    } while (Take(','));
    return Take('}');
  }

  bool Scalar(JsonScalar* scalar) {
    if (!text_.empty() && text_.front() == '"') {
      scalar->kind = JsonScalar::Kind::kString;
      return String(&scalar->text);
    }
    if (TakeWord("null")) return true;
    scalar->kind = JsonScalar::Kind::kBool;
    if (TakeWord("true")) {
      scalar->number = 1;
      return true;
    }
    if (TakeWord("false")) return true;
    scalar->kind = JsonScalar::Kind::kNumber;
    const size_t length = text_.find_first_not_of("+-.0123456789eE");
    const std::string digits(text_.substr(0, length));
    char* end = nullptr;
    scalar->number = std::strtod(digits.c_str(), &end);
    text_.remove_prefix(digits.size());
    return !digits.empty() && *end == '\0';
  }

  bool String(std::string* out) {
    if (!Take('"')) return false;
    while (!text_.empty() && text_.front() != '"') {
      const char c = text_.front();
      text_.remove_prefix(1);
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        out->push_back(c);
      } else if (!Escape(out)) {
        return false;
      }
    }
    return Take('"');
  }

  bool Escape(std::string* out) {
    if (text_.empty()) return false;
    const char c = text_.front();
    text_.remove_prefix(1);
    constexpr std::string_view kShort = "\"\\/bfnrt";
    constexpr std::string_view kMeaning = "\"\\/\b\f\n\r\t";
    if (const size_t at = kShort.find(c); at != std::string_view::npos) {
      out->push_back(kMeaning[at]);
      return true;
    }
    if (c != 'u' || text_.size() < 4) return false;
    const std::string digits(text_.substr(0, 4));
    text_.remove_prefix(4);
    char* end = nullptr;
    const long code = std::strtol(digits.c_str(), &end, 16);
    if (*end != '\0' || code >= 0x80) return false;  // the log writes no others
    out->push_back(static_cast<char>(code));
    return true;
  }

  std::string_view text_;
};

}  // namespace costate

#endif  // COSTATE_TESTS_SERVER_FLAT_JSON_H_

#include "engine/model/issue.h"

#include <algorithm>
#include <cstdint>
#include <tuple>

#include "absl/strings/str_format.h"
#include "engine/base/limits.h"
#include "engine/model/text.h"
#include "engine/model/utf8.h"

namespace costate {
namespace {

constexpr int kLineNumberWidth = 5;
constexpr int64_t kMaxShownColumns = 100;  // of a source line
constexpr int64_t kShownBefore = 60;       // columns kept before the caret of a wide line

// Returns the text of lines `wanted` (sorted, from 1), without line ends. One pass.
std::vector<std::string_view> FindLines(std::string_view source,
                                        const std::vector<int32_t>& wanted) {
  std::vector<std::string_view> found;
  size_t begin = 0;
  int32_t line = 1;
  for (int32_t target : wanted) {
    while (line < target && begin < source.size()) {
      size_t end = source.find_first_of("\r\n", begin);
      if (end == std::string_view::npos) {
        begin = source.size();
        break;
      }
      begin = end + (source.substr(end, 2) == "\r\n" ? 2 : 1);
      ++line;
    }
    if (line != target) {
      found.push_back({});
      continue;
    }
    size_t end = source.find_first_of("\r\n", begin);
    found.push_back(source.substr(begin, end == std::string_view::npos ? end : end - begin));
  }
  return found;
}

// A source line made fit to print, and the caret line that belongs under it.
struct Excerpt {
  std::string text;
  std::string marks;
};

Excerpt MakeExcerpt(std::string_view line, const SourceLocation& location) {
  Excerpt excerpt;
  const int64_t caret = std::max<int64_t>(location.column, 1);
  const int64_t first = caret > kMaxShownColumns - 20 ? caret - kShownBefore : 1;
  if (first > 1) {
    excerpt.text = "...";
    excerpt.marks = "   ";
  }
  int64_t marked_end = caret;
  int64_t column = 1;
  for (size_t i = 0; i < line.size(); ++column) {
    const CodePoint point = DecodeUtf8(line, i);
    if (column >= first + kMaxShownColumns) {
      AppendText(&excerpt.text, "...");
      break;
    }
    if (column >= first) {
      const bool control = point.value < 0x20 || (point.value >= 0x7f && point.value < 0xa0);
      if (point.value == '\t') {
        excerpt.text += '\t';
      } else if (!point.valid || control) {
        AppendText(&excerpt.text, "\xEF\xBF\xBD");  // U+FFFD
      } else {
        AppendText(&excerpt.text, line.substr(i, point.num_bytes));
      }
      if (column < caret) excerpt.marks += point.value == '\t' ? '\t' : ' ';
      marked_end = column + 1;
    }
    i += point.num_bytes;
  }
  const int64_t length = std::min<int64_t>(location.length, marked_end - caret);
  excerpt.marks += '^';
  if (length > 1) excerpt.marks.append(length - 1, '~');
  return excerpt;
}

}  // namespace

std::string FormatIssues(std::string_view file_name, std::string_view source,
                         const std::vector<Issue>& issues) {
  std::vector<const Issue*> sorted;
  for (const Issue& issue : issues) sorted.push_back(&issue);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Issue* a, const Issue* b) {
    return std::tie(a->location.line, a->location.column) <
           std::tie(b->location.line, b->location.column);
  });
  if (static_cast<int64_t>(sorted.size()) > limits::kMaxIssues) sorted.resize(limits::kMaxIssues);
  std::vector<int32_t> wanted;
  for (const Issue* issue : sorted) wanted.push_back(issue->location.line);
  const std::vector<std::string_view> lines = FindLines(source, wanted);

  std::string out;
  const std::string margin(kLineNumberWidth, ' ');
  for (size_t i = 0; i < sorted.size(); ++i) {
    const Issue& issue = *sorted[i];
    if (issue.location.line < 1) {
      AppendText(&out, file_name, ": error: ", issue.message, "\n");
    } else {
      const Excerpt excerpt = MakeExcerpt(lines[i], issue.location);
      AppendText(&out, file_name, ":", issue.location.line, ":", issue.location.column,
                 ": error: ", issue.message, "\n");
      absl::StrAppendFormat(&out, "%*d | %s\n", kLineNumberWidth, issue.location.line,
                            excerpt.text);
      AppendText(&out, margin, " | ", excerpt.marks, "\n");
    }
    if (!issue.hint.empty()) AppendText(&out, margin, " = hint: ", issue.hint, "\n");
  }
  return out;
}

}  // namespace costate

#include "server/convert/layout.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/field_error.h"

namespace costate {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// "0,2" in a tensor of the shape, as a row-major offset.
std::optional<int64_t> OffsetOf(absl::string_view indices, const Shape& shape) {
  const std::vector<absl::string_view> parts = absl::StrSplit(indices, ',');
  if (parts.size() != shape.size()) return std::nullopt;
  int64_t offset = 0;
  for (size_t axis = 0; axis < parts.size(); ++axis) {
    int64_t index = 0;
    if (!absl::SimpleAtoi(parts[axis], &index) || index < 0 || index >= shape[axis]) {
      return std::nullopt;
    }
    offset = offset * shape[axis] + index;
  }
  return offset;
}

std::string KnownNames(const std::vector<TensorInfo>& tensors) {
  constexpr size_t kShown = 8;
  std::string names;
  for (size_t i = 0; i < tensors.size() && i < kShown; ++i) {
    absl::StrAppend(&names, i == 0 ? "" : ", ", tensors[i].name,
                    tensors[i].shape.empty() ? "" : ShapeToString(tensors[i].shape));
  }
  if (tensors.size() > kShown) names += ", ...";
  return names.empty() ? "(the model declares none)" : names;
}

bool IsNameByte(char c) { return absl::ascii_isalnum(c) || c == '_' || (c & 0x80) != 0; }

// The line without its comment.
std::string_view CodeOf(std::string_view line) { return line.substr(0, line.find('#')); }

// Whether the line starts with `state` and a prime, then an equals sign.
bool StartsEquation(std::string_view line, std::string_view state) {
  size_t at = line.find_first_not_of(" \t");
  if (at == std::string_view::npos || line.compare(at, state.size(), state) != 0) return false;
  at += state.size();
  if (at < line.size() && IsNameByte(line[at])) return false;
  at = line.find_first_not_of(" \t", at);
  if (at == std::string_view::npos || line[at] != '\'') return false;
  at = line.find_first_not_of(" \t", at + 1);
  return at != std::string_view::npos && line[at] == '=';
}

int BracketDepth(std::string_view code) {
  int depth = 0;
  for (const char c : code) {
    if (c == '(' || c == '[') ++depth;
    if (c == ')' || c == ']') --depth;
  }
  return depth;
}

}  // namespace

void LayoutToProto(const std::vector<TensorInfo>& tensors, LayoutList* layout) {
  for (const TensorInfo& tensor : tensors) {
    v1::TensorLayout* entry = layout->Add();
    entry->set_name(tensor.name);
    entry->mutable_shape()->Assign(tensor.shape.begin(), tensor.shape.end());
    entry->set_offset(tensor.offset);
  }
}

void WrtLayoutToProto(const std::vector<WrtEntry>& wrt, LayoutList* layout) {
  int64_t offset = 0;
  for (const WrtEntry& column : wrt) {
    v1::TensorLayout* entry = layout->Add();
    entry->set_name(column.name);
    entry->mutable_shape()->Assign(column.shape.begin(), column.shape.end());
    entry->set_offset(offset);
    offset += column.size;
  }
}

absl::StatusOr<int64_t> FindElement(const std::string& field, const TensorIndex& tensors,
                                    const std::string& name) {
  const size_t bracket = name.find('[');
  const std::string_view tensor_name = std::string_view(name).substr(0, bracket);
  const bool indexed = bracket != std::string::npos && name.back() == ']';
  if (const TensorInfo* found = tensors.Find(tensor_name); found != nullptr) {
    const TensorInfo& tensor = *found;
    if (bracket == std::string::npos && tensor.shape.empty()) return tensor.offset;
    std::optional<int64_t> offset;
    if (indexed && !tensor.shape.empty()) {
      offset = OffsetOf(View(name).substr(bracket + 1, name.size() - bracket - 2), tensor.shape);
    }
    if (offset.has_value()) return tensor.offset + *offset;
    return FieldError(field, absl::StrCat("\"", name.substr(0, 160), "\""),
                      tensor.shape.empty() ? "the name without indices (it is a scalar)"
                                           : absl::StrCat("one element, with indices within ",
                                                          ShapeToString(tensor.shape), ", from 0"));
  }
  return FieldError(field, absl::StrCat("\"", name.substr(0, 160), "\""),
                    absl::StrCat("one of ", KnownNames(tensors.tensors())));
}

std::string EquationOf(std::string_view text, std::string_view state) {
  constexpr size_t kLongest = 500;
  std::string equation;
  int depth = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = CodeOf(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (equation.empty() && !StartsEquation(line, state)) continue;
    const absl::string_view stripped = absl::StripAsciiWhitespace(View(line));
    absl::StrAppend(&equation, equation.empty() || stripped.empty() ? "" : " ", stripped);
    depth += BracketDepth(line);
    if (depth <= 0 || equation.size() > kLongest) break;
  }
  if (equation.size() > kLongest) {
    size_t cut = kLongest;  // between characters
    while (cut > 0 && (equation[cut] & 0xC0) == 0x80) --cut;
    equation.resize(cut);
    equation += "...";
  }
  return equation;
}

}  // namespace costate

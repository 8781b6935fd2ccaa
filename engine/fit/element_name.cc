#include "engine/fit/element_name.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/field_error.h"
#include "engine/near_names.h"

namespace costate::fit {
namespace {

// False for anything but indices within the shape, "0,2" for a matrix.
bool ReadIndices(std::string_view text, const Shape& shape, int64_t* inside) {
  const std::vector<std::string> parts = absl::StrSplit(std::string(text), ',');
  if (parts.size() != shape.size()) return false;
  *inside = 0;
  for (size_t axis = 0; axis < parts.size(); ++axis) {
    int64_t index = -1;
    if (!absl::SimpleAtoi(parts[axis], &index) || index < 0 || index >= shape[axis]) return false;
    *inside = *inside * shape[axis] + index;
  }
  return true;
}

}  // namespace

absl::StatusOr<NamedElements> FindElements(const TensorIndex& tensors, std::string_view name,
                                           std::string_view field) {
  const size_t bracket = name.find('[');
  const TensorInfo* tensor = tensors.Find(name.substr(0, bracket));
  if (tensor == nullptr) return NamedElements();
  NamedElements found = {tensor, tensor->offset, NumElements(tensor->shape)};
  if (bracket == std::string_view::npos) return found;
  int64_t inside = 0;
  const bool closed = name.back() == ']';
  const std::string_view indices =
      closed ? name.substr(bracket + 1, name.size() - bracket - 2) : std::string_view();
  if (!closed || !ReadIndices(indices, tensor->shape, &inside)) {
    return FieldError(field, QuoteName(name),
                      absl::StrCat("indices within the shape ", ShapeToString(tensor->shape),
                                   " of ", QuoteName(tensor->name), ", counted from 0"));
  }
  found.offset += inside;
  found.size = 1;
  return found;
}

std::vector<std::string_view> TensorNames(const std::vector<TensorInfo>& tensors) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const TensorInfo& tensor : tensors) names.push_back(tensor.name);
  return names;
}

}  // namespace costate::fit

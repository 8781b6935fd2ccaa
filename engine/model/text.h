// Message texts from parts: strings, views and numbers.
//
// absl::StrCat where absl::string_view and std::string_view may be two types.
#ifndef COSTATE_ENGINE_MODEL_TEXT_H_
#define COSTATE_ENGINE_MODEL_TEXT_H_

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace costate {
namespace text_internal {

template <typename T>
decltype(auto) Part(const T& part) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return absl::string_view(part.data(), part.size());
  } else {
    return (part);
  }
}

}  // namespace text_internal

template <typename... Parts>
std::string Text(const Parts&... parts) {
  return absl::StrCat(text_internal::Part(parts)...);
}

template <typename... Parts>
void AppendText(std::string* text, const Parts&... parts) {
  absl::StrAppend(text, text_internal::Part(parts)...);
}

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_TEXT_H_

#include "engine/near_names.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/base/limits.h"
#include "engine/model/name_suggestion.h"

namespace costate {
namespace {

constexpr size_t kMaxCandidates = 10'000;
constexpr size_t kMaxListed = 8;
constexpr size_t kMaxQuoted = 64;

}  // namespace

std::string QuoteName(std::string_view name) {
  if (name.size() <= kMaxQuoted) return absl::StrCat("'", std::string(name), "'");
  return absl::StrCat("'", std::string(name.substr(0, kMaxQuoted)), "...'");
}

std::string SuggestName(std::string_view unknown, const std::vector<std::string_view>& names) {
  if (names.empty()) return "it declares none";
  if (unknown.size() <= static_cast<size_t>(limits::kMaxIdentifierBytes)) {
    const size_t compared = std::min(names.size(), kMaxCandidates);
    const std::string near = NearestName(
        unknown, std::vector<std::string_view>(names.begin(), names.begin() + compared));
    if (!near.empty()) return absl::StrCat("did you mean ", QuoteName(near), "?");
  }
  std::string list = "one of ";
  for (size_t i = 0; i < std::min(names.size(), kMaxListed); ++i) {
    absl::StrAppend(&list, i == 0 ? "" : ", ", QuoteName(names[i]));
  }
  if (names.size() > kMaxListed) absl::StrAppend(&list, ", ...");
  return list;
}

}  // namespace costate

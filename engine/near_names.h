// "did you mean": the declared name closest to one that was not found.
#ifndef COSTATE_ENGINE_NEAR_NAMES_H_
#define COSTATE_ENGINE_NEAR_NAMES_H_

#include <string>
#include <string_view>
#include <vector>

namespace costate {

// A sentence part for an error message: "did you mean 'gamma'?" when one of `names` is near (see
// model/name_suggestion.h), else "one of 'a', 'b', ..." (at most eight), or "it
// declares none". Bounded in time for any input: long names and candidates past the first 10,000
// are not compared.
std::string SuggestName(std::string_view unknown, const std::vector<std::string_view>& names);

// The name in quotes, cut to a printable length.
std::string QuoteName(std::string_view name);

}  // namespace costate

#endif  // COSTATE_ENGINE_NEAR_NAMES_H_

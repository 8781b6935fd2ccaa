// Finds the name a writer may have meant.
#ifndef COSTATE_ENGINE_MODEL_NAME_SUGGESTION_H_
#define COSTATE_ENGINE_MODEL_NAME_SUGGESTION_H_

#include <string>
#include <string_view>
#include <vector>

namespace costate {

// The candidate fewest edits away from `name` (insert, delete, replace; a swap of neighbours and a
// change of case count half), the first of equals; empty if none is near. Near means at most
// one edit per three characters of the name, at least one. O(candidates * size^2) at worst.
std::string NearestName(std::string_view name, const std::vector<std::string_view>& candidates);

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_NAME_SUGGESTION_H_

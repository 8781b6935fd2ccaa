// What is wrong with a model, as data: every finding at once, each with its place and a hint.
#ifndef COSTATE_ENGINE_MODEL_ISSUE_H_
#define COSTATE_ENGINE_MODEL_ISSUE_H_

#include <string>
#include <string_view>
#include <vector>

#include "engine/model/ir.h"

namespace costate {

struct Issue {
  SourceLocation location;
  std::string message;  // one sentence, lower case, no full stop: "unknown name 'gmma'"
  std::string hint;     // what to do: "did you mean 'gamma'?"; may be empty
};

// One block per issue, in order of place:
//   sir.ode:12:9: error: unknown name 'gmma'
//      12 | i' = b*s*gmma
//         |         ^~~~
//         = hint: did you mean 'gamma'?
// Tabs and wide lines are handled; at most limits::kMaxIssues blocks.
std::string FormatIssues(std::string_view file_name, std::string_view source,
                         const std::vector<Issue>& issues);

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_ISSUE_H_

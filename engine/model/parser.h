// Model text to syntax tree. The language is described in grammar.md.
#ifndef COSTATE_ENGINE_MODEL_PARSER_H_
#define COSTATE_ENGINE_MODEL_PARSER_H_

#include <string_view>

#include "engine/model/issue_list.h"
#include "engine/model/syntax.h"

namespace costate {

// Reports at most one issue per statement and goes on with the next statement. The result
// refers to `text`, of at most limits::kMaxModelTextBytes bytes.
Syntax ParseSyntax(std::string_view text, IssueList* issues);

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_PARSER_H_

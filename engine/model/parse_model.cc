#include <string>

#include "absl/status/status.h"
#include "engine/base/limits.h"
#include "engine/model/lower.h"
#include "engine/model/model.h"
#include "engine/model/parser.h"
#include "engine/model/resolver.h"
#include "engine/model/text.h"

namespace costate {

ParsedModel ParseModel(std::string_view text) {
  ParsedModel parsed;
  IssueList issues;
  if (static_cast<int64_t>(text.size()) > limits::kMaxModelTextBytes) {
    issues.Add({1, 1, 1},
               Text("the text has ", text.size(), " bytes, at most ", limits::kMaxModelTextBytes,
                    " are allowed"),
               "give large tables as parameter values instead");
    parsed.issues = issues.Take();
    return parsed;
  }
  Syntax syntax = ParseSyntax(text, &issues);
  ResolveNames(&syntax, &issues);
  CheckDependencies(&syntax, &issues);
  parsed.ir = LowerModel(syntax, &issues);
  if (issues.empty()) {
    if (const absl::Status status = VerifyModel(parsed.ir); !status.ok()) {
      issues.Add({1, 1, 1}, std::string(status.message()));
    }
  }
  parsed.issues = issues.Take();
  return parsed;
}

}  // namespace costate

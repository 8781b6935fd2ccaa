// Collects the issues of one model text: the first of each place, a bounded number, in order.
#ifndef COSTATE_ENGINE_MODEL_ISSUE_LIST_H_
#define COSTATE_ENGINE_MODEL_ISSUE_LIST_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "engine/model/issue.h"

namespace costate {

// A second issue at the place of an earlier one is dropped: it has the same cause.
// Thread-safety: none.
class IssueList {
 public:
  void Add(SourceLocation location, std::string message, std::string hint = "");

  // True once further issues are only noted, not kept; callers may then spare the words.
  bool full() const;
  bool empty() const { return issues_.empty(); }

  // The issues in order of place, at most limits::kMaxIssues; when there were more, the last
  // one says so. Leaves the list empty.
  std::vector<Issue> Take();

 private:
  std::vector<Issue> issues_;
  absl::flat_hash_set<std::pair<int32_t, int32_t>> places_;  // line, column
  bool overflowed_ = false;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_ISSUE_LIST_H_

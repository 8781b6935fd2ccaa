#include "engine/model/issue_list.h"

#include <algorithm>
#include <tuple>

#include "engine/base/limits.h"
#include "engine/model/text.h"

namespace costate {

bool IssueList::full() const {
  return static_cast<int64_t>(issues_.size()) >= limits::kMaxIssues - 1;
}

void IssueList::Add(SourceLocation location, std::string message, std::string hint) {
  if (places_.contains({location.line, location.column})) return;
  if (full()) {
    overflowed_ = true;
    return;
  }
  places_.insert({location.line, location.column});
  issues_.push_back({location, std::move(message), std::move(hint)});
}

std::vector<Issue> IssueList::Take() {
  std::stable_sort(issues_.begin(), issues_.end(), [](const Issue& a, const Issue& b) {
    return std::tie(a.location.line, a.location.column) <
           std::tie(b.location.line, b.location.column);
  });
  if (overflowed_) {
    issues_.push_back({issues_.back().location,
                       Text("too many issues; ", issues_.size(), " are shown"),
                       "mend these first"});
  }
  places_.clear();
  overflowed_ = false;
  return std::move(issues_);
}

}  // namespace costate

#include "server/jobs/job_list.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/sha256.h"
#include "engine/base/status_macros.h"
#include "server/jobs/job_record.h"

namespace costate::jobs {
namespace {

// Jobs that one page looks at in search of a name.
constexpr int64_t kMaxLookedAt = 10'000;
constexpr size_t kHashDigits = 16;

constexpr JobState kAllStates[] = {JobState::kQueued, JobState::kRunning,   JobState::kSucceeded,
                                   JobState::kFailed, JobState::kCancelled, JobState::kDead};

// A token is the place in the order of creation below which the next page begins, and what tells
// one filter from another.
std::string HashOf(const ListFilter& filter) {
  std::string text;
  for (const JobState state : filter.states) absl::StrAppend(&text, static_cast<int>(state), ",");
  for (const std::string& kind : filter.kinds) absl::StrAppend(&text, kind.size(), ":", kind);
  absl::StrAppend(&text, "/", filter.display_name_contains);
  return Sha256Hex(text).substr(0, kHashDigits);
}

absl::StatusOr<int64_t> ReadToken(const ListFilter& filter, std::string_view token) {
  if (token.empty()) return std::numeric_limits<int64_t>::max();
  int64_t below = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), below);
  const std::string_view rest = token.substr(end - token.data());
  if (error != std::errc() || below < 1 || rest.size() != 1 + kHashDigits || rest[0] != '-') {
    return FieldError("page_token", absl::CHexEscape(std::string(token.substr(0, 64))),
                      "the token of the page before");
  }
  if (rest.substr(1) != HashOf(filter)) {
    return FieldError("page_token", token, "the same filter as that of the page before");
  }
  return below;
}

// One ordered walk through the jobs for each (kind, state) that the filter names, so that no walk
// meets jobs of other kinds or states.
std::vector<Rows> Walks(Connection& db, const ListFilter& filter, int64_t below, int64_t limit) {
  std::vector<Rows> walks;
  if (filter.states.empty() && filter.kinds.empty()) {
    static const std::string* const kSql = new std::string(
        absl::StrCat("SELECT ", JobColumns(), " FROM job WHERE seq < ? ORDER BY seq DESC LIMIT ?"));
    walks.push_back(db.Query(*kSql, below, limit));
    return walks;
  }
  std::vector<JobState> states = filter.states;
  if (states.empty()) states.assign(std::begin(kAllStates), std::end(kAllStates));
  std::sort(states.begin(), states.end());
  states.erase(std::unique(states.begin(), states.end()), states.end());
  std::vector<std::string> kinds = filter.kinds;
  std::sort(kinds.begin(), kinds.end());
  kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
  for (const JobState state : states) {
    static const std::string* const kByState = new std::string(
        absl::StrCat("SELECT ", JobColumns(),
                     " FROM job INDEXED BY job_by_state WHERE state = ? AND seq < ? "
                     "ORDER BY seq DESC LIMIT ?"));
    static const std::string* const kByKind = new std::string(
        absl::StrCat("SELECT ", JobColumns(),
                     " FROM job INDEXED BY job_by_kind WHERE kind = ? AND state = ? AND seq < ? "
                     "ORDER BY seq DESC LIMIT ?"));
    if (kinds.empty()) walks.push_back(db.Query(*kByState, static_cast<int>(state), below, limit));
    for (const std::string& kind : kinds) {
      walks.push_back(db.Query(*kByKind, kind, static_cast<int>(state), below, limit));
    }
  }
  return walks;
}

// Several walks as one, newest first.
class Merged {
 public:
  explicit Merged(std::vector<Rows> walks) : walks_(std::move(walks)) {
    for (size_t i = 0; i < walks_.size(); ++i) Push(i);
  }

  // The walk that stands at the newest job; null at the end.
  const Rows* Next() {
    if (current_ < walks_.size()) Push(current_);
    current_ = walks_.size();
    if (heads_.empty()) return nullptr;
    std::pop_heap(heads_.begin(), heads_.end());
    current_ = heads_.back().second;
    heads_.pop_back();
    return &walks_[current_];
  }

  absl::Status status() const {
    for (const Rows& walk : walks_) RETURN_IF_ERROR(walk.status());
    return absl::OkStatus();
  }

 private:
  void Push(size_t walk) {
    if (!walks_[walk].Next()) return;
    heads_.emplace_back(walks_[walk].Int(0), walk);
    std::push_heap(heads_.begin(), heads_.end());
  }

  std::vector<Rows> walks_;
  std::vector<std::pair<int64_t, size_t>> heads_;  // seq and walk, a heap
  size_t current_ = std::numeric_limits<size_t>::max();
};

}  // namespace

absl::StatusOr<JobPage> ListJobs(Connection& db, const ListFilter& filter, int64_t page_size,
                                 std::string_view page_token) {
  ASSIGN_OR_RETURN(const int64_t below, ReadToken(filter, page_token));
  page_size = std::max<int64_t>(1, page_size);
  const bool searches = !filter.display_name_contains.empty();
  // One more than is shown tells whether there is another page.
  const int64_t limit = (searches ? kMaxLookedAt : page_size) + 1;
  Merged jobs(Walks(db, filter, below, limit));
  JobPage page;
  int64_t looked_at = 0;
  int64_t last = 0;
  while (const Rows* rows = jobs.Next()) {
    if (static_cast<int64_t>(page.jobs.size()) == page_size || looked_at == limit - 1) {
      page.next_page_token = absl::StrCat(last, "-", HashOf(filter));
      break;
    }
    ++looked_at;
    last = rows->Int(0);
    constexpr int kDisplayName = 3;
    if (searches &&
        rows->Text(kDisplayName).find(filter.display_name_contains) == std::string_view::npos) {
      continue;
    }
    page.jobs.push_back(ReadJobRecord(*rows).job);
  }
  RETURN_IF_ERROR(jobs.status());
  return page;
}

}  // namespace costate::jobs

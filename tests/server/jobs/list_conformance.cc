// The part of StoreConformance that is about pages of jobs.
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "tests/server/jobs/store_conformance.h"

namespace costate::jobs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Ids(const std::vector<Job>& jobs) {
  std::vector<std::string> ids;
  for (const Job& job : jobs) ids.push_back(job.id);
  return ids;
}

// All pages together.
std::vector<std::string> AllPages(JobStore& store, const ListFilter& filter, int64_t page_size) {
  std::vector<std::string> ids;
  std::string token;
  do {
    const absl::StatusOr<JobPage> page = store.List(filter, page_size, token);
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) break;
    EXPECT_LE(static_cast<int64_t>(page->jobs.size()), page_size);
    for (std::string& id : Ids(page->jobs)) ids.push_back(std::move(id));
    token = page->next_page_token;
  } while (!token.empty());
  return ids;
}

TEST_P(StoreConformance, ListsAreNewestFirstInPages) {
  EXPECT_THAT(store().List({}, 10, "")->jobs, IsEmpty());
  EXPECT_EQ(store().List({}, 10, "")->next_page_token, "");
  std::vector<std::string> newest_first;
  for (int i = 0; i < 7; ++i) newest_first.insert(newest_first.begin(), Create().id);
  for (const int64_t page_size : {1, 3, 6, 7, 8}) {
    EXPECT_EQ(AllPages(store(), {}, page_size), newest_first) << page_size;
  }
  EXPECT_EQ(store().List({}, 7, "")->next_page_token, "");
}

TEST_P(StoreConformance, PagesNeitherRepeatNorSkipWhileJobsComeAndGo) {
  std::vector<std::string> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(Create().id);
  const auto first = store().List({}, 2, "");
  ASSERT_EQ(Ids(first->jobs), (std::vector{ids[5], ids[4]}));
  Create();
  for (const std::string& gone : {ids[4], ids[3]}) {
    ASSERT_TRUE(store().Cancel(gone).ok());
    ASSERT_TRUE(store().Delete(gone).ok());
  }
  const auto second = store().List({}, 2, first->next_page_token);
  EXPECT_EQ(Ids(second->jobs), (std::vector{ids[2], ids[1]}));
}

TEST_P(StoreConformance, ListsOfStatesAndKinds) {
  NewJob gradient = OneTask();
  gradient.kind = "gradient";
  const std::string done = Create().id;
  Complete(ClaimOne().lease);
  const std::string cancelled = Create(gradient).id;
  ASSERT_TRUE(store().Cancel(cancelled).ok());
  const std::string running = Create(gradient).id;
  ClaimOne();
  const std::string queued = Create().id;
  const auto listed = [&](std::vector<JobState> states, std::vector<std::string> kinds) {
    return AllPages(store(), {std::move(states), std::move(kinds), ""}, 2);
  };
  EXPECT_THAT(listed({JobState::kQueued}, {}), ElementsAre(queued));
  EXPECT_THAT(listed({JobState::kSucceeded, JobState::kRunning, JobState::kRunning}, {}),
              ElementsAre(running, done));
  EXPECT_THAT(listed({JobState::kFailed}, {}), IsEmpty());
  EXPECT_THAT(listed({}, {"gradient"}), ElementsAre(running, cancelled));
  EXPECT_THAT(listed({}, {"fit", "gradient", "solve"}),
              ElementsAre(queued, running, cancelled, done));
  EXPECT_THAT(listed({JobState::kSucceeded, JobState::kCancelled}, {"gradient"}),
              ElementsAre(cancelled));
  EXPECT_THAT(listed({}, {"fi"}), IsEmpty());
}

TEST_P(StoreConformance, ListsOfNames) {
  std::vector<std::string> ids;
  for (const char* name : {"hare and lynx", "hares", "", "Hare", "100%", "a_b"}) {
    NewJob job = OneTask();
    job.display_name = name;
    ids.push_back(Create(job).id);
  }
  const auto listed = [&](std::string text) { return AllPages(store(), {{}, {}, text}, 1); };
  EXPECT_THAT(listed("hare"), ElementsAre(ids[1], ids[0]));
  EXPECT_THAT(listed("%"), ElementsAre(ids[4]));  // as it is written: no pattern
  EXPECT_THAT(listed("_"), ElementsAre(ids[5]));
  EXPECT_THAT(listed("wolf"), IsEmpty());
  EXPECT_THAT(AllPages(store(), {{JobState::kQueued}, {"fit"}, "lynx"}, 5), ElementsAre(ids[0]));
}

TEST_P(StoreConformance, TokensAreOfTheirFilter) {
  for (int i = 0; i < 3; ++i) Create();
  const ListFilter queued = {{JobState::kQueued}, {}, ""};
  const std::string token = store().List(queued, 1, "")->next_page_token;
  ASSERT_NE(token, "");
  EXPECT_TRUE(store().List(queued, 2, token).ok());
  for (const std::string& bad : {token + "0", token.substr(1), "x" + token, std::string("12"),
                                 std::string("-"), std::string(1000, '9')}) {
    const absl::Status status = store().List(queued, 1, bad).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_EQ(FieldOf(status), "page_token");
  }
  for (const ListFilter& other : {ListFilter{}, ListFilter{{JobState::kQueued}, {"fit"}, ""},
                                  ListFilter{{JobState::kQueued}, {}, "name"}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(store().List(other, 1, token).status()));
  }
}

}  // namespace
}  // namespace costate::jobs

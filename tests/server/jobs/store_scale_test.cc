// A hundred thousand queued jobs: all figures are right, and no statement walks through them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/jobs/job_changes.h"
#include "server/jobs/job_list.h"
#include "server/jobs/job_queries.h"
#include "server/jobs/job_record.h"
#include "server/jobs/schema.h"
#include "server/jobs/sqlite.h"
#include "server/jobs/task_changes.h"
#include "tests/server/jobs/job_values.h"
#include "tests/server/jobs/sqlite_place.h"

namespace costate::jobs {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr absl::Duration kLease = absl::Seconds(30);

// ---- plans ----

class QueryPlans : public testing::Test {
 protected:
  QueryPlans() : db_(*Connection::Open("", Connection::Mode::kWriter)) {
    EXPECT_TRUE(MigrateSchema(*db_, SchemaMigrations()).ok());
  }

  std::string Create() {
    const std::string id = absl::StrCat("job ", ++created_);
    NewJob job = Tasks(3, true);
    job.deadline = absl::FromUnixNanos(1000);
    job.retention = absl::Nanoseconds(1);
    job.idempotency_key = id;
    EXPECT_TRUE(CreateJob(transaction_, job, id).ok());
    return id;
  }

  Lease Claim() {
    const auto claims = ClaimTasks(transaction_, "worker", 1, absl::Nanoseconds(1));
    EXPECT_TRUE(claims.ok()) << claims.status();
    EXPECT_THAT(*claims, SizeIs(1));
    return claims->at(0).lease;
  }

  // Every change, so that all their statements are kept by the connection.
  void ChangeEverything() {
    const std::string id = Create();
    EXPECT_TRUE(RenewLeases(transaction_, {Claim()}, kLease).ok());
    EXPECT_TRUE(ReleaseTask(transaction_, {id, 0, 1}).ok());
    for (int64_t task = 0; task < 3; ++task) {
      const Lease lease = Claim();
      EXPECT_TRUE(SaveCheckpoint(transaction_, lease, "state", {Progress("p")}).ok());
      EXPECT_TRUE(CompleteTask(transaction_, lease, Done("result")).ok());
    }
    Create();
    Claim();
    transaction_.now = 100;
    EXPECT_EQ(*TakeBackLeases(transaction_, transaction_.now, 10), 1);
    transaction_.now = 2000;
    EXPECT_EQ(*EndJobsPastDeadline(transaction_, 10), 1);
    transaction_.now = 3000;
    EXPECT_EQ(*ForgetJobs(transaction_, 10), 2);
    transaction_.now = 0;
    const std::string last = Create();
    Claim();
    EXPECT_TRUE(CancelJob(transaction_, last).ok());
    EXPECT_TRUE(ReleaseTask(transaction_, {last, 0, 1}).ok());
    EXPECT_TRUE(RequeueJob(transaction_, last).ok());
    EXPECT_TRUE(CompleteTask(transaction_, Claim(), Failed(absl::InternalError("no"))).ok());
    EXPECT_TRUE(DeleteJob(transaction_, last).ok());
  }

  void ReadEverything() {
    const std::string id = Create();
    EXPECT_TRUE(LoadJob(*db_, id).ok());
    EXPECT_TRUE(FindCreatedJob(*db_, id, "").ok());
    EXPECT_TRUE(ReadSpec(*db_, id).ok());
    EXPECT_TRUE(ReadResults(*db_, id).ok());
    EXPECT_TRUE(ReadEvents(*db_, id, 1, 10).ok());
    EXPECT_TRUE(ReadAttempts(*db_, id).ok());
    StoreStats stats;
    EXPECT_TRUE(ReadAges(*db_, 0, stats).ok());
    for (const ListFilter& filter :
         {ListFilter{}, ListFilter{{JobState::kQueued}, {}, ""}, ListFilter{{}, {"fit"}, ""},
          ListFilter{{JobState::kQueued, JobState::kDead}, {"fit", "solve"}, "name"}}) {
      EXPECT_TRUE(ListJobs(*db_, filter, 10, "").ok());
    }
  }

  std::string PlanOf(const std::string& sql) {
    std::string plan;
    Rows rows = db_->Query("EXPLAIN QUERY PLAN " + sql);
    while (rows.Next()) absl::StrAppend(&plan, std::string(rows.Text(3)), "\n");
    EXPECT_TRUE(rows.status().ok()) << rows.status() << "\n" << sql;
    return plan;
  }

  std::unique_ptr<Connection> db_;
  const StoreLimits limits_;
  Transaction transaction_{*db_, limits_, 0, {}, {}};
  int created_ = 0;
};

TEST_F(QueryPlans, NothingIsScannedOrSorted) {
  ChangeEverything();
  ReadEverything();
  const std::vector<std::string> statements = db_->Statements();
  EXPECT_GT(statements.size(), 40u);
  for (const std::string& sql : statements) {
    if (sql.rfind("PRAGMA", 0) == 0) continue;
    const std::string plan = PlanOf(sql);
    EXPECT_THAT(plan, Not(HasSubstr("SCAN"))) << sql;
    EXPECT_THAT(plan, Not(HasSubstr("TEMP B-TREE"))) << sql;
  }
}

// The test above would see one.
TEST_F(QueryPlans, AScanIsSeen) {
  EXPECT_THAT(PlanOf("SELECT seq FROM job WHERE display_name = ?"), HasSubstr("SCAN job"));
  EXPECT_THAT(PlanOf("SELECT task FROM task WHERE state = 0 ORDER BY lease_until"),
              HasSubstr("TEMP B-TREE"));
}

// ---- numbers ----

TEST(StoreScale, AHundredThousandJobs) {
  constexpr int64_t kJobs = 100'000;
  constexpr int64_t kProducers = 8;
  SettableClock clock;
  SqlitePlace place(/*in_file=*/false);
  const auto store = place.Open({}, [&] { return clock.Now(); });
  ASSERT_NE(store, nullptr);
  std::vector<std::thread> producers;
  for (int64_t p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      NewJob job = OneTask(std::string(200, 's'));
      for (int64_t i = p; i < kJobs; i += kProducers) {
        job.display_name = absl::StrCat("job ", i);
        job.priority = static_cast<int32_t>(i % 10);
        ASSERT_TRUE(store->Create(job).ok());
      }
    });
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(store->Stats()->tasks_queued, kJobs);
  EXPECT_EQ(store->Stats()->jobs_by_state[static_cast<int>(JobState::kQueued)], kJobs);

  // All pages together are all jobs, each once.
  std::set<std::string> ids;
  std::string token;
  int64_t pages = 0;
  do {
    const auto page = store->List({}, 1000, token);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const Job& job : page->jobs) EXPECT_TRUE(ids.insert(job.id).second);
    token = page->next_page_token;
    ++pages;
  } while (!token.empty());
  EXPECT_THAT(ids, SizeIs(kJobs));
  EXPECT_EQ(pages, kJobs / 1000);

  // A name that only the oldest has is found page by page, none of which looks at everything.
  pages = 0;
  std::vector<Job> found;
  do {
    const auto page = store->List({{}, {}, "job 0"}, 10, token);
    ASSERT_TRUE(page.ok()) << page.status();
    found.insert(found.end(), page->jobs.begin(), page->jobs.end());
    token = page->next_page_token;
    ++pages;
  } while (!token.empty());
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].display_name, "job 0");
  EXPECT_EQ(pages, 10);

  // Claims take the best tenth first, a few at a time or many.
  int64_t claimed = 0;
  while (claimed < kJobs / 10) {
    const auto claims = store->ClaimTasks("worker", claimed < 100 ? 1 : 500, kLease);
    ASSERT_TRUE(claims.ok()) << claims.status();
    ASSERT_FALSE(claims->empty());
    for (const Claim& claim : *claims) {
      if (claimed < 50 || claimed % 100 == 0) {
        EXPECT_EQ(store->Get(claim.lease.job)->priority, claimed < kJobs / 10 ? 9 : 8);
      }
      ++claimed;
    }
  }
  StoreStats stats = *store->Stats();
  EXPECT_EQ(stats.tasks_queued, kJobs - claimed);
  EXPECT_EQ(stats.tasks_running, claimed);
  EXPECT_EQ(stats.jobs_by_state[static_cast<int>(JobState::kRunning)], claimed);
  EXPECT_EQ(stats.oldest_queued, absl::ZeroDuration());
  clock.Advance(kLease);
  EXPECT_EQ(*store->Reap(), claimed);
  stats = *store->Stats();
  EXPECT_EQ(stats.tasks_queued, kJobs);
  EXPECT_EQ(stats.tasks_running, 0);
  EXPECT_EQ(stats.reclaims, claimed);
  EXPECT_EQ(stats.oldest_queued, kLease);
}

}  // namespace
}  // namespace costate::jobs

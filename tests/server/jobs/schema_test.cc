#include "server/jobs/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "tests/server/jobs/sqlite_place.h"

namespace costate::jobs {
namespace {

using testing::SizeIs;

std::unique_ptr<Connection> InMemory() { return *Connection::Open("", Connection::Mode::kWriter); }

// Tables and indexes as their definitions, sorted.
std::vector<std::string> Definitions(Connection& db) {
  std::vector<std::string> found;
  Rows rows = db.Query(
      "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' "
      "ORDER BY name");
  while (rows.Next()) found.emplace_back(rows.Text(0));
  return found;
}

// A database as release after release has left it: with each new version of the schema, a dump of
// one goes into golden/.
std::string Golden(int64_t version) {
  std::ifstream file(
      absl::StrCat(COSTATE_SOURCE_DIR, "/tests/server/jobs/golden/version_", version, ".sql"));
  EXPECT_TRUE(file.good()) << "no golden database of version " << version;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Schema, AnEmptyDatabaseBecomesTheNewest) {
  const auto db = InMemory();
  ASSERT_TRUE(MigrateSchema(*db, SchemaMigrations()).ok());
  EXPECT_EQ(*db->QueryInt("PRAGMA user_version"), static_cast<int64_t>(SchemaMigrations().size()));
  const std::vector<std::string> once = Definitions(*db);
  ASSERT_TRUE(MigrateSchema(*db, SchemaMigrations()).ok());
  EXPECT_EQ(Definitions(*db), once);
}

TEST(Schema, OneOfTheFutureIsRefusedAndLeftAlone) {
  const auto db = InMemory();
  ASSERT_TRUE(db->Script("PRAGMA user_version = 1000; CREATE TABLE of_the_future (x)").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(MigrateSchema(*db, SchemaMigrations())));
  EXPECT_THAT(Definitions(*db), SizeIs(1));
}

TEST(Schema, StepsAreTakenInOrderFromWhereItStands) {
  const auto db = InMemory();
  const char* const steps[] = {"CREATE TABLE a (x);", "INSERT INTO a VALUES (1);",
                               "UPDATE a SET x = x + 1;"};
  ASSERT_TRUE(MigrateSchema(*db, absl::MakeSpan(steps).subspan(0, 2)).ok());
  EXPECT_EQ(*db->QueryInt("SELECT x FROM a"), 1);
  ASSERT_TRUE(MigrateSchema(*db, steps).ok());
  EXPECT_EQ(*db->QueryInt("SELECT x FROM a"), 2);
  EXPECT_EQ(*db->QueryInt("PRAGMA user_version"), 3);
}

TEST(Schema, AStepThatFailsLeavesTheVersionBefore) {
  const auto db = InMemory();
  const char* const steps[] = {"CREATE TABLE a (x);", "INSERT INTO a VALUES (1); SELEKT;"};
  EXPECT_FALSE(MigrateSchema(*db, steps).ok());
  EXPECT_EQ(*db->QueryInt("PRAGMA user_version"), 1);
  EXPECT_EQ(*db->QueryInt("SELECT count(*) FROM a"), 0);
  EXPECT_FALSE(db->in_transaction());
}

// What was released is what the steps still make.
TEST(Schema, ReleasedStepsHaveNotChanged) {
  for (size_t version = 1; version <= SchemaMigrations().size(); ++version) {
    const auto golden = InMemory();
    ASSERT_TRUE(golden->Script(Golden(version)).ok());
    ASSERT_EQ(*golden->QueryInt("PRAGMA user_version"), static_cast<int64_t>(version));
    const auto db = InMemory();
    ASSERT_TRUE(MigrateSchema(*db, SchemaMigrations().subspan(0, version)).ok());
    EXPECT_EQ(Definitions(*db), Definitions(*golden)) << version;
  }
}

// Each golden database holds the same jobs: one that has succeeded, one that runs with two
// checkpoints, one that waits, one that failed.
TEST(Schema, StoresOfAllVersionsGoOn) {
  for (size_t version = 1; version <= SchemaMigrations().size(); ++version) {
    SCOPED_TRACE(version);
    const TemporaryDirectory place;
    std::ofstream(place.path() + "/jobs.db");
    {
      auto db = Connection::Open(place.path() + "/jobs.db", Connection::Mode::kWriter);
      ASSERT_TRUE(db.ok());
      ASSERT_TRUE((*db)->Script(Golden(version)).ok());
    }
    SqliteOptions options;
    options.directory = place.path();
    options.reserve_bytes = 0;
    auto opened = OpenSqliteStore(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    JobStore& store = **opened;
    const auto page = store.List({}, 10, "");
    ASSERT_TRUE(page.ok());
    ASSERT_THAT(page->jobs, SizeIs(4));
    const Job& failed = page->jobs[0];
    const Job& waiting = page->jobs[1];
    const Job& running = page->jobs[2];
    const Job& succeeded = page->jobs[3];
    EXPECT_EQ(failed.state, JobState::kFailed);
    EXPECT_EQ(JobError(failed), absl::InvalidArgumentError("no such parameter"));
    EXPECT_EQ(succeeded.state, JobState::kSucceeded);
    EXPECT_EQ(succeeded.display_name, "golden");
    EXPECT_EQ(store.GetResults(succeeded.id)->at(0).bytes, "result");
    EXPECT_EQ(*store.GetSpec(waiting.id), "spec");
    const auto claims = store.ClaimTasks("worker", 10, absl::Seconds(30));
    ASSERT_TRUE(claims.ok());
    ASSERT_THAT(*claims, SizeIs(2));
    for (const Claim& claim : *claims) {
      if (claim.lease.job == running.id) {
        EXPECT_EQ(claim.lease.epoch, 2);
        ASSERT_THAT(claim.checkpoints, SizeIs(2));
        EXPECT_EQ(claim.checkpoints[0].payload, "second");
      } else {
        EXPECT_EQ(claim.lease.job, waiting.id);
      }
      EXPECT_TRUE(store.Complete(claim.lease, Done("result")).ok());
    }
    EXPECT_EQ(store.Get(running.id)->state, JobState::kSucceeded);
    EXPECT_EQ(store.Get(running.id)->best_objective, 0.25);
    EXPECT_TRUE(store.Requeue(failed.id).ok());
  }
}

}  // namespace
}  // namespace costate::jobs

#include "server/jobs/sqlite.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <limits>
#include <string>

namespace costate::jobs {
namespace {

std::unique_ptr<Connection> InMemory() {
  auto db = Connection::Open("", Connection::Mode::kWriter);
  EXPECT_TRUE(db.ok()) << db.status();
  return *std::move(db);
}

TEST(SqliteStatus, SaysWhatACallerCanDo) {
  EXPECT_TRUE(SqliteStatus(SQLITE_OK).ok());
  EXPECT_TRUE(SqliteStatus(SQLITE_ROW).ok());
  EXPECT_TRUE(SqliteStatus(SQLITE_DONE).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(SqliteStatus(SQLITE_FULL)));
  EXPECT_TRUE(absl::IsDataLoss(SqliteStatus(SQLITE_CORRUPT)));
  EXPECT_TRUE(absl::IsDataLoss(SqliteStatus(SQLITE_CORRUPT_INDEX)));
  EXPECT_TRUE(absl::IsDataLoss(SqliteStatus(SQLITE_NOTADB)));
  for (const int code : {SQLITE_BUSY, SQLITE_BUSY_SNAPSHOT, SQLITE_LOCKED, SQLITE_IOERR_FSYNC,
                         SQLITE_IOERR_WRITE, SQLITE_NOMEM, SQLITE_CANTOPEN, SQLITE_READONLY}) {
    EXPECT_TRUE(absl::IsUnavailable(SqliteStatus(code))) << code;
  }
  EXPECT_TRUE(absl::IsOutOfRange(SqliteStatus(SQLITE_TOOBIG)));  // asking again will not help
  EXPECT_TRUE(absl::IsInternal(SqliteStatus(SQLITE_ERROR)));
  EXPECT_TRUE(absl::IsInternal(SqliteStatus(SQLITE_CONSTRAINT_UNIQUE)));
}

TEST(Connection, ValuesComeBackAsTheyWere) {
  const auto db = InMemory();
  const std::string bytes("\0b\xff", 3);
  const std::optional<double> none;
  Rows rows = db->Query("SELECT ?, ?, ?, ?, ?, ?", std::numeric_limits<int64_t>::min(), 0.1,
                        std::string_view("ü"), Blob{bytes}, none, Blob{""});
  ASSERT_TRUE(rows.Next());
  EXPECT_EQ(rows.Int(0), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(rows.Double(1), 0.1);
  EXPECT_EQ(rows.Text(2), "ü");
  EXPECT_EQ(rows.Bytes(3), bytes);
  EXPECT_TRUE(rows.IsNull(4));
  EXPECT_EQ(rows.OptionalDouble(4), std::nullopt);
  EXPECT_FALSE(rows.IsNull(5));
  EXPECT_EQ(rows.Bytes(5), "");
  EXPECT_FALSE(rows.Next());
  EXPECT_TRUE(rows.status().ok());
  EXPECT_FALSE(rows.Next());
}

TEST(Connection, OneStatementMayRunWithinItself) {
  const auto db = InMemory();
  ASSERT_TRUE(db->Script("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2), (3)").ok());
  int64_t pairs = 0;
  Rows outer = db->Query("SELECT x FROM t ORDER BY x");
  while (outer.Next()) {
    Rows inner = db->Query("SELECT x FROM t ORDER BY x");
    while (inner.Next()) pairs += 10 * outer.Int(0) + inner.Int(0);
  }
  EXPECT_EQ(pairs, 3 * 60 + 3 * 6);
}

TEST(Connection, AnAbandonedStatementStartsAnew) {
  const auto db = InMemory();
  ASSERT_TRUE(db->Script("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)").ok());
  for (int i = 0; i < 3; ++i) {
    Rows rows = db->Query("SELECT x FROM t WHERE x >= ? ORDER BY x", 1);
    ASSERT_TRUE(rows.Next());
    EXPECT_EQ(rows.Int(0), 1);
  }
}

TEST(Connection, TemporaryValuesAreCopiedForRows) {
  const auto db = InMemory();
  Rows rows = db->Query("SELECT ?", std::string(1000, 'x') + "y");
  ASSERT_TRUE(rows.Next());
  EXPECT_EQ(rows.Text(0), std::string(1000, 'x') + "y");
}

TEST(Connection, MistakesOfTheCallerAreNoFailureOfTheDatabase) {
  const auto db = InMemory();
  EXPECT_TRUE(absl::IsInternal(db->Execute("SELEKT 1")));
  EXPECT_TRUE(absl::IsInternal(db->Execute("SELECT ?", 1, 2)));  // more values than places
  ASSERT_TRUE(db->Script("CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1)").ok());
  EXPECT_TRUE(absl::IsInternal(db->Execute("INSERT INTO t VALUES (?)", 1)));
  EXPECT_TRUE(db->failure().ok());
}

TEST(Connection, AFullDatabaseIsAFailure) {
  const auto db = InMemory();
  ASSERT_TRUE(db->Script("CREATE TABLE t (x); PRAGMA max_page_count = 4").ok());
  const std::string large(100'000, 'x');
  const absl::Status status = db->Execute("INSERT INTO t VALUES (?)", Blob{large});
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(db->failure(), status);
  db->ClearFailure();
  EXPECT_TRUE(db->failure().ok());
}

TEST(Connection, ErrorsNameNeitherFilesNorStatements) {
  const auto missing = Connection::Open("/nonexistent/secret.db", Connection::Mode::kWriter);
  EXPECT_TRUE(absl::IsUnavailable(missing.status()));
  EXPECT_EQ(missing.status().message().find("secret"), std::string::npos);
  const absl::Status status = InMemory()->Execute("SELECT secret FROM nowhere");
  EXPECT_EQ(status.message().find("secret"), std::string::npos);
  EXPECT_EQ(status.message().find("nowhere"), std::string::npos);
}

TEST(Connection, CommitsAreSynchronous) {
  const auto db = InMemory();
  EXPECT_EQ(*db->QueryInt("PRAGMA synchronous"), 2);  // FULL
}

}  // namespace
}  // namespace costate::jobs

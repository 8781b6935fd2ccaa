// What only an embedded store has: a directory, a file that may be damaged, a log that may be torn.
#include "server/jobs/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "server/jobs/checkpoint.h"
#include "server/jobs/sqlite.h"
#include "tests/server/jobs/sqlite_place.h"

namespace costate::jobs {
namespace {

using testing::SizeIs;

absl::StatusOr<std::unique_ptr<JobStore>> TryOpen(const std::string& directory) {
  SqliteOptions options;
  options.directory = directory;  // with the usual reserve: it decides how long the log gets
  return OpenSqliteStore(options);
}

std::unique_ptr<JobStore> Open(const std::string& directory) {
  auto store = TryOpen(directory);
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

std::vector<std::string> CreateSome(JobStore& store, int count) {
  std::vector<std::string> ids;
  for (int i = 0; i < count; ++i) {
    const auto created = store.Create(OneTask(std::string(500, 's')));
    EXPECT_TRUE(created.ok()) << created.status();
    if (created.ok()) ids.push_back(created->job.id);
  }
  return ids;
}

// As a crash would leave it: a copy made while the store is open.
void CopyAsCrashed(const std::string& from, const std::string& to) {
  std::filesystem::create_directory(to);
  for (const char* name : {"/jobs.db", "/jobs.db-wal"}) {
    std::filesystem::copy_file(from + name, to + name);
  }
}

void Overwrite(const std::string& path, std::streamoff offset, const std::string& bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(offset);
  file << bytes;
  EXPECT_TRUE(file.good());
}

TEST(SqliteStore, FilesAreForTheirOwnerAlone) {
  const TemporaryDirectory place;
  const std::string path = place.path() + "/jobs";
  const mode_t before = umask(0);
  const auto store = Open(path);
  CreateSome(*store, 1);
  umask(before);
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(path)) {
    struct stat found;
    ASSERT_EQ(stat(file.path().c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, 0600u) << file.path();
    ++files;
  }
  EXPECT_EQ(files, 5);  // database, log, its index, lock, reserve
}

// However a job ends, and whoever ends it.
TEST(SqliteStore, SaysOnceOfEveryJobThatItHasEnded) {
  absl::Time now = absl::FromUnixSeconds(1'000'000);
  std::vector<JobState> ended;
  SqliteOptions options;
  options.now = [&now] { return now; };
  options.ended = [&](const EndedJob& job) {
    EXPECT_EQ(job.kind, "fit");
    EXPECT_EQ(job.duration, absl::Hours(static_cast<int64_t>(ended.size())));
    ended.push_back(job.state);
  };
  const auto store = OpenSqliteStore(options).value();
  NewJob job = OneTask("spec");
  job.kind = "fit";
  const auto claim = [&] { return store->ClaimTasks("worker", 1, absl::Minutes(1))->at(0).lease; };

  const std::string cancelled = store->Create(job)->job.id;
  EXPECT_TRUE(store->Cancel(cancelled).ok());
  EXPECT_TRUE(store->Cancel(cancelled).ok());

  job.num_tasks = 2;
  EXPECT_TRUE(store->Create(job).ok());
  const Lease first = claim(), second = claim();
  now += absl::Hours(1);
  TaskEnd done;
  EXPECT_TRUE(store->Complete(first, done).ok());
  EXPECT_EQ(ended.size(), 1u) << "one task is left";
  EXPECT_TRUE(store->Complete(second, done).ok());
  EXPECT_TRUE(store->Complete(second, done).ok());

  job.num_tasks = 1;
  job.deadline = now + absl::Hours(1);
  EXPECT_TRUE(store->Create(job).ok());
  now += absl::Hours(2);
  EXPECT_TRUE(store->Reap().ok());

  job.deadline = absl::InfiniteFuture();
  EXPECT_TRUE(store->Create(job).ok());
  for (int i = 0; i < kMaxLostLeases; ++i) {
    claim();
    now += absl::Hours(1);
    EXPECT_TRUE(store->Reap().ok());
  }
  EXPECT_EQ(ended, (std::vector<JobState>{JobState::kCancelled, JobState::kSucceeded,
                                          JobState::kFailed, JobState::kDead}));
}

TEST(SqliteStore, ASecondProcessIsRefused) {
  const TemporaryDirectory place;
  const auto store = Open(place.path());
  EXPECT_TRUE(absl::IsFailedPrecondition(TryOpen(place.path()).status()));
  const pid_t child = fork();
  if (child == 0) {
    _exit(absl::IsFailedPrecondition(TryOpen(place.path()).status()) ? 17 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 17) << status;
  CreateSome(*store, 1);
}

TEST(SqliteStore, ADirectoryIsFreeOnceItsStoreIsClosed) {
  const TemporaryDirectory place;
  for (int i = 0; i < 3; ++i) {
    const auto store = Open(place.path());
    ASSERT_NE(store, nullptr);
    CreateSome(*store, 1);
    EXPECT_THAT(store->List({}, 10, "")->jobs, SizeIs(i + 1));
  }
}

TEST(SqliteStore, LeasesAreTakenBackWhenItIsOpened) {
  const TemporaryDirectory place;
  std::string id;
  for (int i = 0; i < kMaxLostLeases; ++i) {
    const auto store = Open(place.path());
    ASSERT_NE(store, nullptr);
    if (i == 0) id = CreateSome(*store, 1)[0];
    const auto claims = store->ClaimTasks("worker", 1, absl::Hours(1));
    ASSERT_TRUE(claims.ok());
    ASSERT_THAT(*claims, SizeIs(1));
    EXPECT_EQ((*claims)[0].lease.epoch, i + 1);
  }
  // It has ended its process too often.
  const auto store = Open(place.path());
  EXPECT_EQ(store->Get(id)->state, JobState::kDead);
  EXPECT_EQ(store->Attempts(id)->back().reason, "lease lost");
  EXPECT_EQ(store->Stats()->tasks_running, 0);
}

TEST(SqliteStore, ASchemaOfTheFutureIsRefused) {
  const TemporaryDirectory place;
  CreateSome(*Open(place.path()), 1);
  {
    auto db = Connection::Open(place.path() + "/jobs.db", Connection::Mode::kWriter);
    ASSERT_TRUE((*db)->Script("PRAGMA user_version = 1000").ok());
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(TryOpen(place.path()).status()));
}

TEST(SqliteStore, ADamagedDatabaseIsRefused) {
  const TemporaryDirectory place;
  CreateSome(*Open(place.path()), 200);
  const std::string database = place.path() + "/jobs.db";
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(database));
  // In the head, in pages of trees, in the middle of everything.
  const std::string whole = [&] {
    std::ifstream file(database, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  for (const std::streamoff offset : {std::streamoff{0}, std::streamoff{4096} * 5, size / 2}) {
    Overwrite(database, 0, whole);
    Overwrite(database, offset, std::string(4096, '\x5a'));
    const absl::Status status = TryOpen(place.path()).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << offset << " " << status;
  }
  std::filesystem::resize_file(database, 3 * 4096);
  EXPECT_TRUE(absl::IsDataLoss(TryOpen(place.path()).status()));
  std::ofstream(database) << "this is no database at all, but long enough to be looked at: "
                          << std::string(1000, '.');
  EXPECT_TRUE(absl::IsDataLoss(TryOpen(place.path()).status()));
}

TEST(SqliteStore, WhatWasNotCheckpointedIntoTheDatabaseIsReadFromTheLog) {
  const TemporaryDirectory place;
  const std::string crashed = place.path() + "/crashed";
  std::vector<std::string> ids;
  {
    const auto store = Open(place.path() + "/jobs");
    ids = CreateSome(*store, 20);
    CopyAsCrashed(place.path() + "/jobs", crashed);
  }
  const auto store = Open(crashed);
  ASSERT_NE(store, nullptr);
  for (const std::string& id : ids) EXPECT_TRUE(store->Get(id).ok());
}

// A log that ends anywhere is a store at the end of one of its commits.
TEST(SqliteStore, ATornLogIsReadUpToItsLastWholeCommit) {
  const TemporaryDirectory place;
  std::vector<std::string> ids;
  const std::string crashed = place.path() + "/crashed";
  {
    const auto store = Open(place.path() + "/jobs");
    ids = CreateSome(*store, 20);
    CopyAsCrashed(place.path() + "/jobs", crashed);
  }
  const std::string log = crashed + "/jobs.db-wal";
  const auto size = static_cast<int64_t>(std::filesystem::file_size(log));
  size_t before = ids.size();
  for (int64_t kept = size - 1; kept > size / 2; kept -= 9001) {
    const std::string copy = place.path() + "/torn";
    std::filesystem::remove_all(copy);
    std::filesystem::create_directory(copy);
    for (const char* name : {"/jobs.db", "/jobs.db-wal"}) {
      std::filesystem::copy_file(crashed + name, copy + name);
    }
    std::filesystem::resize_file(copy + "/jobs.db-wal", kept);
    const auto store = Open(copy);
    ASSERT_NE(store, nullptr) << kept;
    const auto page = store->List({}, 100, "");
    ASSERT_TRUE(page.ok());
    const size_t count = page->jobs.size();
    EXPECT_LE(count, before) << kept;
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(page->jobs[i].id, ids[count - 1 - i]);
    EXPECT_EQ(store->Stats()->tasks_queued, static_cast<int64_t>(count));
    before = count;
    CreateSome(*store, 1);
  }
  EXPECT_LT(before, ids.size());
}

TEST(SqliteStore, RubbishAfterTheLogChangesNothing) {
  const TemporaryDirectory place;
  const std::string crashed = place.path() + "/crashed";
  std::vector<std::string> ids;
  {
    const auto store = Open(place.path() + "/jobs");
    ids = CreateSome(*store, 20);
    CopyAsCrashed(place.path() + "/jobs", crashed);
  }
  std::ofstream(crashed + "/jobs.db-wal", std::ios::app | std::ios::binary)
      << std::string(10'000, '\x77');
  const auto store = Open(crashed);
  ASSERT_NE(store, nullptr);
  EXPECT_THAT(store->List({}, 100, "")->jobs, SizeIs(20));
}

TEST(SqliteStore, ADamagedCheckpointFallsBackToTheOneBefore) {
  const TemporaryDirectory place;
  {
    const auto store = Open(place.path());
    CreateSome(*store, 1);
    const auto claims = store->ClaimTasks("worker", 1, absl::ZeroDuration());
    for (const char* state : {"first", "second", "third"}) {
      ASSERT_TRUE(store->SaveCheckpoint((*claims)[0].lease, SealCheckpoint(state), {}).ok());
    }
  }
  {
    auto db = Connection::Open(place.path() + "/jobs.db", Connection::Mode::kWriter);
    ASSERT_TRUE((*db)
                    ->Script("UPDATE checkpoint SET payload = substr(payload, 1, 50) || x'00' "
                             "WHERE sequence = 3")
                    .ok());
  }
  const auto store = Open(place.path());
  ASSERT_NE(store, nullptr);
  const auto claims = store->ClaimTasks("worker", 1, absl::Hours(1));
  const std::vector<Checkpoint>& checkpoints = claims->at(0).checkpoints;
  ASSERT_THAT(checkpoints, SizeIs(2));
  EXPECT_TRUE(absl::IsDataLoss(OpenCheckpoint(checkpoints[0].payload).status()));
  EXPECT_EQ(*OpenCheckpoint(checkpoints[1].payload), "second");
}

// Somebody looks into the file with a tool of their own, and keeps it locked.
TEST(SqliteStore, WhileAnotherWritesItIsUnavailableForWritesOnly) {
  const TemporaryDirectory place;
  const auto store = Open(place.path());
  const std::string id = CreateSome(*store, 1)[0];
  auto other = Connection::Open(place.path() + "/jobs.db", Connection::Mode::kWriter);
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE((*other)->Script("BEGIN IMMEDIATE").ok());
  EXPECT_TRUE(absl::IsUnavailable(store->Create(OneTask()).status()));
  EXPECT_TRUE(store->Get(id).ok());
  ASSERT_TRUE((*other)->Script("COMMIT").ok());
  EXPECT_TRUE(store->Create(OneTask()).ok());
  EXPECT_THAT(store->List({}, 10, "")->jobs, SizeIs(2));
}

TEST(SqliteStore, BytesAreThoseOnDisk) {
  const TemporaryDirectory place;
  const auto store = Open(place.path());
  const int64_t before = store->Stats()->bytes;
  ASSERT_TRUE(store->Create(OneTask(std::string(1 << 20, 's'))).ok());
  EXPECT_GT(store->Stats()->bytes, before + (1 << 20));
}

// Producers, workers, a canceller and readers at once; run under ThreadSanitizer as well.
TEST(SqliteStore, ManyThreadsAtOnce) {
  const TemporaryDirectory place;
  const auto store = Open(place.path());
  constexpr int kProducers = 4;
  constexpr int kJobs = 25;
  std::atomic<int64_t> done = 0;
  std::atomic<bool> over = false;
  std::vector<std::thread> producers, others;
  for (int p = 0; p < kProducers; ++p) {
    producers.emplace_back([&] {
      for (const std::string& id : CreateSome(*store, kJobs)) {
        EXPECT_TRUE(store->Get(id).ok());
      }
    });
  }
  for (int w = 0; w < 3; ++w) {
    others.emplace_back([&] {
      while (!over) {
        store->WaitForWork(absl::Now() + absl::Milliseconds(20));
        const auto claims = store->ClaimTasks("worker", 3, absl::Hours(1));
        ASSERT_TRUE(claims.ok()) << claims.status();
        for (const Claim& claim : *claims) {
          EXPECT_TRUE(store->SaveCheckpoint(claim.lease, "state", {Progress("p", 1)}).ok());
          EXPECT_TRUE(store->Renew({claim.lease}, absl::Hours(1))->at(0).held);
          EXPECT_TRUE(store->Complete(claim.lease, Done("result")).ok());
          ++done;
        }
      }
    });
  }
  for (int r = 0; r < 2; ++r) {
    others.emplace_back([&] {
      while (!over) {
        const auto page = store->List({}, 10, "");
        ASSERT_TRUE(page.ok()) << page.status();
        for (const Job& job : page->jobs) {
          store->WaitForEvent(job.id, job.last_event + 1, absl::Now() + absl::Milliseconds(1));
          EXPECT_TRUE(store->Events(job.id, 1, 100).ok());
        }
        EXPECT_TRUE(store->Stats().ok());
        EXPECT_TRUE(store->Reap().ok());
      }
    });
  }
  for (std::thread& thread : producers) thread.join();
  while (done < kProducers * kJobs) std::this_thread::yield();
  over = true;
  store->WakeAll();
  for (std::thread& thread : others) thread.join();
  const StoreStats stats = *store->Stats();
  EXPECT_EQ(stats.jobs_by_state[static_cast<int>(JobState::kSucceeded)], kProducers * kJobs);
  EXPECT_EQ(stats.tasks_queued + stats.tasks_running, 0);
}

}  // namespace
}  // namespace costate::jobs

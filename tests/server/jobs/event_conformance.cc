// The part of StoreConformance that is about what is kept of tasks: checkpoints, events, attempts,
// figures; and about waiting for it.
#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/jobs/store_conformance.h"

namespace costate::jobs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// ---- checkpoints ----

TEST_P(StoreConformance, TheLastTwoCheckpointsAreKeptNewestFirst) {
  Create(Tasks(2));
  const std::vector<Claim> claims = ClaimUpTo(2);
  const std::string large(3 << 20, 'c');
  for (const std::string& state : {std::string("a"), std::string("b\0", 2), large}) {
    ASSERT_TRUE(store().SaveCheckpoint(claims[0].lease, state, {}).ok());
  }
  ASSERT_TRUE(store().SaveCheckpoint(claims[1].lease, "of the other task", {}).ok());
  ASSERT_TRUE(store().Release(claims[0].lease).ok());
  Claim claim = ClaimOne();
  ASSERT_THAT(claim.checkpoints, SizeIs(kKeptCheckpoints));
  EXPECT_EQ(claim.checkpoints[0].payload, large);
  EXPECT_EQ(claim.checkpoints[0].sequence, 3);
  EXPECT_EQ(claim.checkpoints[0].epoch, 1);
  EXPECT_EQ(claim.checkpoints[1].payload, std::string("b\0", 2));
  EXPECT_EQ(claim.checkpoints[1].sequence, 2);
  ASSERT_TRUE(store().SaveCheckpoint(claim.lease, "d", {}).ok());
  ASSERT_TRUE(store().Release(claim.lease).ok());
  claim = ClaimOne();
  EXPECT_EQ(claim.checkpoints[0].payload, "d");
  EXPECT_EQ(claim.checkpoints[0].sequence, 4);
  EXPECT_EQ(claim.checkpoints[0].epoch, 2);
  EXPECT_EQ(claim.checkpoints[1].payload, large);
}

// ---- events ----

TEST_P(StoreConformance, EventsAreNumberedAndReadFromAnywhere) {
  const std::string id = Create().id;
  const Claim claim = ClaimOne();
  Advance(absl::Seconds(2));
  const std::string payload("\0p", 2);
  ASSERT_TRUE(store().AddEvents(claim.lease, {Progress(payload), Progress("q")}).ok());
  NewEvent note;
  note.payload = "a note";
  ASSERT_TRUE(store().SaveCheckpoint(claim.lease, "state", {note}).ok());
  ASSERT_TRUE(store().AddEvents(claim.lease, {}).ok());
  const std::vector<Event> events = Events(id);
  ASSERT_THAT(events, SizeIs(5));
  EXPECT_EQ(events[1].state, JobState::kRunning);
  EXPECT_EQ(events[2].kind, NewEvent::Kind::kProgress);
  EXPECT_EQ(events[2].payload, payload);
  EXPECT_EQ(events[2].time, now());
  EXPECT_EQ(events[3].payload, "q");
  EXPECT_EQ(events[4].kind, NewEvent::Kind::kNote);
  EXPECT_EQ(events[4].payload, "a note");
  const auto sequences = [&](int64_t from, int64_t limit) {
    std::vector<int64_t> found;
    const auto part = store().Events(id, from, limit);
    EXPECT_TRUE(part.ok());
    for (const Event& event : *part) found.push_back(event.sequence);
    return found;
  };
  EXPECT_THAT(sequences(1, 2), ElementsAre(1, 2));
  EXPECT_THAT(sequences(3, 2), ElementsAre(3, 4));
  EXPECT_THAT(sequences(5, 10), ElementsAre(5));
  EXPECT_THAT(sequences(6, 10), IsEmpty());
  EXPECT_THAT(sequences(-5, 1), ElementsAre(1));
  EXPECT_THAT(sequences(1, 0), IsEmpty());
  ExpectGoodEvents(id);
}

TEST_P(StoreConformance, TheBestObjectiveIsTheLeastOfAll) {
  const std::string id = Create(Tasks(2)).id;
  const std::vector<Claim> claims = ClaimUpTo(2);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  ASSERT_TRUE(store().AddEvents(claims[0].lease, {Progress("", kInfinity)}).ok());
  EXPECT_EQ(Get(id).best_objective, kInfinity);
  ASSERT_TRUE(store().AddEvents(claims[0].lease, {Progress("", 3), Progress("", 2)}).ok());
  ASSERT_TRUE(store().AddEvents(claims[1].lease, {Progress("", 5), Progress("")}).ok());
  ASSERT_TRUE(store().AddEvents(claims[1].lease, {Progress("", std::nan(""))}).ok());
  EXPECT_EQ(Get(id).best_objective, 2);
  ASSERT_TRUE(store().SaveCheckpoint(claims[1].lease, "", {Progress("", 0.1)}).ok());
  EXPECT_EQ(Get(id).best_objective, 0.1);
  std::vector<std::optional<double>> best;
  for (const Event& event : Events(id)) best.push_back(event.best_objective);
  EXPECT_THAT(best, ElementsAre(std::nullopt, std::nullopt, kInfinity, 3, 2, 2, 2, 2, 0.1));
  ExpectGoodEvents(id);
}

TEST_P(StoreConformance, TheNewestSummaryIsKept) {
  const std::string id = Create().id;
  const Claim claim = ClaimOne();
  NewEvent with = Progress("");
  with.summary = std::string("\0one", 4);
  ASSERT_TRUE(store().AddEvents(claim.lease, {with, Progress("")}).ok());
  EXPECT_EQ(Get(id).summary, std::string("\0one", 4));
  with.summary = "two";
  ASSERT_TRUE(store().SaveCheckpoint(claim.lease, "", {with}).ok());
  EXPECT_EQ(Get(id).summary, "two");
  EXPECT_EQ(store().List({}, 1, "")->jobs.at(0).summary, "two");
}

// ---- waiting ----

// Long enough to be told from not waiting at all; nothing waits for it to pass.
constexpr absl::Duration kLong = absl::Hours(1);

TEST_P(StoreConformance, WaitsEndAtOnceWhereThereIsNothingToWaitFor) {
  const std::string id = Create().id;
  store().WaitForEvent(id, 1, now() + kLong);                    // is there
  store().WaitForEvent(std::string(32, '0'), 1, now() + kLong);  // no such job
  store().WaitForEvent(id, 2, now());                            // no time
  store().WaitForEvent(id, 2, now() - kLong);
  store().WaitForWork(now() + kLong);  // a task is queued
  ClaimOne();
  store().WaitForWork(now());
}

TEST_P(StoreConformance, AWaitEndsWithTheEvent) {
  const std::string id = Create().id;
  const Claim claim = ClaimOne();
  int64_t seen = 2;
  std::thread watcher([&] {
    while (seen < 100) {
      store().WaitForEvent(id, seen + 1, now() + kLong);
      const auto events = store().Events(id, seen + 1, 1000);
      ASSERT_TRUE(events.ok());
      for (const Event& event : *events) EXPECT_EQ(event.sequence, ++seen);
    }
  });
  for (int i = 0; i < 98; ++i) {
    ASSERT_TRUE(store().AddEvents(claim.lease, {Progress("")}).ok());
  }
  watcher.join();
}

TEST_P(StoreConformance, AWaitForWorkEndsWithATask) {
  std::atomic<int> done = 0;
  std::thread worker([&] {
    while (done < 20) {
      store().WaitForWork(now() + kLong);
      for (const Claim& claim : ClaimUpTo(1)) {
        Complete(claim.lease);
        ++done;
      }
    }
  });
  for (int i = 0; i < 20; ++i) Create();
  worker.join();
}

TEST_P(StoreConformance, WakeAllEndsAllWaits) {
  const std::string id = Create().id;
  ClaimOne();
  std::atomic<int> returned = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      store().WaitForEvent(id, 1000, now() + kLong);
      ++returned;
    });
    threads.emplace_back([&] {
      store().WaitForWork(now() + kLong);
      ++returned;
    });
  }
  // Those who come late are not woken by what was before.
  while (returned < 4) {
    store().WakeAll();
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
}

// ---- the audit trail, figures, durability ----

TEST_P(StoreConformance, EveryExecutionIsInTheAttempts) {
  const std::string id = Create(Tasks(2)).id;
  const absl::Time start = now();
  ASSERT_TRUE(store().Release(ClaimOne().lease).ok());
  Advance(absl::Seconds(1));
  ASSERT_TRUE(store().ClaimTasks("other", 1, kLease).ok());
  Advance(kLease);
  Reap(1);
  const std::vector<Claim> claims = ClaimUpTo(2);
  Complete(claims[0].lease);
  EXPECT_EQ(store().Attempts(id)->at(3).end, std::nullopt);
  Complete(claims[1].lease, Failed(absl::InternalError("")));
  ASSERT_TRUE(store().Requeue(id).ok());
  const Claim last = ClaimOne();
  ASSERT_TRUE(store().Cancel(id).ok());
  Complete(last.lease, Cancelled());

  const auto attempts = store().Attempts(id);
  ASSERT_TRUE(attempts.ok());
  std::vector<std::string> lines;
  for (const Attempt& attempt : *attempts) {
    EXPECT_EQ(attempt.job, id);
    lines.push_back(
        absl::StrCat(attempt.task, " ", attempt.epoch, " ", attempt.worker, " ", attempt.reason));
  }
  EXPECT_THAT(lines, ElementsAre("0 1 worker released", "0 2 other lease lost", "0 3 worker done",
                                 "1 1 worker failed", "1 2 worker cancelled"));
  EXPECT_EQ((*attempts)[1].start, start + absl::Seconds(1));
  EXPECT_EQ((*attempts)[1].end, start + absl::Seconds(1) + kLease);
}

TEST_P(StoreConformance, StatsCount) {
  const auto by_state = [&](JobState state) {
    return Stats().jobs_by_state[static_cast<int>(state)];
  };
  EXPECT_EQ(Stats().oldest_queued, absl::ZeroDuration());
  const std::string first = Create(Tasks(3, true)).id;
  Advance(absl::Seconds(7));
  const std::string second = Create().id;
  EXPECT_EQ(Stats().tasks_queued, 3);  // one waits
  EXPECT_EQ(Stats().oldest_queued, absl::Seconds(7));
  EXPECT_EQ(by_state(JobState::kQueued), 2);
  const std::vector<Claim> claims = ClaimUpTo(2);
  EXPECT_EQ(Stats().tasks_running, 2);
  EXPECT_EQ(Stats().tasks_queued, 1);
  EXPECT_EQ(Stats().oldest_queued, absl::ZeroDuration());
  EXPECT_EQ(by_state(JobState::kRunning), 1);
  EXPECT_EQ(Stats().oldest_checkpoint, absl::ZeroDuration());
  ASSERT_TRUE(store().SaveCheckpoint(claims[0].lease, "a", {}).ok());
  Advance(absl::Seconds(3));
  ASSERT_TRUE(store().SaveCheckpoint(claims[1].lease, "b", {}).ok());
  Advance(absl::Seconds(2));
  EXPECT_EQ(Stats().oldest_checkpoint, absl::Seconds(5));
  Complete(claims[0].lease);
  EXPECT_EQ(Stats().oldest_checkpoint, absl::Seconds(2));
  Complete(claims[1].lease, Failed(absl::InternalError("")));
  EXPECT_EQ(by_state(JobState::kFailed), 1);
  EXPECT_EQ(by_state(JobState::kRunning), 0);
  EXPECT_EQ(Stats().tasks_running, 0);
  ASSERT_TRUE(store().Cancel(second).ok());
  EXPECT_EQ(by_state(JobState::kCancelled), 1);
  EXPECT_EQ(Stats().tasks_queued, 0);
  ASSERT_TRUE(store().Delete(second).ok());
  EXPECT_EQ(by_state(JobState::kCancelled), 0);
  ASSERT_TRUE(store().Requeue(first).ok());
  EXPECT_EQ(Stats().tasks_queued, 1);
  EXPECT_EQ(by_state(JobState::kQueued), 1);
}

TEST_P(StoreConformance, AllIsThereAfterOpeningAgain) {
  if (!place_->keeps_jobs()) GTEST_SKIP() << "keeps nothing";
  NewJob keyed = Tasks(3, true);
  keyed.idempotency_key = "key";
  keyed.display_name = "name";
  const std::string id = Create(keyed).id;
  const std::string queued = Create().id;
  const Claim claim = ClaimOne();
  ASSERT_TRUE(store().SaveCheckpoint(claim.lease, "state", {Progress("p", 1.5)}).ok());
  const StoreStats before = Stats();
  Reopen();
  const StoreStats after = Stats();
  EXPECT_EQ(after.tasks_queued + after.tasks_running, before.tasks_queued + before.tasks_running);
  EXPECT_THAT(after.jobs_by_state, testing::ElementsAreArray(before.jobs_by_state));
  EXPECT_EQ(store().Create(keyed)->job.id, id);
  EXPECT_EQ(Get(id).display_name, "name");
  EXPECT_EQ(Get(id).best_objective, 1.5);
  EXPECT_EQ(Get(queued).state, JobState::kQueued);
  ExpectGoodEvents(id);
  // A store that knows that nobody else uses it may have taken the lease back.
  if (store().Renew({claim.lease}, kLease)->at(0).held) {
    ASSERT_TRUE(store().Release(claim.lease).ok());
  }
  const Claim again = ClaimOne();
  EXPECT_EQ(again.lease.epoch, claim.lease.epoch + 1);
  EXPECT_EQ(again.checkpoints.at(0).payload, "state");
}

}  // namespace
}  // namespace costate::jobs

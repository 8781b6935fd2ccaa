// The part of StoreConformance that is about tasks, leases and their ends.
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "tests/server/jobs/store_conformance.h"

namespace costate::jobs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// ---- ClaimTasks ----

TEST_P(StoreConformance, AClaimHasAllThatIsNeeded) {
  EXPECT_THAT(ClaimUpTo(1), IsEmpty());
  NewJob job = Tasks(2);
  job.deadline = now() + absl::Hours(1);
  const std::string id = Create(job).id;
  Advance(absl::Seconds(3));
  const Claim claim = ClaimOne();
  EXPECT_EQ(claim.lease.job, id);
  EXPECT_EQ(claim.lease.task, 0);
  EXPECT_EQ(claim.lease.epoch, 1);
  EXPECT_EQ(claim.lease_until, now() + kLease);
  EXPECT_EQ(claim.kind, "fit");
  EXPECT_EQ(claim.spec, "spec");
  EXPECT_EQ(claim.deadline, job.deadline);
  EXPECT_EQ(claim.num_tasks, 2);
  EXPECT_EQ(claim.attempt, 1);
  EXPECT_THAT(claim.checkpoints, IsEmpty());
  const Job running = Get(id);
  EXPECT_EQ(running.state, JobState::kRunning);
  EXPECT_EQ(running.start_time, now());
  EXPECT_EQ(running.attempts, 1);
  Advance(absl::Seconds(1));
  EXPECT_EQ(ClaimOne().lease.task, 1);
  EXPECT_EQ(Get(id).start_time, now() - absl::Seconds(1));
  EXPECT_EQ(Get(id).last_event, 2);  // queued, running
  EXPECT_THAT(ClaimUpTo(1), IsEmpty());
  ExpectGoodEvents(id);
}

TEST_P(StoreConformance, ClaimsAreAtMostAsManyAsAskedFor) {
  Create(Tasks(3));
  Create(Tasks(2));
  EXPECT_THAT(ClaimUpTo(0), IsEmpty());
  EXPECT_THAT(ClaimUpTo(4), SizeIs(4));
  EXPECT_THAT(ClaimUpTo(4), SizeIs(1));
}

TEST_P(StoreConformance, ClaimsGoByPriorityAndMinutesWaited) {
  const auto create = [&](int32_t priority) {
    NewJob job = OneTask();
    job.priority = priority;
    return Create(job).id;
  };
  const std::string low = create(-2);
  const std::string first = create(0);
  const std::string second = create(0);
  Advance(absl::Minutes(1) + absl::Seconds(59));
  const std::string even = create(0);  // less than two minutes after `low`: goes before it
  Advance(absl::Seconds(2));
  const std::string late = create(0);  // more than two minutes after it
  const std::string high = create(100);
  std::vector<std::string> order;
  for (int i = 0; i < 6; ++i) order.push_back(ClaimOne().lease.job);
  EXPECT_THAT(order, ElementsAre(high, first, second, even, low, late));
}

TEST_P(StoreConformance, AReclaimedTaskKeepsItsPlaceInTheQueue) {
  const std::string first = Create().id;
  Create();
  const Claim claim = ClaimOne();
  ASSERT_EQ(claim.lease.job, first);
  ASSERT_TRUE(store().Release(claim.lease).ok());
  EXPECT_EQ(ClaimOne().lease.job, first);
}

TEST_P(StoreConformance, JobsPastTheirDeadlineEndInsteadOfBeingClaimed) {
  NewJob job = Tasks(2);
  job.deadline = now() + absl::Seconds(10);
  const std::string late = Create(job).id;
  const std::string partly = Create(job).id;
  const std::string good = Create().id;
  Advance(absl::Seconds(10));
  const std::vector<Claim> claims = ClaimUpTo(10);
  ASSERT_THAT(claims, SizeIs(1));
  EXPECT_EQ(claims[0].lease.job, good);
  for (const std::string& id : {late, partly}) {
    EXPECT_EQ(Get(id).state, JobState::kFailed);
    EXPECT_TRUE(absl::IsDeadlineExceeded(JobError(Get(id))));
    EXPECT_EQ(Get(id).end_time, now());
    ExpectGoodEvents(id);
  }
}

TEST_P(StoreConformance, TheLastTaskWaitsForAllOthers) {
  const std::string id = Create(Tasks(3, true)).id;
  const std::vector<Claim> claims = ClaimUpTo(10);
  ASSERT_THAT(claims, SizeIs(2));
  Complete(claims[1].lease, Done("b"));
  EXPECT_THAT(ClaimUpTo(10), IsEmpty());
  Complete(claims[0].lease, Done("a"));
  const Claim last = ClaimOne();
  EXPECT_EQ(last.lease.task, 2);
  const auto results = store().GetResults(id);
  ASSERT_TRUE(results.ok());
  ASSERT_THAT(*results, SizeIs(2));
  EXPECT_EQ((*results)[0].bytes, "a");
  EXPECT_EQ((*results)[1].bytes, "b");
  Complete(last.lease, Done("sum"));
  EXPECT_EQ(Get(id).state, JobState::kSucceeded);
  EXPECT_EQ(Get(id).tasks_done, 3);
  ExpectGoodEvents(id);
}

TEST_P(StoreConformance, ALoneLastTaskWaitsForNobody) {
  Create(Tasks(1, true));
  EXPECT_EQ(ClaimOne().lease.task, 0);
}

TEST_P(StoreConformance, EachTaskIsClaimedOnceHoweverManyAsk) {
  for (int i = 0; i < 20; ++i) Create(Tasks(5));
  std::vector<std::vector<Claim>> claims(6);
  std::vector<std::thread> threads;
  for (std::vector<Claim>& mine : claims) {
    threads.emplace_back([&] {
      for (;;) {
        const auto more = store().ClaimTasks("worker", 3, kLease);
        if (!more.ok() || more->empty()) return;
        mine.insert(mine.end(), more->begin(), more->end());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::pair<std::string, int64_t>> tasks;
  int64_t count = 0;
  for (const std::vector<Claim>& mine : claims) {
    for (const Claim& claim : mine) {
      ++count;
      tasks.emplace(claim.lease.job, claim.lease.task);
      EXPECT_EQ(claim.lease.epoch, 1);
    }
  }
  EXPECT_EQ(count, 100);
  EXPECT_THAT(tasks, SizeIs(100));
}

// ---- Renew, fencing ----

TEST_P(StoreConformance, RenewPushesTheLeaseOn) {
  Create(Tasks(2));
  const std::vector<Claim> claims = ClaimUpTo(2);
  Advance(kLease - absl::Seconds(1));
  const auto renewals = store().Renew({claims[1].lease}, kLease);
  ASSERT_TRUE(renewals.ok());
  ASSERT_THAT(*renewals, SizeIs(1));
  EXPECT_TRUE((*renewals)[0].held);
  EXPECT_FALSE((*renewals)[0].cancel);
  EXPECT_EQ((*renewals)[0].lease_until, now() + kLease);
  Advance(absl::Seconds(1));
  Reap(1);  // the other
  const auto after = store().Renew({claims[0].lease, claims[1].lease}, kLease);
  ASSERT_TRUE(after.ok());
  EXPECT_FALSE((*after)[0].held);
  EXPECT_TRUE((*after)[1].held);
  EXPECT_THAT(*store().Renew({}, kLease), IsEmpty());
}

TEST_P(StoreConformance, ALeaseThatWasNotTakenBackYetIsStillHeld) {
  Create();
  const Claim claim = ClaimOne();
  Advance(10 * kLease);
  EXPECT_TRUE(store().Renew({claim.lease}, kLease)->at(0).held);
  Reap(0);
  Advance(10 * kLease);
  Complete(claim.lease);
}

TEST_P(StoreConformance, StaleWritesChangeNothingAndAreCounted) {
  const std::string id = Create(Tasks(2)).id;
  const Claim old = ClaimOne();
  ASSERT_TRUE(store().SaveCheckpoint(old.lease, "good", {}).ok());
  Advance(kLease);
  Reap(1);
  const int64_t stale_before = Stats().stale_writes;
  const auto expect_refused = [&](const Lease& lease) {
    const Job before = Get(id);
    EXPECT_TRUE(absl::IsAborted(store().SaveCheckpoint(lease, "bad", {Progress("bad", -1)})));
    EXPECT_TRUE(absl::IsAborted(store().AddEvents(lease, {Progress("bad", -1)})));
    EXPECT_TRUE(absl::IsAborted(store().Complete(lease, Done("bad"))));
    EXPECT_TRUE(absl::IsAborted(store().Complete(lease, Failed(absl::InternalError("bad")))));
    EXPECT_TRUE(absl::IsAborted(store().Complete(lease, Cancelled())));
    EXPECT_TRUE(absl::IsAborted(store().Release(lease)));
    EXPECT_FALSE(store().Renew({lease}, kLease)->at(0).held);
    const Job after = Get(id);
    EXPECT_EQ(after.last_event, before.last_event);
    EXPECT_EQ(after.best_objective, before.best_objective);
    EXPECT_EQ(after.state, before.state);
    EXPECT_THAT(*store().GetResults(id), IsEmpty());
  };
  expect_refused(old.lease);  // the task is queued
  const Claim current = ClaimOne();
  ASSERT_EQ(current.lease.task, old.lease.task);
  expect_refused(old.lease);  // another runs it
  expect_refused({id, 0, current.lease.epoch + 1});
  expect_refused({id, 1, 0});  // never claimed
  expect_refused({id, 1, 1});
  expect_refused({id, 2, 1});  // no such task
  expect_refused({id, -1, 1});
  expect_refused({std::string(32, '0'), 0, current.lease.epoch});
  EXPECT_EQ(Stats().stale_writes - stale_before, 8 * 6);
  ASSERT_THAT(current.checkpoints, SizeIs(1));
  EXPECT_EQ(current.checkpoints[0].payload, "good");
  Complete(current.lease, Done("right"));
}

// ---- Complete, Release ----

TEST_P(StoreConformance, AJobSucceedsWhenAllTasksAreDone) {
  const std::string id = Create(Tasks(2)).id;
  const std::vector<Claim> claims = ClaimUpTo(2);
  const std::string bytes("\0result\xff", 8);
  TaskEnd end = Done(bytes);
  end.events = {Progress("last", 0.5)};
  Complete(claims[1].lease, end);
  EXPECT_EQ(Get(id).state, JobState::kRunning);
  EXPECT_EQ(Get(id).tasks_done, 1);
  EXPECT_EQ(Get(id).best_objective, 0.5);
  Advance(absl::Seconds(1));
  Complete(claims[0].lease, Done(""));
  const Job job = Get(id);
  EXPECT_EQ(job.state, JobState::kSucceeded);
  EXPECT_EQ(job.end_time, now());
  EXPECT_EQ(job.tasks_done, 2);
  const auto results = store().GetResults(id);
  ASSERT_TRUE(results.ok());
  ASSERT_THAT(*results, SizeIs(2));
  EXPECT_EQ((*results)[0].task, 0);
  EXPECT_EQ((*results)[0].bytes, "");
  EXPECT_EQ((*results)[1].task, 1);
  EXPECT_EQ((*results)[1].epoch, claims[1].lease.epoch);
  EXPECT_EQ((*results)[1].bytes, bytes);
  EXPECT_FALSE(store().Renew({claims[0].lease}, kLease)->at(0).held);
  ExpectGoodEvents(id);
}

TEST_P(StoreConformance, CompleteTwiceIsOnce) {
  const std::string id = Create(Tasks(2)).id;
  const Claim claim = ClaimOne();
  TaskEnd end = Done("first");
  end.events = {Progress("p")};
  Complete(claim.lease, end);
  const Job before = Get(id);
  Complete(claim.lease, end);
  Complete(claim.lease, Done("second"));
  Complete(claim.lease, Failed(absl::InternalError("third")));
  EXPECT_EQ(Get(id).last_event, before.last_event);
  EXPECT_EQ(Get(id).tasks_done, 1);
  EXPECT_EQ(Get(id).state, JobState::kRunning);
  EXPECT_EQ(store().GetResults(id)->at(0).bytes, "first");
  EXPECT_EQ(Stats().stale_writes, 0);
  EXPECT_TRUE(absl::IsAborted(store().Release(claim.lease)));
}

TEST_P(StoreConformance, CompleteTwiceIsOnceWhateverCameBetween) {
  const std::string id = Create().id;
  const Claim claim = ClaimOne();
  Complete(claim.lease, Failed(absl::InternalError("no")));
  Complete(claim.lease, Failed(absl::InternalError("no")));
  ASSERT_TRUE(store().Requeue(id).ok());
  Complete(claim.lease, Failed(absl::InternalError("no")));
  EXPECT_EQ(Get(id).state, JobState::kQueued);
  const Claim second = ClaimOne();
  Complete(claim.lease, Failed(absl::InternalError("no")));
  EXPECT_EQ(Get(id).state, JobState::kRunning);
  Complete(second.lease);
  EXPECT_EQ(Get(id).state, JobState::kSucceeded);
}

TEST_P(StoreConformance, TheFirstFailureEndsTheJobAndVoidsTheOtherLeases) {
  const std::string id = Create(Tasks(4, true)).id;
  const std::vector<Claim> claims = ClaimUpTo(2);
  absl::Status error = absl::InvalidArgumentError("sigma[3]: got 0, expected > 0");
  error.SetPayload("type.example/one", absl::Cord(std::string("\0a", 2)));
  error.SetPayload("type.example/two", absl::Cord(""));
  Complete(claims[1].lease, Failed(error));
  const Job job = Get(id);
  EXPECT_EQ(job.state, JobState::kFailed);
  EXPECT_EQ(job.end_time, now());
  EXPECT_EQ(job.error_code, static_cast<int>(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(job.error_message, "sigma[3]: got 0, expected > 0");
  EXPECT_EQ(JobError(job), error);
  EXPECT_FALSE(store().Renew({claims[0].lease}, kLease)->at(0).held);
  EXPECT_TRUE(absl::IsAborted(store().Complete(claims[0].lease, Done("late"))));
  EXPECT_THAT(ClaimUpTo(10), IsEmpty());
  EXPECT_THAT(*store().GetResults(id), IsEmpty());
  EXPECT_EQ(Stats().tasks_running, 0);
  ExpectGoodEvents(id);
}

TEST_P(StoreConformance, AFailureWithoutAnErrorIsStillAnError) {
  const std::string id = Create().id;
  Complete(ClaimOne().lease, Failed(absl::OkStatus()));
  EXPECT_EQ(Get(id).state, JobState::kFailed);
  EXPECT_FALSE(JobError(Get(id)).ok());
}

TEST_P(StoreConformance, CancelledThoughNobodyAskedForItGoesBackToTheQueue) {
  const std::string id = Create().id;
  const Claim claim = ClaimOne();
  Complete(claim.lease, Cancelled());
  EXPECT_EQ(Get(id).state, JobState::kRunning);
  const Claim again = ClaimOne();
  EXPECT_EQ(again.lease.epoch, 2);
  Complete(claim.lease, Cancelled());  // once more: nothing
  Complete(again.lease);
  EXPECT_EQ(Get(id).state, JobState::kSucceeded);
}

TEST_P(StoreConformance, ReleaseIsNoLoss) {
  const std::string id = Create().id;
  for (int i = 0; i < 2 * kMaxLostLeases; ++i) {
    const Claim claim = ClaimOne();
    EXPECT_EQ(claim.attempt, i + 1);
    EXPECT_EQ(claim.lease.epoch, i + 1);
    ASSERT_TRUE(store().Release(claim.lease).ok());
    EXPECT_TRUE(absl::IsAborted(store().Release(claim.lease)));
  }
  EXPECT_EQ(Get(id).state, JobState::kRunning);
  Complete(ClaimOne().lease);
  EXPECT_EQ(Get(id).state, JobState::kSucceeded);
}

TEST_P(StoreConformance, LimitsOfOneTask) {
  StoreLimits limits;
  limits.max_checkpoint_bytes = 10;
  limits.max_result_bytes = 20;
  Reopen(limits);
  Create();
  const Claim claim = ClaimOne();
  EXPECT_TRUE(store().SaveCheckpoint(claim.lease, std::string(10, 'x'), {}).ok());
  EXPECT_TRUE(absl::IsOutOfRange(store().SaveCheckpoint(claim.lease, std::string(11, 'x'), {})));
  EXPECT_TRUE(absl::IsOutOfRange(store().Complete(claim.lease, Done(std::string(21, 'x')))));
  Complete(claim.lease, Done(std::string(20, 'x')));
}

// ---- Reap ----

TEST_P(StoreConformance, ReapTakesBackLeasesThatRanOut) {
  const std::string id = Create(Tasks(2)).id;
  ClaimOne();
  Advance(absl::Seconds(10));
  ClaimOne();
  Advance(kLease - absl::Seconds(10) - absl::Nanoseconds(1));
  Reap(0);
  Advance(absl::Nanoseconds(1));
  Reap(1);
  Reap(0);
  EXPECT_EQ(Get(id).state, JobState::kRunning);
  const Claim again = ClaimOne();
  EXPECT_EQ(again.lease.task, 0);
  EXPECT_EQ(again.lease.epoch, 2);
  EXPECT_EQ(again.attempt, 2);
  EXPECT_EQ(Stats().reclaims, 1);
}

TEST_P(StoreConformance, ATaskThatLosesItsWorkerTooOftenDiesAndItsJobWithIt) {
  const std::string id = Create(Tasks(2)).id;
  LoseLeases(kMaxLostLeases - 1);
  const std::vector<Claim> claims = ClaimUpTo(2);
  ASSERT_THAT(claims, SizeIs(2));
  Advance(kLease / 2);
  ASSERT_TRUE(store().Renew({claims[1].lease}, kLease)->at(0).held);
  Advance(kLease / 2);
  Reap(1);
  const Job job = Get(id);
  EXPECT_EQ(job.state, JobState::kDead);
  EXPECT_EQ(job.end_time, now());
  EXPECT_FALSE(JobError(job).ok());
  EXPECT_FALSE(store().Renew({claims[1].lease}, kLease)->at(0).held);
  EXPECT_THAT(ClaimUpTo(10), IsEmpty());
  ExpectGoodEvents(id);
}

TEST_P(StoreConformance, ACheckpointInBetweenStartsTheCountAnew) {
  const std::string id = Create().id;
  LoseLeases(kMaxLostLeases - 1);
  ASSERT_TRUE(store().SaveCheckpoint(ClaimOne().lease, "state", {}).ok());
  Advance(kLease);
  Reap(1);
  LoseLeases(kMaxLostLeases - 2);
  EXPECT_EQ(Get(id).state, JobState::kRunning);
  LoseLeases(1);
  EXPECT_EQ(Get(id).state, JobState::kDead);
}

TEST_P(StoreConformance, TasksOfOneJobThatRanOutTogether) {
  const std::string id = Create(Tasks(3)).id;
  for (int i = 0; i < kMaxLostLeases; ++i) {
    EXPECT_THAT(ClaimUpTo(10), SizeIs(3));
    Advance(kLease);
    // The first that dies takes the others with it.
    Reap(i + 1 < kMaxLostLeases ? 3 : 1);
  }
  EXPECT_EQ(Get(id).state, JobState::kDead);
  EXPECT_EQ(Stats().tasks_running, 0);
  EXPECT_EQ(Stats().tasks_queued, 0);
  ExpectGoodEvents(id);
}

TEST_P(StoreConformance, ReapFailsJobsPastTheirDeadlineOfWhichNoTaskRuns) {
  NewJob job = Tasks(2);
  job.deadline = now() + absl::Seconds(60);
  const std::string queued = Create(job).id;
  const std::string lost = Create(job).id;
  const std::string held = Create(job).id;
  std::vector<Claim> claims = ClaimUpTo(6);
  ASSERT_THAT(claims, SizeIs(6));
  ASSERT_TRUE(store().Release(claims[0].lease).ok());
  ASSERT_TRUE(store().Release(claims[1].lease).ok());
  Advance(absl::Seconds(59));
  ASSERT_TRUE(store().Renew({claims[4].lease, claims[5].lease}, kLease).ok());
  Advance(absl::Seconds(1));
  Reap(2);
  EXPECT_EQ(Get(queued).state, JobState::kFailed);
  EXPECT_EQ(Get(lost).state, JobState::kFailed);
  EXPECT_TRUE(absl::IsDeadlineExceeded(JobError(Get(lost))));
  EXPECT_EQ(Get(held).state, JobState::kRunning);  // its worker knows the deadline
  EXPECT_EQ(Stats().tasks_queued, 0);
}

TEST_P(StoreConformance, EndedJobsAreForgottenAfterTheirRetention) {
  NewJob job = OneTask();
  job.retention = absl::Minutes(5);
  const std::string ended = Create(job).id;
  Advance(absl::Hours(1));
  Reap(0);  // not while it waits
  Complete(ClaimOne().lease);
  const std::string kept = Create().id;
  ASSERT_TRUE(store().Cancel(kept).ok());
  Advance(absl::Minutes(5) - absl::Nanoseconds(1));
  Reap(0);
  EXPECT_EQ(Get(ended).state, JobState::kSucceeded);
  Advance(absl::Nanoseconds(1));
  Reap(0);
  EXPECT_TRUE(absl::IsNotFound(store().Get(ended).status()));
  Advance(absl::Hours(24 * 365 * 100));
  Reap(0);
  EXPECT_EQ(Get(kept).state, JobState::kCancelled);
}

TEST_P(StoreConformance, ARequeuedJobIsNotForgotten) {
  NewJob job = OneTask();
  job.retention = absl::Minutes(5);
  const std::string id = Create(job).id;
  ASSERT_TRUE(store().Cancel(id).ok());
  ASSERT_TRUE(store().Requeue(id).ok());
  Advance(absl::Minutes(6));
  Reap(0);
  EXPECT_EQ(Get(id).state, JobState::kQueued);
}

}  // namespace
}  // namespace costate::jobs

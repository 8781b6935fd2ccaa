#include "tests/server/jobs/store_conformance.h"

#include <limits>
#include <set>
#include <thread>

#include "engine/base/field_error.h"

namespace costate::jobs {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::SizeIs;

Job StoreConformance::Create(const NewJob& job) {
  const absl::StatusOr<JobStore::Created> created = store().Create(job);
  EXPECT_TRUE(created.ok()) << created.status();
  return created.ok() ? created->job : Job{};
}

Job StoreConformance::Get(std::string_view id) {
  const absl::StatusOr<Job> job = store().Get(id);
  EXPECT_TRUE(job.ok()) << job.status();
  return job.value_or(Job{});
}

std::vector<Event> StoreConformance::Events(std::string_view id) {
  const absl::StatusOr<std::vector<Event>> events = store().Events(id, 1, 1'000'000);
  EXPECT_TRUE(events.ok()) << events.status();
  return events.value_or(std::vector<Event>{});
}

std::vector<Claim> StoreConformance::ClaimUpTo(int64_t count) {
  absl::StatusOr<std::vector<Claim>> claims = store().ClaimTasks("worker", count, kLease);
  EXPECT_TRUE(claims.ok()) << claims.status();
  return claims.ok() ? *std::move(claims) : std::vector<Claim>{};
}

Claim StoreConformance::ClaimOne() {
  std::vector<Claim> claims = ClaimUpTo(1);
  EXPECT_THAT(claims, SizeIs(1));
  return claims.empty() ? Claim{} : std::move(claims[0]);
}

void StoreConformance::Complete(const Lease& lease, const TaskEnd& end) {
  const absl::Status status = store().Complete(lease, end);
  EXPECT_TRUE(status.ok()) << status;
}

void StoreConformance::Reap(int64_t expected_leases) {
  const absl::StatusOr<int64_t> taken = store().Reap();
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(*taken, expected_leases);
}

StoreStats StoreConformance::Stats() {
  const absl::StatusOr<StoreStats> stats = store().Stats();
  EXPECT_TRUE(stats.ok()) << stats.status();
  return stats.value_or(StoreStats{});
}

void StoreConformance::LoseLeases(int times) {
  for (int i = 0; i < times; ++i) {
    ClaimOne();
    Advance(kLease);
    Reap(1);
  }
}

void StoreConformance::ExpectGoodEvents(std::string_view id) {
  const Job job = Get(id);
  const std::vector<Event> events = Events(id);
  ASSERT_EQ(static_cast<int64_t>(events.size()), job.last_event);
  ASSERT_FALSE(events.empty());
  std::optional<double> best;
  JobState state = JobState::kQueued;
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].sequence, static_cast<int64_t>(i) + 1);
    if (best.has_value()) {
      ASSERT_TRUE(events[i].best_objective.has_value());
      EXPECT_LE(*events[i].best_objective, *best);
    }
    best = events[i].best_objective;
    if (events[i].kind == NewEvent::Kind::kState) state = events[i].state;
  }
  EXPECT_EQ(state, job.state);
  EXPECT_EQ(best, job.best_objective);
}

namespace {

// ---- Create ----

TEST_P(StoreConformance, ANewJobIsQueuedWithWhatItWasGiven) {
  NewJob job = Tasks(3);
  job.display_name = "influenza ü";
  job.priority = -7;
  job.deadline = now() + absl::Hours(2);
  const Job created = Create(job);
  EXPECT_THAT(created.id, MatchesRegex("[0-9a-f]{32}"));
  for (const Job& seen : {created, Get(created.id)}) {
    EXPECT_EQ(seen.id, created.id);
    EXPECT_EQ(seen.kind, "fit");
    EXPECT_EQ(seen.display_name, "influenza ü");
    EXPECT_EQ(seen.state, JobState::kQueued);
    EXPECT_EQ(seen.priority, -7);
    EXPECT_EQ(seen.create_time, now());
    EXPECT_EQ(seen.deadline, now() + absl::Hours(2));
    EXPECT_FALSE(seen.cancel_requested);
    EXPECT_EQ(seen.start_time, std::nullopt);
    EXPECT_EQ(seen.end_time, std::nullopt);
    EXPECT_EQ(seen.num_tasks, 3);
    EXPECT_EQ(seen.tasks_done, 0);
    EXPECT_EQ(seen.attempts, 0);
    EXPECT_EQ(seen.last_event, 1);
    EXPECT_EQ(seen.best_objective, std::nullopt);
    EXPECT_EQ(seen.summary, "");
    EXPECT_TRUE(JobError(seen).ok());
  }
  EXPECT_THAT(Events(created.id),
              ElementsAre(AllOf(Field(&Event::sequence, 1), Field(&Event::time, now()),
                                Field(&Event::kind, NewEvent::Kind::kState),
                                Field(&Event::state, JobState::kQueued))));
}

TEST_P(StoreConformance, WithoutADeadlineThereIsNone) {
  EXPECT_EQ(Get(Create().id).deadline, absl::InfiniteFuture());
}

TEST_P(StoreConformance, SpecsAreKeptToTheByte) {
  const std::string spec("\0a\xff\n\0", 5);
  EXPECT_EQ(*store().GetSpec(Create(OneTask(spec)).id), spec);
  EXPECT_EQ(*store().GetSpec(Create(OneTask("")).id), "");
  const std::string large(3 << 20, 'x');
  EXPECT_EQ(*store().GetSpec(Create(OneTask(large)).id), large);
}

TEST_P(StoreConformance, WithoutAKeyEachCallIsANewJob) {
  std::set<std::string> ids;
  for (int i = 0; i < 10; ++i) ids.insert(Create().id);
  EXPECT_THAT(ids, SizeIs(10));
}

TEST_P(StoreConformance, TheSameKeyWithTheSameHashIsTheSameJobWhateverItsState) {
  NewJob job = OneTask();
  job.idempotency_key = "key";
  job.request_hash = "hash";
  const std::string id = Create(job).id;
  const auto again = store().Create(job);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->existed);
  EXPECT_EQ(again->job.id, id);
  Complete(ClaimOne().lease);
  const auto after = store().Create(job);
  ASSERT_TRUE(after.ok());
  EXPECT_TRUE(after->existed);
  EXPECT_EQ(after->job.id, id);
  EXPECT_EQ(after->job.state, JobState::kSucceeded);
  EXPECT_THAT(ClaimUpTo(10), IsEmpty());
}

TEST_P(StoreConformance, TheSameKeyWithAnotherHashIsRefused) {
  NewJob job = OneTask();
  job.idempotency_key = "key";
  job.request_hash = "hash";
  const std::string id = Create(job).id;
  job.request_hash = "other";
  const absl::Status refused = store().Create(job).status();
  EXPECT_TRUE(absl::IsAlreadyExists(refused));
  EXPECT_EQ(FieldOf(refused), "idempotency_key");
  EXPECT_THAT(store().List({}, 10, "")->jobs, ElementsAre(Field(&Job::id, id)));
}

TEST_P(StoreConformance, AKeyIsFreeAgainOnceItsJobIsForgotten) {
  NewJob job = OneTask();
  job.idempotency_key = "key";
  job.request_hash = "hash";
  const std::string id = Create(job).id;
  ASSERT_TRUE(store().Cancel(id).ok());
  ASSERT_TRUE(store().Delete(id).ok());
  const auto again = store().Create(job);
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->existed);
  EXPECT_NE(again->job.id, id);
}

TEST_P(StoreConformance, FindCreatedAnswersAsCreateWould) {
  EXPECT_TRUE(absl::IsNotFound(store().FindCreated("key", "hash").status()));
  EXPECT_TRUE(absl::IsNotFound(store().FindCreated("", "").status()));
  NewJob job = OneTask();
  job.idempotency_key = "key";
  job.request_hash = "hash";
  const std::string id = Create(job).id;
  Create(OneTask());  // one without a key
  const auto found = store().FindCreated("key", "hash");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->existed);
  EXPECT_EQ(found->job.id, id);
  EXPECT_TRUE(absl::IsAlreadyExists(store().FindCreated("key", "other").status()));
  EXPECT_TRUE(absl::IsNotFound(store().FindCreated("", "").status()));
}

TEST_P(StoreConformance, OneKeyFromManyThreadsIsOneJob) {
  NewJob job = OneTask();
  job.idempotency_key = "key";
  job.request_hash = "hash";
  std::vector<std::string> ids(8);
  std::vector<std::thread> threads;
  for (std::string& id : ids) threads.emplace_back([&] { id = store().Create(job)->job.id; });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(ids, testing::Each(ids[0]));
  EXPECT_THAT(store().List({}, 100, "")->jobs, SizeIs(1));
}

TEST_P(StoreConformance, AJobHasAtLeastOneTask) {
  EXPECT_TRUE(absl::IsInvalidArgument(store().Create(Tasks(0)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(store().Create(Tasks(-1)).status()));
}

TEST_P(StoreConformance, PrioritiesHaveTheirRange) {
  for (const int32_t priority : {-100, 100}) {
    NewJob job = OneTask();
    job.priority = priority;
    EXPECT_EQ(Get(Create(job).id).priority, priority);
    job.priority = priority < 0 ? std::numeric_limits<int32_t>::min() : priority + 1;
    EXPECT_TRUE(absl::IsInvalidArgument(store().Create(job).status()));
  }
}

TEST_P(StoreConformance, LimitsOfOneJob) {
  StoreLimits limits;
  limits.max_spec_bytes = 10;
  limits.max_tasks = 3;
  Reopen(limits);
  EXPECT_TRUE(store().Create(OneTask(std::string(10, 'x'))).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(store().Create(OneTask(std::string(11, 'x'))).status()));
  EXPECT_TRUE(store().Create(Tasks(3)).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(store().Create(Tasks(4)).status()));
}

TEST_P(StoreConformance, SoManyJobsMayBeQueued) {
  StoreLimits limits;
  limits.max_queued_jobs = 2;
  Reopen(limits);
  NewJob keyed = OneTask();
  keyed.idempotency_key = "key";
  const std::string id = Create(keyed).id;
  Create();
  EXPECT_TRUE(absl::IsResourceExhausted(store().Create(OneTask()).status()));
  EXPECT_EQ(store().Create(keyed)->job.id, id);  // is there already
  ClaimOne();                                    // runs, and is not queued any more
  Create();
  EXPECT_TRUE(absl::IsResourceExhausted(store().Create(OneTask()).status()));
}

TEST_P(StoreConformance, SoManyBytesOfJobsThatHaveNotEndedAreKept) {
  StoreLimits limits;
  limits.max_queued_bytes = 100;
  Reopen(limits);
  const std::string first = Create(OneTask(std::string(60, 'x'))).id;
  ClaimOne();
  EXPECT_TRUE(absl::IsResourceExhausted(store().Create(OneTask(std::string(41, 'x'))).status()));
  Create(OneTask(std::string(40, 'x')));
  EXPECT_TRUE(absl::IsResourceExhausted(store().Create(OneTask("x")).status()));
  Advance(kLease);
  Reap(1);
  ASSERT_TRUE(store().Cancel(first).ok());
  Create(OneTask(std::string(60, 'x')));
  EXPECT_TRUE(absl::IsResourceExhausted(store().Requeue(first).status()));
}

TEST_P(StoreConformance, UnknownIdsAreNotFound) {
  Create();
  for (const std::string& id : {std::string(32, '0'), std::string(), std::string("' OR 1 = 1")}) {
    EXPECT_TRUE(absl::IsNotFound(store().Get(id).status()));
    EXPECT_TRUE(absl::IsNotFound(store().GetSpec(id).status()));
    EXPECT_TRUE(absl::IsNotFound(store().GetResults(id).status()));
    EXPECT_TRUE(absl::IsNotFound(store().Events(id, 1, 10).status()));
    EXPECT_TRUE(absl::IsNotFound(store().Cancel(id).status()));
    EXPECT_TRUE(absl::IsNotFound(store().Delete(id)));
    EXPECT_TRUE(absl::IsNotFound(store().Requeue(id).status()));
    EXPECT_TRUE(absl::IsNotFound(store().Attempts(id).status()));
  }
}

// ---- Cancel, Delete, Requeue ----

TEST_P(StoreConformance, AQueuedJobIsCancelledAtOnce) {
  const std::string id = Create(Tasks(3, true)).id;
  Advance(absl::Seconds(5));
  const auto cancelled = store().Cancel(id);
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->state, JobState::kCancelled);
  EXPECT_TRUE(cancelled->cancel_requested);
  EXPECT_EQ(cancelled->end_time, now());
  EXPECT_THAT(ClaimUpTo(10), IsEmpty());
  ExpectGoodEvents(id);
}

TEST_P(StoreConformance, ARunningJobIsCancelledOnceNoTaskRuns) {
  const std::string id = Create(Tasks(4)).id;
  const std::vector<Claim> claims = ClaimUpTo(3);
  const auto cancelled = store().Cancel(id);
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->state, JobState::kRunning);
  EXPECT_TRUE(cancelled->cancel_requested);
  EXPECT_THAT(ClaimUpTo(10), IsEmpty());  // the fourth
  const auto renewals = store().Renew({claims[0].lease, claims[1].lease}, kLease);
  ASSERT_TRUE(renewals.ok());
  for (const JobStore::Renewal& renewal : *renewals) {
    EXPECT_TRUE(renewal.held);
    EXPECT_TRUE(renewal.cancel);
  }
  Complete(claims[0].lease, Cancelled());
  EXPECT_EQ(Get(id).state, JobState::kRunning);
  EXPECT_TRUE(store().Release(claims[1].lease).ok());
  EXPECT_EQ(Get(id).state, JobState::kRunning);
  EXPECT_THAT(ClaimUpTo(10), IsEmpty());
  Advance(kLease);
  Reap(1);  // the third
  EXPECT_EQ(Get(id).state, JobState::kCancelled);
  EXPECT_EQ(Get(id).end_time, now());
  EXPECT_THAT(ClaimUpTo(10), IsEmpty());
  ExpectGoodEvents(id);
}

TEST_P(StoreConformance, CancelIsIdempotentAndLeavesWhatHasEnded) {
  const std::string running = Create().id;
  const Claim claim = ClaimOne();
  ASSERT_TRUE(store().Cancel(running).ok());
  const int64_t events = Get(running).last_event;
  ASSERT_TRUE(store().Cancel(running).ok());
  EXPECT_EQ(Get(running).last_event, events);
  Complete(claim.lease, Cancelled());
  EXPECT_EQ(store().Cancel(running)->state, JobState::kCancelled);

  const std::string done = Create().id;
  Complete(ClaimOne().lease);
  const auto after = store().Cancel(done);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->state, JobState::kSucceeded);
  EXPECT_FALSE(after->cancel_requested);
}

TEST_P(StoreConformance, AllDoneAfterCancelHasSucceeded) {
  const std::string id = Create().id;
  const Claim claim = ClaimOne();
  ASSERT_TRUE(store().Cancel(id).ok());
  Complete(claim.lease, Done("in time"));
  EXPECT_EQ(Get(id).state, JobState::kSucceeded);
  EXPECT_EQ(store().GetResults(id)->at(0).bytes, "in time");
}

TEST_P(StoreConformance, SomeDoneAfterCancelIsCancelled) {
  const std::string id = Create(Tasks(2)).id;
  const Claim claim = ClaimOne();
  ASSERT_TRUE(store().Cancel(id).ok());
  Complete(claim.lease, Done("half"));
  EXPECT_EQ(Get(id).state, JobState::kCancelled);
  EXPECT_EQ(Get(id).tasks_done, 1);
}

TEST_P(StoreConformance, AFailureAfterCancelIsACancellation) {
  const std::string id = Create().id;
  const Claim claim = ClaimOne();
  ASSERT_TRUE(store().Cancel(id).ok());
  Complete(claim.lease, Failed(absl::InternalError("torn away")));
  EXPECT_EQ(Get(id).state, JobState::kCancelled);
  EXPECT_TRUE(JobError(Get(id)).ok());
}

TEST_P(StoreConformance, OnlyAnEndedJobIsDeleted) {
  const std::string id = Create().id;
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Delete(id)));
  const Claim claim = ClaimOne();
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Delete(id)));
  ASSERT_TRUE(store().SaveCheckpoint(claim.lease, "state", {Progress("p")}).ok());
  Complete(claim.lease);
  EXPECT_TRUE(store().Delete(id).ok());
  EXPECT_TRUE(absl::IsNotFound(store().Get(id).status()));
  EXPECT_TRUE(absl::IsNotFound(store().Events(id, 1, 10).status()));
  EXPECT_TRUE(absl::IsNotFound(store().Delete(id)));
  EXPECT_THAT(store().List({}, 10, "")->jobs, IsEmpty());
  EXPECT_TRUE(absl::IsAborted(store().AddEvents(claim.lease, {Progress("late")})));
}

TEST_P(StoreConformance, RequeueBeginsAnewWhatIsNotDone) {
  const std::string id = Create(Tasks(3)).id;
  const std::vector<Claim> first = ClaimUpTo(2);
  Complete(first[0].lease, Done("kept"));
  ASSERT_TRUE(store().SaveCheckpoint(first[1].lease, "half way", {}).ok());
  Complete(first[1].lease, Failed(absl::InvalidArgumentError("no")));
  ASSERT_EQ(Get(id).state, JobState::kFailed);
  Advance(absl::Seconds(10));

  const auto queued = store().Requeue(id);
  ASSERT_TRUE(queued.ok()) << queued.status();
  EXPECT_EQ(queued->state, JobState::kQueued);
  EXPECT_EQ(queued->end_time, std::nullopt);
  EXPECT_EQ(queued->start_time, std::nullopt);
  EXPECT_EQ(queued->tasks_done, 1);
  EXPECT_TRUE(JobError(*queued).ok());
  const std::vector<Claim> second = ClaimUpTo(10);
  ASSERT_THAT(second, SizeIs(2));
  EXPECT_EQ(second[0].lease.task, 1);
  EXPECT_EQ(second[0].lease.epoch, first[1].lease.epoch + 1);
  EXPECT_EQ(second[0].attempt, 2);
  ASSERT_THAT(second[0].checkpoints, SizeIs(1));
  EXPECT_EQ(second[0].checkpoints[0].payload, "half way");
  EXPECT_EQ(second[1].lease.task, 2);
  for (const Claim& claim : second) Complete(claim.lease, Done("new"));
  EXPECT_EQ(Get(id).state, JobState::kSucceeded);
  EXPECT_EQ(store().GetResults(id)->at(0).bytes, "kept");
  EXPECT_EQ(Get(id).attempts, 4);
  ExpectGoodEvents(id);
}

TEST_P(StoreConformance, RequeueOfCancelledAndDeadJobs) {
  const std::string id = Create(Tasks(2, true)).id;
  ASSERT_TRUE(store().Cancel(id).ok());
  ASSERT_TRUE(store().Requeue(id).ok());
  EXPECT_FALSE(Get(id).cancel_requested);
  LoseLeases(kMaxLostLeases);
  ASSERT_EQ(Get(id).state, JobState::kDead);
  ASSERT_TRUE(store().Requeue(id).ok());
  LoseLeases(kMaxLostLeases - 1);  // counted anew
  EXPECT_EQ(Get(id).state, JobState::kRunning);
  Complete(ClaimOne().lease);
  EXPECT_EQ(ClaimOne().lease.task, 1);  // the last one waited again
  ExpectGoodEvents(id);
}

TEST_P(StoreConformance, RequeueOfALastTaskThatFailed) {
  const std::string id = Create(Tasks(2, true)).id;
  Complete(ClaimOne().lease);
  Complete(ClaimOne().lease, Failed(absl::InternalError("summary")));
  ASSERT_TRUE(store().Requeue(id).ok());
  const std::vector<Claim> claims = ClaimUpTo(10);
  ASSERT_THAT(claims, SizeIs(1));
  EXPECT_EQ(claims[0].lease.task, 1);
  Complete(claims[0].lease);
  EXPECT_EQ(Get(id).state, JobState::kSucceeded);
}

TEST_P(StoreConformance, OnlyFailedCancelledAndDeadJobsAreRequeued) {
  const std::string id = Create().id;
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Requeue(id).status()));
  const Claim claim = ClaimOne();
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Requeue(id).status()));
  Complete(claim.lease);
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Requeue(id).status()));

  NewJob late = OneTask();
  late.deadline = now() + absl::Seconds(1);
  const std::string late_id = Create(late).id;
  Advance(absl::Seconds(1));
  EXPECT_THAT(ClaimUpTo(1), IsEmpty());
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Requeue(late_id).status()));
}

}  // namespace
}  // namespace costate::jobs

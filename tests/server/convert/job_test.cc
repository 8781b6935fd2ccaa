#include "server/convert/job.h"

#include <string>

#include "engine/base/field_error.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

TEST(JobState, GoesThereAndBack) {
  for (int i = v1::Job::State_MIN + 1; i <= v1::Job::State_MAX; ++i) {
    const auto state = static_cast<v1::Job::State>(i);
    EXPECT_EQ(JobStateToProto(JobStateFromProto(state)), state);
  }
}

jobs::Job SomeJob() {
  jobs::Job job;
  job.id = "0123456789abcdef0123456789abcdef";
  job.kind = "fit";
  job.display_name = "hares";
  job.state = jobs::JobState::kRunning;
  job.priority = 3;
  job.cancel_requested = true;
  job.create_time = absl::FromUnixSeconds(100);
  job.start_time = absl::FromUnixSeconds(101);
  job.num_tasks = 5;
  job.tasks_done = 2;
  job.attempts = 4;
  job.last_event = 17;
  job.best_objective = 1.5;
  job.summary = FromText<v1::FitSummary>("starts: 64 starts_done: 9").SerializeAsString();
  return job;
}

TEST(JobToProto, FillsEveryFieldButSpecAndResult) {
  v1::Job proto;
  JobToProto(SomeJob(), &proto);
  EXPECT_THAT(proto, EqualsProto(FromText<v1::Job>(R"pb(
                name: "jobs/0123456789abcdef0123456789abcdef"
                state: STATE_RUNNING
                kind: "fit"
                display_name: "hares"
                priority: 3
                cancel_requested: true
                create_time { seconds: 100 }
                start_time { seconds: 101 }
                tasks: 5
                tasks_done: 2
                attempts: 4
                last_event: 17
                best_objective: 1.5
                fit { starts: 64 starts_done: 9 })pb")));
}

TEST(JobEventToProto, EachKind) {
  jobs::Event event;
  event.sequence = 7;
  event.time = absl::FromUnixSeconds(100);
  event.kind = jobs::NewEvent::Kind::kState;
  event.state = jobs::JobState::kDead;
  v1::JobEvent state, progress, note;
  JobEventToProto(event, &state);
  EXPECT_THAT(
      state,
      EqualsProto(FromText<v1::JobEvent>("sequence: 7 time { seconds: 100 } state: STATE_DEAD")));
  event.kind = jobs::NewEvent::Kind::kNote;
  event.payload = "a sentence";
  JobEventToProto(event, &note);
  EXPECT_THAT(note, Partially("sequence: 7 note: 'a sentence'"));
  // The best of the whole job, where the start says its own.
  event.kind = jobs::NewEvent::Kind::kProgress;
  event.payload =
      FromText<v1::FitProgress>("start: 3 objective: 9 best_objective: 9").SerializeAsString();
  event.best_objective = 2;
  JobEventToProto(event, &progress);
  EXPECT_THAT(progress, Partially("fit_progress { start: 3 objective: 9 best_objective: 2 }"));
}

TEST(JobNames, GoThereAndBack) {
  const std::string id = "0123456789abcdef0123456789abcdef";
  EXPECT_EQ(JobNameOf(id), "jobs/" + id);
  EXPECT_EQ(JobIdOf(JobNameOf(id)), id);
}

TEST(JobKindOf, IsTheFieldThatIsSet) {
  EXPECT_EQ(JobKindOf(FromText<v1::JobSpec>("stability_region { }")), "stability_region");
  EXPECT_EQ(JobKindOf(v1::JobSpec()), "");
}

TEST(NewJobFromProto, TakesTheServersRetentionWhereThereIsNone) {
  const jobs::NewJob plain = NewJobFromProto(v1::JobSpec(), absl::Hours(5));
  EXPECT_EQ(plain.retention, absl::Hours(5));
  EXPECT_EQ(plain.deadline, absl::InfiniteFuture());
  const jobs::NewJob job = NewJobFromProto(
      FromText<v1::JobSpec>("priority: -4 display_name: 'x' retention { seconds: 60 } "
                            "deadline { seconds: 100 nanos: 500000000 }"),
      absl::Hours(5));
  EXPECT_EQ(job.priority, -4);
  EXPECT_EQ(job.display_name, "x");
  EXPECT_EQ(job.retention, absl::Minutes(1));
  EXPECT_EQ(job.deadline, absl::FromUnixSeconds(100) + absl::Milliseconds(500));
}

TEST(ListFilterFromProto, TakesEveryField) {
  const jobs::ListFilter filter = ListFilterFromProto(FromText<v1::ListJobsRequest>(
      "states: STATE_DEAD kinds: 'fit' display_name_contains: 'hare'"));
  EXPECT_THAT(filter.states, testing::ElementsAre(jobs::JobState::kDead));
  EXPECT_THAT(filter.kinds, testing::ElementsAre("fit"));
  EXPECT_EQ(filter.display_name_contains, "hare");
}

TEST(StableBytes, AreThoseOfTheMessage) {
  const auto spec = FromText<v1::JobSpec>("solve { } priority: 5");
  v1::JobSpec again;
  ASSERT_TRUE(again.ParseFromString(StableBytes(spec)));
  EXPECT_THAT(again, EqualsProto(spec));
  EXPECT_EQ(StableBytes(again), StableBytes(spec));
}

}  // namespace
}  // namespace costate

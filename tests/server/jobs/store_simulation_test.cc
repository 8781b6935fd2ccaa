// Ten thousand short histories: clients, workers that die, stall and come back, and a clock that
// jumps, in an order that the seed decides. Every answer of the store is foretold by StoreModel;
// at the end of each history all work gets done.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/jobs/sqlite_place.h"
#include "tests/server/jobs/store_model.h"

namespace costate::jobs {
namespace {

constexpr int kSeeds = 10'000;
constexpr int kThreads = 4;  // each with a store of its own
constexpr int kSteps = 30;
constexpr absl::Duration kLease = absl::Seconds(30);

class History {
 public:
  History(JobStore& store, SettableClock& clock, int seed)
      : store_(store), clock_(clock), random_(seed) {}

  void Run() {
    for (int step = 0; step < kSteps && !testing::Test::HasFailure(); ++step) Step();
    Settle();
    for (const auto& [id, job] : model_.jobs) Compare(id, job);
    CompareStats();
    while (!model_.jobs.empty() && !testing::Test::HasFailure()) {
      const std::string id = model_.jobs.begin()->first;
      EXPECT_EQ(store_.Delete(id).code(), model_.Delete(id));
    }
  }

 private:
  int64_t Pick(int64_t count) { return static_cast<int64_t>(random_() % count); }
  bool Chance(int64_t one_in) { return Pick(one_in) == 0; }

  void Advance(absl::Duration by) {
    clock_.Advance(by);
    model_.now = clock_.Now();
  }

  void Step() {
    model_.now = clock_.Now();
    switch (Pick(12)) {
      case 0:
      case 1:
        return Create();
      case 2:
      case 3:
        return Claim(1 + Pick(3));
      case 4:
        return Save();
      case 5:
      case 6:
        return Complete();
      case 7:
        return Chance(2) ? Release() : Renew();
      case 8:
      case 9:
        // Clocks of machines are set back now and then.
        Advance(absl::Seconds(Chance(8) ? Pick(200) - 100 : Pick(50)));
        return Reap();
      case 10:
        return Chance(3) ? Delete() : Cancel();
      default:
        return Requeue();
    }
  }

  void Create() {
    NewJob job = Tasks(1 + Pick(3), Chance(2));
    job.priority = static_cast<int32_t>(Pick(5)) - 2;
    if (Chance(4)) job.deadline = clock_.Now() + absl::Seconds(Pick(200));
    const auto created = store_.Create(job);
    ASSERT_TRUE(created.ok()) << created.status();
    model_.Create(created->job.id, job);
    ids_.push_back(created->job.id);
  }

  void Claim(int64_t count) {
    const std::vector<Lease> expected = model_.Claim(count, kLease);
    const auto claims = store_.ClaimTasks("worker", count, kLease);
    ASSERT_TRUE(claims.ok()) << claims.status();
    ASSERT_EQ(claims->size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      const jobs::Claim& claim = (*claims)[i];
      ASSERT_EQ(claim.lease.job, expected[i].job);
      ASSERT_EQ(claim.lease.task, expected[i].task);
      ASSERT_EQ(claim.lease.epoch, expected[i].epoch);
      const auto& task = model_.jobs[claim.lease.job].tasks[claim.lease.task];
      ASSERT_EQ(claim.checkpoints.size(), task.checkpoints.size());
      for (size_t c = 0; c < claim.checkpoints.size(); ++c) {
        ASSERT_EQ(claim.checkpoints[c].payload, *(task.checkpoints.rbegin() + c));
      }
      leases_.push_back(claim.lease);
    }
  }

  // One that a worker had at any time: it may have died or stalled since.
  std::optional<Lease> AnyLease() {
    if (leases_.empty()) return std::nullopt;
    // Rather a new one.
    const int64_t back = std::min(Pick(leases_.size()), Pick(leases_.size()));
    return leases_[leases_.size() - 1 - back];
  }

  void Save() {
    const std::optional<Lease> lease = AnyLease();
    if (!lease.has_value()) return;
    const std::string state = absl::StrCat("state ", ++saves_);
    const double best = static_cast<double>(Pick(100));
    const absl::Status status = store_.SaveCheckpoint(*lease, state, {Progress("p", best)});
    ASSERT_EQ(status.code(), model_.Save(*lease, state, best)) << status;
  }

  void Complete() {
    const std::optional<Lease> lease = AnyLease();
    if (!lease.has_value()) return;
    TaskEnd end = Done(absl::StrCat("result ", ++saves_));
    if (Chance(6)) end = Failed(absl::InternalError("no"));
    if (Chance(6)) end = Cancelled();
    const absl::Status status = store_.Complete(*lease, end);
    ASSERT_EQ(status.code(), model_.Complete(*lease, end)) << status;
  }

  void Release() {
    const std::optional<Lease> lease = AnyLease();
    if (!lease.has_value()) return;
    const absl::Status status = store_.Release(*lease);
    ASSERT_EQ(status.code(), model_.Release(*lease)) << status;
  }

  void Renew() {
    const std::optional<Lease> lease = AnyLease();
    if (!lease.has_value()) return;
    const auto renewals = store_.Renew({*lease}, kLease);
    ASSERT_TRUE(renewals.ok()) << renewals.status();
    const JobStore::Renewal expected = model_.Renew(*lease, kLease);
    ASSERT_EQ(renewals->at(0).held, expected.held);
    ASSERT_EQ(renewals->at(0).cancel, expected.cancel);
  }

  void Reap() {
    const auto taken = store_.Reap();
    ASSERT_TRUE(taken.ok()) << taken.status();
    ASSERT_EQ(*taken, model_.Reap());
  }

  void Cancel() {
    if (ids_.empty()) return;
    const std::string& id = ids_[Pick(ids_.size())];
    ASSERT_EQ(store_.Cancel(id).status().code(), model_.Cancel(id));
  }

  void Requeue() {
    if (ids_.empty()) return;
    const std::string& id = ids_[Pick(ids_.size())];
    ASSERT_EQ(store_.Requeue(id).status().code(), model_.Requeue(id));
  }

  void Delete() {
    if (ids_.empty()) return;
    const std::string& id = ids_[Pick(ids_.size())];
    ASSERT_EQ(store_.Delete(id).code(), model_.Delete(id));
  }

  // Liveness: one good worker, and everything ends.
  void Settle() {
    for (int round = 0; round < 20 && !testing::Test::HasFailure(); ++round) {
      Advance(kLease);
      Reap();
      const size_t before = leases_.size();
      Claim(100);
      for (size_t i = before; i < leases_.size(); ++i) {
        const TaskEnd end = Done("last");
        ASSERT_EQ(store_.Complete(leases_[i], end).code(), model_.Complete(leases_[i], end));
      }
      if (std::all_of(model_.jobs.begin(), model_.jobs.end(),
                      [](const auto& job) { return Ended(job.second.state); })) {
        return;
      }
    }
    ADD_FAILURE() << "some work is never done";
  }

  void Compare(const std::string& id, const StoreModel::Job& expected) {
    const auto job = store_.Get(id);
    ASSERT_TRUE(job.ok()) << job.status();
    EXPECT_EQ(job->state, expected.state);
    EXPECT_EQ(job->cancel_requested, expected.cancel);
    EXPECT_EQ(job->tasks_done, StoreModel::Count(expected, StoreModel::TaskState::kDone));
    EXPECT_EQ(job->best_objective, expected.best);
    EXPECT_EQ(job->last_event, expected.events);
    CompareResults(id, expected);
    CompareAttempts(id, expected);
    CompareEvents(id, expected);
  }

  void CompareResults(const std::string& id, const StoreModel::Job& expected) {
    const auto results = store_.GetResults(id);
    ASSERT_TRUE(results.ok());
    size_t next = 0;
    for (size_t i = 0; i < expected.tasks.size(); ++i) {
      if (expected.tasks[i].state != StoreModel::TaskState::kDone) continue;
      ASSERT_LT(next, results->size());
      const TaskResult& result = (*results)[next++];
      EXPECT_EQ(result.task, static_cast<int64_t>(i));
      EXPECT_EQ(result.bytes, expected.tasks[i].result);
      EXPECT_EQ(result.epoch, expected.tasks[i].completed_epoch);
    }
    EXPECT_EQ(results->size(), next);
  }

  void CompareAttempts(const std::string& id, const StoreModel::Job& expected) {
    const auto attempts = store_.Attempts(id);
    ASSERT_TRUE(attempts.ok());
    std::vector<std::vector<std::string>> reasons(expected.tasks.size());
    for (const Attempt& attempt : *attempts) {
      std::vector<std::string>& of_task = reasons.at(attempt.task);
      of_task.push_back(attempt.reason);
      EXPECT_EQ(attempt.epoch, static_cast<int64_t>(of_task.size()));
      EXPECT_EQ(attempt.end.has_value(), !attempt.reason.empty());
    }
    for (size_t i = 0; i < reasons.size(); ++i) EXPECT_EQ(reasons[i], expected.tasks[i].reasons);
  }

  void CompareEvents(const std::string& id, const StoreModel::Job& expected) {
    const auto events = store_.Events(id, 1, 1'000'000);
    ASSERT_TRUE(events.ok());
    std::vector<JobState> states;
    std::optional<double> best;
    int64_t sequence = 0;
    for (const Event& event : *events) {
      EXPECT_EQ(event.sequence, ++sequence);
      if (event.kind == NewEvent::Kind::kState) states.push_back(event.state);
      if (best.has_value()) {
        ASSERT_TRUE(event.best_objective.has_value());
        EXPECT_LE(*event.best_objective, *best);
      }
      best = event.best_objective;
    }
    EXPECT_EQ(states, expected.states);
  }

  void CompareStats() {
    const auto stats = store_.Stats();
    ASSERT_TRUE(stats.ok());
    EXPECT_EQ(stats->tasks_queued, 0);
    EXPECT_EQ(stats->tasks_running, 0);
    int64_t by_state[6] = {};
    for (const auto& [id, job] : model_.jobs) ++by_state[static_cast<int>(job.state)];
    EXPECT_THAT(stats->jobs_by_state, testing::ElementsAreArray(by_state));
  }

  JobStore& store_;
  SettableClock& clock_;
  std::mt19937_64 random_;
  StoreModel model_;
  std::vector<std::string> ids_;  // of all jobs there ever were
  std::vector<Lease> leases_;     // all there ever were
  int64_t saves_ = 0;
};

TEST(StoreSimulation, EveryAnswerIsForetold) {
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([thread] {
      SettableClock clock;
      SqlitePlace place(/*in_file=*/false);
      const auto store = place.Open({}, [&] { return clock.Now(); });
      ASSERT_NE(store, nullptr);
      for (int seed = thread; seed < kSeeds && !testing::Test::HasFailure(); seed += kThreads) {
        SCOPED_TRACE(absl::StrCat("seed ", seed));
        History(*store, clock, seed).Run();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace costate::jobs

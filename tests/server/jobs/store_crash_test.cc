// Kill -9 at any moment: what was acknowledged is there, and nothing has happened twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/jobs/sqlite_place.h"

namespace costate::jobs {
namespace {

constexpr int kRounds = 50;

// The process whose acknowledgements we read.
class Child {
 public:
  Child(const std::string& directory, int seed) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const std::string seed_text = std::to_string(seed);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      close(ends[0]);
      close(ends[1]);
      execl(STORE_CRASH_PATH, STORE_CRASH_PATH, directory.c_str(), seed_text.c_str(), nullptr);
      _exit(127);
    }
    close(ends[1]);
    read_end_ = ends[0];
  }

  // Reads at least so many lines, then kills it and reads the rest. The last line may be torn: it
  // is left out.
  std::vector<std::string> KillAfter(size_t lines) {
    std::string text;
    size_t seen = 0;
    bool killed = false;
    for (;;) {
      char buffer[4096];
      const ssize_t size = read(read_end_, buffer, sizeof buffer);
      if (size <= 0) break;
      text.append(buffer, static_cast<size_t>(size));
      seen += std::count(buffer, buffer + size, '\n');
      if (seen >= lines && !killed) {
        kill(pid_, SIGKILL);
        killed = true;
      }
    }
    close(read_end_);
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "it ended by itself";
    std::vector<std::string> found;
    std::istringstream stream(text.substr(0, text.rfind('\n') + 1));
    for (std::string line; std::getline(stream, line);) found.push_back(line);
    return found;
  }

 private:
  pid_t pid_ = -1;
  int read_end_ = -1;
};

using Task = std::pair<std::string, int64_t>;

// What was acknowledged, kept outside of the store.
struct Ledger {
  std::map<std::string, int64_t> created;  // job -> tasks
  std::set<std::string> cancelled;
  std::map<Task, int64_t> epoch;  // newest claim
  std::map<Task, int64_t> saved;  // steps
  std::map<Task, int64_t> done;   // epoch

  void Read(const std::string& line) {
    std::istringstream words(line);
    std::string what;
    Task task;
    int64_t number = 0;
    words >> what >> task.first;
    if (what == "created") {
      words >> created[task.first];
    } else if (what == "cancelled") {
      cancelled.insert(task.first);
    } else if (what == "claimed") {
      int64_t steps = 0;
      words >> task.second >> number >> steps;
      EXPECT_GT(number, epoch[task]) << line;
      epoch[task] = number;
      EXPECT_GE(steps, saved[task]) << line;
    } else if (what == "saved") {
      words >> task.second >> number;
      saved[task] = std::max(saved[task], number);
    } else if (what == "done") {
      words >> task.second >> number;
      EXPECT_EQ(done.count(task), 0u) << line;
      done[task] = number;
    } else {
      ADD_FAILURE() << line;
    }
    EXPECT_FALSE(words.fail()) << line;
  }
};

std::unique_ptr<JobStore> Open(const std::string& directory) {
  SqliteOptions options;
  options.directory = directory;
  options.reserve_bytes = 1 << 20;
  auto store = OpenSqliteStore(options);  // looks at its integrity
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

void ExpectGoodJob(JobStore& store, const Ledger& ledger, const std::string& id) {
  const auto job = store.Get(id);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->num_tasks, ledger.created.at(id));
  if (ledger.cancelled.count(id) != 0) {
    EXPECT_TRUE(job->cancel_requested || Ended(job->state));
  }
  std::set<int64_t> tasks;
  const auto results = store.GetResults(id);
  ASSERT_TRUE(results.ok());
  for (const TaskResult& result : *results) {
    EXPECT_TRUE(tasks.insert(result.task).second);
    EXPECT_EQ(result.bytes, absl::StrCat(id, result.task));
    const auto acknowledged = ledger.done.find({id, result.task});
    if (acknowledged != ledger.done.end()) {
      EXPECT_EQ(result.epoch, acknowledged->second);
    }
  }
  EXPECT_EQ(static_cast<int64_t>(tasks.size()), job->tasks_done);
  const auto events = store.Events(id, 1, 1'000'000);
  ASSERT_TRUE(events.ok());
  EXPECT_EQ(static_cast<int64_t>(events->size()), job->last_event);
  for (size_t i = 0; i < events->size(); ++i) {
    EXPECT_EQ((*events)[i].sequence, static_cast<int64_t>(i) + 1);
    if (i > 0 && (*events)[i - 1].best_objective.has_value()) {
      EXPECT_LE(*(*events)[i].best_objective, *(*events)[i - 1].best_objective);
    }
  }
  std::map<int64_t, int64_t> epochs;
  const auto attempts = store.Attempts(id);
  ASSERT_TRUE(attempts.ok());
  EXPECT_EQ(static_cast<int64_t>(attempts->size()), job->attempts);
  for (const Attempt& attempt : *attempts) {
    EXPECT_EQ(attempt.epoch, epochs[attempt.task] + 1);
    epochs[attempt.task] = attempt.epoch;
  }
}

void ExpectAllAcknowledged(JobStore& store, const Ledger& ledger) {
  for (const auto& [id, tasks] : ledger.created) ExpectGoodJob(store, ledger, id);
  for (const auto& [task, epoch] : ledger.done) {
    const auto results = store.GetResults(task.first);
    ASSERT_TRUE(results.ok());
    EXPECT_EQ(std::count_if(results->begin(), results->end(),
                            [&, number = task.second](const TaskResult& result) {
                              return result.task == number;
                            }),
              1);
  }
}

// What a worker that lives does with all that is left.
void Finish(JobStore& store) {
  for (;;) {
    ASSERT_TRUE(store.Reap().ok());
    const auto dead = store.List({{JobState::kDead}, {}, ""}, 1000, "");
    ASSERT_TRUE(dead.ok());
    for (const Job& job : dead->jobs) ASSERT_TRUE(store.Requeue(job.id).ok());
    const auto claims = store.ClaimTasks("last", 100, absl::Hours(1));
    ASSERT_TRUE(claims.ok());
    for (const Claim& claim : *claims) {
      const Lease& lease = claim.lease;
      ASSERT_TRUE(store.Complete(lease, Done(absl::StrCat(lease.job, lease.task))).ok());
    }
    const StoreStats stats = *store.Stats();
    if (stats.tasks_queued + stats.tasks_running == 0) return;
    // Leases of the dead run out within 100 ms.
    if (claims->empty()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

TEST(StoreCrash, FiftyKillsLoseNothingAndDoNothingTwice) {
  const TemporaryDirectory place;
  Ledger ledger;
  std::mt19937 random(20261121);
  for (int round = 0; round < kRounds && !testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE(round);
    Child child(place.path(), round);
    for (const std::string& line : child.KillAfter(1 + random() % 120)) ledger.Read(line);
    const auto store = Open(place.path());
    ASSERT_NE(store, nullptr);
    // All of them, each fifth time.
    if (round % 5 == 4) ExpectAllAcknowledged(*store, ledger);
  }
  const auto store = Open(place.path());
  ASSERT_NE(store, nullptr);
  Finish(*store);
  ExpectAllAcknowledged(*store, ledger);
  int64_t succeeded = 0;
  for (const auto& [id, tasks] : ledger.created) {
    const Job job = *store->Get(id);
    EXPECT_TRUE(Ended(job.state));
    succeeded += job.state == JobState::kSucceeded;
    // A cancel that was not acknowledged may have come through.
    if (!job.cancel_requested) {
      EXPECT_EQ(job.state, JobState::kSucceeded);
      EXPECT_EQ(job.tasks_done, tasks);
    }
  }
  // It was about something.
  EXPECT_GT(ledger.created.size(), 200u);
  EXPECT_GT(ledger.done.size(), 50u);
  EXPECT_GT(succeeded, 100);
}

}  // namespace
}  // namespace costate::jobs

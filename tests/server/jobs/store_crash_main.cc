// Works on a store until it is killed, and says on standard output what was acknowledged:
//
//   created <job> <tasks>             claimed <job> <task> <epoch> <steps restored>
//   saved <job> <task> <steps>        done <job> <task> <epoch>
//   cancelled <job>
//
// Called with the directory of the store and a seed.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/jobs/checkpoint.h"
#include "server/jobs/sqlite_store.h"
#include "tests/server/jobs/job_values.h"

namespace costate::jobs {
namespace {

constexpr absl::Duration kLease = absl::Milliseconds(100);

// One write, so that lines of several threads do not mix.
void Say(const std::string& line) {
  const std::string text = line + "\n";
  if (write(STDOUT_FILENO, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    std::exit(1);
  }
}

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(value);
}

void Produce(JobStore& store, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (;;) {
    // No faster than the workers, so that all kinds of calls are met by the kill.
    while (Must(store.Stats()).tasks_queued > 8) absl::SleepFor(absl::Milliseconds(1));
    NewJob job = Tasks(1 + static_cast<int64_t>(random() % 4), random() % 2 == 0);
    job.spec = std::string(random() % 20'000, 's');
    const Job created = Must(store.Create(job)).job;
    Say(absl::StrCat("created ", created.id, " ", created.num_tasks));
    if (random() % 8 == 0) {
      Must(store.Cancel(created.id));
      Say(absl::StrCat("cancelled ", created.id));
    }
  }
}

int64_t Restored(const Claim& claim) {
  for (const Checkpoint& checkpoint : claim.checkpoints) {
    const absl::StatusOr<std::string> state = OpenCheckpoint(checkpoint.payload);
    if (state.ok()) return static_cast<int64_t>(state->size());
  }
  return 0;
}

// A task takes three steps; its state is as many bytes.
void CarryOut(JobStore& store, const Claim& claim) {
  const Lease& lease = claim.lease;
  int64_t steps = Restored(claim);
  Say(absl::StrCat("claimed ", lease.job, " ", lease.task, " ", lease.epoch, " ", steps));
  while (++steps <= 3) {
    const std::string state(static_cast<size_t>(steps), 'c');
    const absl::Status saved = store.SaveCheckpoint(
        lease, SealCheckpoint(state), {Progress("p", 1.0 / static_cast<double>(steps))});
    if (absl::IsAborted(saved)) return;
    if (!saved.ok()) Must<int>(saved);
    Say(absl::StrCat("saved ", lease.job, " ", lease.task, " ", steps));
  }
  const absl::Status done = store.Complete(lease, Done(absl::StrCat(lease.job, lease.task)));
  if (done.ok()) Say(absl::StrCat("done ", lease.job, " ", lease.task, " ", lease.epoch));
}

void Work(JobStore& store) {
  for (;;) {
    Must(store.Reap());
    for (const Claim& claim : Must(store.ClaimTasks("worker", 2, kLease))) CarryOut(store, claim);
    store.WaitForWork(absl::Now() + absl::Milliseconds(5));
  }
}

int Main(int argc, char** argv) {
  if (argc != 3) return 2;
  SqliteOptions options;
  options.directory = argv[1];
  options.reserve_bytes = 1 << 20;
  const uint64_t seed = std::strtoull(argv[2], nullptr, 10);
  const std::unique_ptr<JobStore> store = Must(OpenSqliteStore(options));
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 2; ++i) threads.emplace_back([&, i] { Produce(*store, 10 * seed + i); });
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { Work(*store); });
  for (std::thread& thread : threads) thread.join();
  return 0;
}

}  // namespace
}  // namespace costate::jobs

int main(int argc, char** argv) { return costate::jobs::Main(argc, argv); }

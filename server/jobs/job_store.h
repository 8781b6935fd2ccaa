// Where jobs live: the contract that every store keeps, whatever it is made of.
//
// A *job* is a request that was accepted, as bytes the store does not read. It is carried out as
// *tasks* 0 .. num_tasks - 1. Execution is at least once, the effect exactly once:
//
//   claim     queued -> running, epoch + 1, a lease until now + lease; one transaction.
//   renew     pushes the lease on; the answer says whether it is still held and whether the job was
//             cancelled.
//   write     (checkpoint, events, completion, release) is conditional on (job, task, epoch,
//             running). A stale write changes nothing, is counted, and is ABORTED.
//   complete  result, task state, counts of the job, its state and its event: one transaction.
//   reap      running with an expired lease -> queued; dead after kMaxLostLeases in a row without a
//             checkpoint in between, and the job with it.
//
// The last task of a job may wait until all others are done (a summary). A job runs from its first
// claim to its end. It succeeds when all its tasks are done; fails with the first that failed, the
// others being cancelled and their leases void; dies with the first task that died, likewise.
// After Cancel nothing of it is claimed, and it is cancelled as soon as no task of it runs; only
// if all tasks are done nevertheless has it succeeded. Queued tasks of an ended job are never
// claimed.
//
// Time is that of the store, one instant for each call that changes something.
#ifndef COSTATE_SERVER_JOBS_JOB_STORE_H_
#define COSTATE_SERVER_JOBS_JOB_STORE_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace costate::jobs {

inline constexpr int kMaxLostLeases = 3;
inline constexpr int kKeptCheckpoints = 2;  // of a task

enum class JobState { kQueued, kRunning, kSucceeded, kFailed, kCancelled, kDead };
inline bool Ended(JobState state) {
  return state != JobState::kQueued && state != JobState::kRunning;
}

struct NewJob {
  std::string idempotency_key;  // empty: none
  std::string request_hash;     // of the body that came with the key
  std::string kind;             // "fit"
  std::string display_name;
  std::string spec;      // bytes
  int32_t priority = 0;  // -100 to 100; tasks are claimed by priority + minutes waited
  absl::Time deadline = absl::InfiniteFuture();
  // Of the job after its end: Reap forgets it then. Infinite: never.
  absl::Duration retention = absl::InfiniteDuration();
  int64_t num_tasks = 1;  // >= 1
  bool last_task_waits = false;
};

// Without spec, results and events.
struct Job {
  std::string id;  // 32 hex digits, unguessable
  std::string kind;
  std::string display_name;
  JobState state = JobState::kQueued;
  int32_t priority = 0;
  bool cancel_requested = false;
  absl::Time create_time, deadline;
  std::optional<absl::Time> start_time, end_time;
  int64_t num_tasks = 0;
  int64_t tasks_done = 0;
  int64_t attempts = 0;    // claims of its tasks
  int64_t last_event = 0;  // sequence number; events are numbered from 1 without gaps
  std::optional<double> best_objective;
  std::string summary;  // bytes: the newest that came with an event, see NewEvent
  int error_code = 0;   // absl::StatusCode, of a failed or dead job
  std::string error_message;
  std::string error_details;  // bytes: the payloads of the status, see JobError
};

// The error of a failed or dead job, as TaskEnd gave it, payloads included. OK for others.
absl::Status JobError(const Job& job);

// The right to work on a task, and to write about it.
struct Lease {
  std::string job;
  int64_t task = 0;
  int64_t epoch = 0;
};

struct Checkpoint {
  int64_t sequence = 0;  // per task, ascending
  int64_t epoch = 0;     // that wrote it
  std::string payload;   // bytes, hash and version included: see checkpoint.h
};

// A claimed task with all that is needed to carry it out.
struct Claim {
  Lease lease;
  absl::Time lease_until;
  std::string kind;
  std::string spec;
  absl::Time deadline;
  int64_t num_tasks = 1;
  int64_t attempt = 1;                  // claims of this task, this one included
  std::vector<Checkpoint> checkpoints;  // newest first, at most kKeptCheckpoints
};

struct NewEvent {
  enum class Kind { kState, kProgress, kNote };
  Kind kind = Kind::kNote;
  std::string payload;                   // bytes, of the kind; empty for kState
  std::optional<double> best_objective;  // the job keeps the least of all
  std::optional<std::string> summary;    // replaces Job::summary
};

struct Event {
  int64_t sequence = 0;
  absl::Time time;
  NewEvent::Kind kind = NewEvent::Kind::kNote;
  JobState state = JobState::kQueued;  // with kState
  std::string payload;
  std::optional<double> best_objective;  // least up to here
};

// How a task ended.
struct TaskEnd {
  enum class Kind {
    kDone,       // with `result`
    kFailed,     // the request cannot succeed: `error`
    kCancelled,  // seen to be cancelled; where nobody had asked for that, as Release
  };
  Kind kind = Kind::kDone;
  std::string result;            // bytes
  absl::Status error;            // with its payloads
  std::vector<NewEvent> events;  // stored with it
};

struct TaskResult {
  int64_t task = 0;
  int64_t epoch = 0;
  std::string bytes;
};

struct ListFilter {
  std::vector<JobState> states;    // empty: all
  std::vector<std::string> kinds;  // empty: all
  std::string display_name_contains;
};

struct JobPage {
  // Newest first. May be fewer than asked for, even none, before the last page: a page looks at a
  // bounded number of jobs when names are searched.
  std::vector<Job> jobs;
  std::string next_page_token;  // empty: the last one
};

// Every execution of a task: the audit trail.
struct Attempt {
  std::string job;
  int64_t task = 0;
  int64_t epoch = 0;
  std::string worker;
  absl::Time start;
  std::optional<absl::Time> end;
  std::string reason;  // "done", "failed", "cancelled", "released", "lease lost"
};

// A job that has just ended, for whatever reason.
struct EndedJob {
  std::string kind;
  JobState state = JobState::kSucceeded;
  absl::Duration duration;  // since it was created
};

struct StoreStats {
  int64_t tasks_queued = 0;  // those that may be claimed
  int64_t tasks_running = 0;
  int64_t jobs_by_state[6] = {};
  absl::Duration oldest_queued;            // waiting time of the oldest that may be claimed
  absl::Duration oldest_checkpoint;        // age, of running tasks that have one
  int64_t stale_writes = 0, reclaims = 0;  // since this store was opened
  int64_t bytes = 0;                       // on disk
};

struct StoreLimits {
  int64_t max_queued_jobs = 1'000'000;
  int64_t max_tasks = 100'000;                  // of one job
  int64_t max_queued_bytes = int64_t{8} << 30;  // of specs of jobs that have not ended
  int64_t max_spec_bytes = int64_t{64} << 20;
  int64_t max_result_bytes = int64_t{256} << 20;  // of one task
  int64_t max_checkpoint_bytes = int64_t{256} << 20;
};

// What has been acknowledged is durable: it survives the end of the process and of the machine.
// Errors common to all: UNAVAILABLE when the store cannot be reached or cannot write now;
// RESOURCE_EXHAUSTED when its disk is full; DATA_LOSS when it is damaged. After the first two the
// call may be repeated, and after UNAVAILABLE it has to be: when a machine dies during a call, or
// a connection at its commit, nobody knows whether it was carried out. Create with a key, Complete,
// Cancel, Release and Renew have the same effect done twice as done once; Create without a key may
// leave a second job.
//
// While the disk is full, Create, Requeue, SaveCheckpoint and AddEvents are refused at once; what
// is kept in reserve serves the rest: running tasks still complete.
// Thread-safety: all members may be called from any thread; they block.
class JobStore {
 public:
  virtual ~JobStore() = default;

  struct Created {
    Job job;
    bool existed = false;  // the same key with the same hash
  };
  // ALREADY_EXISTS for the same key with another hash, as long as the first job is kept;
  // RESOURCE_EXHAUSTED over the limits; INVALID_ARGUMENT for num_tasks and priorities out of range.
  virtual absl::StatusOr<Created> Create(const NewJob& job) = 0;
  // What Create would answer where the key is known, without a job to create.
  virtual absl::StatusOr<Created> FindCreated(std::string_view idempotency_key,
                                              std::string_view request_hash) = 0;

  // NOT_FOUND, here and below, for ids that are not there.
  virtual absl::StatusOr<Job> Get(std::string_view id) = 0;
  virtual absl::StatusOr<std::string> GetSpec(std::string_view id) = 0;
  virtual absl::StatusOr<std::vector<TaskResult>> GetResults(std::string_view id) = 0;  // by task
  // INVALID_ARGUMENT with field path page_token.
  virtual absl::StatusOr<JobPage> List(const ListFilter& filter, int64_t page_size,
                                       std::string_view page_token) = 0;
  // At most `limit`, from a sequence number on.
  virtual absl::StatusOr<std::vector<Event>> Events(std::string_view id, int64_t from_sequence,
                                                    int64_t limit) = 0;
  // Returns when the job has an event with that number, or has changed, or is not there, or at
  // `until`; spurious returns are allowed.
  virtual void WaitForEvent(std::string_view id, int64_t sequence, absl::Time until) = 0;

  // Idempotent. A queued job ends at once.
  virtual absl::StatusOr<Job> Cancel(std::string_view id) = 0;
  // FAILED_PRECONDITION unless it has ended.
  virtual absl::Status Delete(std::string_view id) = 0;
  // Failed, cancelled or dead -> queued: unfinished tasks begin anew from their checkpoints, done
  // ones stay done; waiting begins anew as well. FAILED_PRECONDITION otherwise, and when the
  // deadline has passed. RESOURCE_EXHAUSTED over the limits.
  virtual absl::StatusOr<Job> Requeue(std::string_view id) = 0;

  // Up to `count` tasks that may run, best first; none is no error. Jobs past their deadline end
  // as failed instead.
  virtual absl::StatusOr<std::vector<Claim>> ClaimTasks(std::string_view worker, int64_t count,
                                                        absl::Duration lease) = 0;
  // Returns when there may be a task to claim, or at `until`; spurious returns are allowed.
  virtual void WaitForWork(absl::Time until) = 0;
  // Wakes everyone who waits in the two calls above.
  virtual void WakeAll() = 0;

  struct Renewal {
    bool held = false;  // false: stop, and write nothing more
    bool cancel = false;
    absl::Time lease_until;
  };
  virtual absl::StatusOr<std::vector<Renewal>> Renew(absl::Span<const Lease> leases,
                                                     absl::Duration lease) = 0;

  // ABORTED, here and below, when the lease is not held any more. OUT_OF_RANGE over the limit.
  virtual absl::Status SaveCheckpoint(const Lease& lease, std::string_view payload,
                                      absl::Span<const NewEvent> events) = 0;
  virtual absl::Status AddEvents(const Lease& lease, absl::Span<const NewEvent> events) = 0;
  // Once more with the same lease: OK, and changes nothing.
  // OUT_OF_RANGE when the result is over the limit.
  virtual absl::Status Complete(const Lease& lease, const TaskEnd& end) = 0;
  // Back to the queue, not counted as a loss.
  virtual absl::Status Release(const Lease& lease) = 0;

  // Takes back expired leases; fails jobs past their deadline of which no task runs; forgets ended
  // jobs past their retention. Returns how many leases it took back.
  virtual absl::StatusOr<int64_t> Reap() = 0;

  virtual absl::StatusOr<std::vector<Attempt>> Attempts(std::string_view id) = 0;
  virtual absl::StatusOr<StoreStats> Stats() = 0;
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_JOB_STORE_H_

#include "server/jobs/task_changes.h"

#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/jobs/job_changes.h"
#include "server/jobs/job_record.h"
#include "server/jobs/schema.h"

namespace costate::jobs {
namespace {

// Jobs past their deadline that one claim ends on its way; the next one goes on.
constexpr int64_t kMaxEndedByClaim = 1000;

constexpr int Number(TaskState state) { return static_cast<int>(state); }

struct TaskRow {
  int64_t job = 0;
  int64_t task = 0;
  TaskState state = TaskState::kQueued;
  int64_t epoch = 0;
  int64_t completed_epoch = 0;
  int64_t losses = 0;  // of leases, in a row
};

// A task that is held, and its job.
struct Held {
  JobRecord record;
  TaskRow task;
};

absl::Status LeaseIsGone() { return absl::AbortedError("the lease is not held any more"); }

absl::StatusOr<TaskRow> OnlyTask(Rows rows) {
  if (!rows.Next()) {
    RETURN_IF_ERROR(rows.status());
    return absl::NotFoundError("no such task");
  }
  return TaskRow{rows.Int(0), rows.Int(1), static_cast<TaskState>(rows.Int(2)),
                 rows.Int(3), rows.Int(4), rows.Int(5)};
}

absl::StatusOr<TaskRow> LoadTask(Connection& db, int64_t job, int64_t task) {
  return OnlyTask(
      db.Query("SELECT job, task, state, epoch, completed_epoch, losses FROM task "
               "WHERE job = ? AND task = ?",
               job, task));
}

bool IsHeld(const TaskRow& task, const Lease& lease) {
  return task.state == TaskState::kRunning && task.epoch == lease.epoch;
}

// The job and the task of a lease, held or not; ABORTED if they are not there.
absl::StatusOr<Held> LoadLeased(Connection& db, const Lease& lease) {
  absl::StatusOr<JobRecord> record = LoadJob(db, lease.job);
  if (absl::IsNotFound(record.status())) return LeaseIsGone();
  RETURN_IF_ERROR(record.status());
  const absl::StatusOr<TaskRow> task = LoadTask(db, record->seq, lease.task);
  if (absl::IsNotFound(task.status())) return LeaseIsGone();
  RETURN_IF_ERROR(task.status());
  return Held{*std::move(record), *task};
}

absl::StatusOr<Held> LoadHeld(Connection& db, const Lease& lease) {
  ASSIGN_OR_RETURN(Held held, LoadLeased(db, lease));
  if (!IsHeld(held.task, lease)) return LeaseIsGone();
  return held;
}

absl::Status AppendEvents(Transaction& transaction, JobRecord& record,
                          absl::Span<const NewEvent> events) {
  for (const NewEvent& event : events) RETURN_IF_ERROR(AppendEvent(transaction, record, event));
  return absl::OkStatus();
}

// The task is not running any more, and the log says why.
absl::Status StopTask(Transaction& transaction, Held& held, TaskState state,
                      std::string_view reason) {
  RETURN_IF_ERROR(transaction.db.Execute(
      "UPDATE task SET state = ?, lease_until = NULL, losses = ?, completed_epoch = ? "
      "WHERE job = ? AND task = ?",
      Number(state), held.task.losses, held.task.completed_epoch, held.task.job, held.task.task));
  RETURN_IF_ERROR(transaction.db.Execute(
      "UPDATE attempt SET end_time = ?, reason = ? WHERE job = ? AND task = ? AND epoch = ?",
      transaction.now, reason, held.task.job, held.task.task, held.task.epoch));
  --transaction.counts.tasks_running;
  --held.record.tasks_running;
  if (state == TaskState::kQueued) ++transaction.counts.tasks_queued;
  return absl::OkStatus();
}

// After a task of a cancelled job has stopped.
absl::Status EndIfNothingRuns(Transaction& transaction, JobRecord& record) {
  if (record.tasks_running > 0) return absl::OkStatus();
  return EndJob(transaction, record, JobState::kCancelled, absl::OkStatus());
}

// Back to the queue, unless the job was cancelled.
absl::Status GiveBack(Transaction& transaction, Held& held, std::string_view reason) {
  if (!held.record.job.cancel_requested) {
    return StopTask(transaction, held, TaskState::kQueued, reason);
  }
  RETURN_IF_ERROR(StopTask(transaction, held, TaskState::kCancelled, reason));
  return EndIfNothingRuns(transaction, held.record);
}

absl::Status QueueLastTask(Transaction& transaction, const JobRecord& record) {
  RETURN_IF_ERROR(
      transaction.db.Execute("UPDATE task SET state = ? WHERE job = ? AND task = ? AND state = ?",
                             Number(TaskState::kQueued), record.seq, record.job.num_tasks - 1,
                             Number(TaskState::kWaiting)));
  transaction.counts.tasks_queued += transaction.db.changed_rows();
  return absl::OkStatus();
}

absl::Status TaskDone(Transaction& transaction, Held& held, const TaskEnd& end) {
  JobRecord& record = held.record;
  Connection& db = transaction.db;
  RETURN_IF_ERROR(db.Execute("INSERT INTO result (job, task, epoch, bytes) VALUES (?, ?, ?, ?)",
                             record.seq, held.task.task, held.task.epoch, Blob{end.result}));
  RETURN_IF_ERROR(
      db.Execute("DELETE FROM checkpoint WHERE job = ? AND task = ?", record.seq, held.task.task));
  RETURN_IF_ERROR(StopTask(transaction, held, TaskState::kDone, "done"));
  const int64_t done = ++record.job.tasks_done;
  if (done == record.job.num_tasks) {
    return EndJob(transaction, record, JobState::kSucceeded, absl::OkStatus());
  }
  if (record.job.cancel_requested) return EndIfNothingRuns(transaction, record);
  if (record.last_task_waits && done == record.job.num_tasks - 1) {
    return QueueLastTask(transaction, record);
  }
  return absl::OkStatus();
}

absl::Status TaskFailed(Transaction& transaction, Held& held, const absl::Status& error) {
  RETURN_IF_ERROR(StopTask(transaction, held, TaskState::kFailed, "failed"));
  if (held.record.job.cancel_requested) return EndIfNothingRuns(transaction, held.record);
  return EndJob(transaction, held.record, JobState::kFailed,
                error.ok() ? absl::UnknownError("failed without an error") : error);
}

absl::Status EndTask(Transaction& transaction, Held& held, const TaskEnd& end) {
  held.task.completed_epoch = held.task.epoch;
  switch (end.kind) {
    case TaskEnd::Kind::kDone:
      return TaskDone(transaction, held, end);
    case TaskEnd::Kind::kFailed:
      return TaskFailed(transaction, held, end.error);
    case TaskEnd::Kind::kCancelled:
      return GiveBack(transaction, held,
                      held.record.job.cancel_requested ? "cancelled" : "released");
  }
  return absl::InternalError("no such end of a task");
}

absl::StatusOr<std::vector<Checkpoint>> ReadCheckpoints(Connection& db, const TaskRow& task) {
  std::vector<Checkpoint> checkpoints;
  Rows rows = db.Query(
      "SELECT sequence, epoch, payload FROM checkpoint WHERE job = ? AND task = ? "
      "ORDER BY sequence DESC",
      task.job, task.task);
  while (rows.Next()) {
    checkpoints.push_back({rows.Int(0), rows.Int(1), std::string(rows.Bytes(2))});
  }
  RETURN_IF_ERROR(rows.status());
  return checkpoints;
}

absl::StatusOr<int64_t> LogAttempt(Transaction& transaction, const TaskRow& task,
                                   std::string_view worker) {
  RETURN_IF_ERROR(
      transaction.db.Execute("INSERT INTO attempt (job, task, epoch, worker, start_time, reason) "
                             "VALUES (?, ?, ?, ?, ?, '')",
                             task.job, task.task, task.epoch, worker, transaction.now));
  return task.epoch;  // each claim has one epoch, from 1
}

absl::StatusOr<Claim> MakeClaim(Transaction& transaction, const JobRecord& record,
                                const TaskRow& task, int64_t lease_until) {
  Claim claim;
  claim.lease = {record.job.id, task.task, task.epoch};
  claim.lease_until = absl::FromUnixNanos(lease_until);
  claim.kind = record.job.kind;
  claim.deadline = record.job.deadline;
  claim.num_tasks = record.job.num_tasks;
  Rows spec = transaction.db.Query("SELECT bytes FROM spec WHERE job = ?", record.seq);
  if (spec.Next()) claim.spec = spec.Bytes(0);
  RETURN_IF_ERROR(spec.status());
  ASSIGN_OR_RETURN(claim.checkpoints, ReadCheckpoints(transaction.db, task));
  return claim;
}

absl::StatusOr<Claim> ClaimTask(Transaction& transaction, JobRecord& record, TaskRow task,
                                std::string_view worker, absl::Duration lease) {
  ++task.epoch;
  const int64_t until = AddNanos(transaction.now, absl::ToInt64Nanoseconds(lease));
  RETURN_IF_ERROR(transaction.db.Execute(
      "UPDATE task SET state = ?, epoch = ?, lease_until = ? WHERE job = ? AND task = ?",
      Number(TaskState::kRunning), task.epoch, until, task.job, task.task));
  --transaction.counts.tasks_queued;
  ++transaction.counts.tasks_running;
  ++record.tasks_running;
  ++record.job.attempts;
  if (record.job.state == JobState::kQueued) {
    record.start = transaction.now;
    RETURN_IF_ERROR(ChangeState(transaction, record, JobState::kRunning));
  }
  RETURN_IF_ERROR(SaveJob(transaction, record));
  ASSIGN_OR_RETURN(const int64_t attempt, LogAttempt(transaction, task, worker));
  ASSIGN_OR_RETURN(Claim claim, MakeClaim(transaction, record, task, until));
  claim.attempt = attempt;
  return claim;
}

// The first of the queue.
absl::StatusOr<std::optional<TaskRow>> FirstQueued(Connection& db) {
  const absl::StatusOr<TaskRow> task =
      OnlyTask(db.Query("SELECT job, task, state, epoch, completed_epoch, losses FROM task "
                        "INDEXED BY task_by_claim_key WHERE state = 0 AND claim_key >= ? "
                        "ORDER BY claim_key, job, task LIMIT 1",
                        std::numeric_limits<int64_t>::min()));
  if (absl::IsNotFound(task.status())) return std::nullopt;
  RETURN_IF_ERROR(task.status());
  return *task;
}

absl::StatusOr<JobStore::Renewal> RenewLease(Transaction& transaction, const Lease& lease,
                                             int64_t until) {
  const absl::StatusOr<Held> held = LoadHeld(transaction.db, lease);
  if (absl::IsAborted(held.status())) return JobStore::Renewal{};
  RETURN_IF_ERROR(held.status());
  RETURN_IF_ERROR(
      transaction.db.Execute("UPDATE task SET lease_until = ? WHERE job = ? AND task = ?", until,
                             held->task.job, held->task.task));
  return JobStore::Renewal{/*held=*/true, held->record.job.cancel_requested,
                           absl::FromUnixNanos(until)};
}

absl::Status LoseLease(Transaction& transaction, Held& held) {
  ++transaction.counts.reclaims;
  ++held.task.losses;
  if (held.record.job.cancel_requested || held.task.losses < kMaxLostLeases) {
    return GiveBack(transaction, held, "lease lost");
  }
  RETURN_IF_ERROR(StopTask(transaction, held, TaskState::kDead, "lease lost"));
  return EndJob(
      transaction, held.record, JobState::kDead,
      absl::AbortedError(absl::StrCat("task ", held.task.task, " lost its worker ",
                                      held.task.losses, " times in a row without a checkpoint")));
}

}  // namespace

absl::StatusOr<std::vector<Claim>> ClaimTasks(Transaction& transaction, std::string_view worker,
                                              int64_t count, absl::Duration lease) {
  std::vector<Claim> claims;
  int64_t ended = 0;
  while (static_cast<int64_t>(claims.size()) < count && ended < kMaxEndedByClaim) {
    ASSIGN_OR_RETURN(const std::optional<TaskRow> task, FirstQueued(transaction.db));
    if (!task.has_value()) break;
    ASSIGN_OR_RETURN(JobRecord record, LoadJob(transaction.db, task->job));
    if (IsPastDeadline(transaction, record)) {
      RETURN_IF_ERROR(EndPastDeadline(transaction, record));
      RETURN_IF_ERROR(SaveJob(transaction, record));
      ++ended;
      continue;
    }
    ASSIGN_OR_RETURN(Claim claim, ClaimTask(transaction, record, *task, worker, lease));
    claims.push_back(std::move(claim));
  }
  return claims;
}

absl::StatusOr<std::vector<JobStore::Renewal>> RenewLeases(Transaction& transaction,
                                                           absl::Span<const Lease> leases,
                                                           absl::Duration lease) {
  const int64_t until = AddNanos(transaction.now, absl::ToInt64Nanoseconds(lease));
  std::vector<JobStore::Renewal> renewals;
  for (const Lease& held : leases) {
    ASSIGN_OR_RETURN(const JobStore::Renewal renewal, RenewLease(transaction, held, until));
    renewals.push_back(renewal);
  }
  return renewals;
}

absl::Status SaveCheckpoint(Transaction& transaction, const Lease& lease, std::string_view payload,
                            absl::Span<const NewEvent> events) {
  ASSIGN_OR_RETURN(Held held, LoadHeld(transaction.db, lease));
  Connection& db = transaction.db;
  const int64_t job = held.task.job;
  const int64_t task = held.task.task;
  Rows newest =
      db.Query("SELECT max(sequence) FROM checkpoint WHERE job = ? AND task = ?", job, task);
  const int64_t sequence = newest.Next() ? newest.Int(0) + 1 : 1;
  RETURN_IF_ERROR(newest.status());
  RETURN_IF_ERROR(db.Execute(
      "INSERT INTO checkpoint (job, task, sequence, epoch, payload) VALUES (?, ?, ?, ?, ?)", job,
      task, sequence, held.task.epoch, Blob{payload}));
  RETURN_IF_ERROR(db.Execute("DELETE FROM checkpoint WHERE job = ? AND task = ? AND sequence <= ?",
                             job, task, sequence - kKeptCheckpoints));
  RETURN_IF_ERROR(
      db.Execute("UPDATE task SET losses = 0, checkpoint_time = ? WHERE job = ? AND task = ?",
                 transaction.now, job, task));
  if (events.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(AppendEvents(transaction, held.record, events));
  return SaveJob(transaction, held.record);
}

absl::Status AddEvents(Transaction& transaction, const Lease& lease,
                       absl::Span<const NewEvent> events) {
  ASSIGN_OR_RETURN(Held held, LoadHeld(transaction.db, lease));
  RETURN_IF_ERROR(AppendEvents(transaction, held.record, events));
  return SaveJob(transaction, held.record);
}

absl::Status CompleteTask(Transaction& transaction, const Lease& lease, const TaskEnd& end) {
  ASSIGN_OR_RETURN(Held held, LoadLeased(transaction.db, lease));
  if (held.task.completed_epoch == lease.epoch && lease.epoch > 0) return absl::OkStatus();
  if (!IsHeld(held.task, lease)) return LeaseIsGone();
  RETURN_IF_ERROR(AppendEvents(transaction, held.record, end.events));
  RETURN_IF_ERROR(EndTask(transaction, held, end));
  return SaveJob(transaction, held.record);
}

absl::Status ReleaseTask(Transaction& transaction, const Lease& lease) {
  ASSIGN_OR_RETURN(Held held, LoadHeld(transaction.db, lease));
  RETURN_IF_ERROR(GiveBack(transaction, held, "released"));
  return SaveJob(transaction, held.record);
}

absl::StatusOr<int64_t> TakeBackLeases(Transaction& transaction, int64_t until, int64_t limit) {
  std::vector<std::pair<int64_t, int64_t>> expired;
  {
    Rows rows = transaction.db.Query(
        "SELECT job, task FROM task INDEXED BY task_by_lease "
        "WHERE state = 1 AND lease_until <= ? ORDER BY lease_until LIMIT ?",
        until, limit);
    while (rows.Next()) expired.emplace_back(rows.Int(0), rows.Int(1));
    RETURN_IF_ERROR(rows.status());
  }
  int64_t taken = 0;
  for (const auto& [job, task] : expired) {
    ASSIGN_OR_RETURN(const TaskRow row, LoadTask(transaction.db, job, task));
    if (row.state != TaskState::kRunning) continue;  // its job has just died
    ASSIGN_OR_RETURN(JobRecord record, LoadJob(transaction.db, job));
    Held held{std::move(record), row};
    RETURN_IF_ERROR(LoseLease(transaction, held));
    RETURN_IF_ERROR(SaveJob(transaction, held.record));
    ++taken;
  }
  return taken;
}

}  // namespace costate::jobs

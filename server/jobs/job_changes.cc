#include "server/jobs/job_changes.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "server/jobs/job_error.h"
#include "server/jobs/schema.h"

namespace costate::jobs {
namespace {

constexpr int64_t kMaxPriority = 100;
constexpr int64_t kNanosPerPriority = int64_t{60} * 1'000'000'000;  // one minute of waiting

constexpr int Number(TaskState state) { return static_cast<int>(state); }

int64_t ClaimKey(int64_t queued_since, int32_t priority) {
  return queued_since - priority * kNanosPerPriority;
}

absl::Status CheckLimits(const Transaction& transaction, int64_t spec_bytes) {
  const StoreLimits& limits = transaction.limits;
  const Counts& counts = transaction.counts;
  const int64_t queued = counts.jobs_by_state[static_cast<int>(JobState::kQueued)];
  if (queued >= limits.max_queued_jobs) {
    return absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", queued, " jobs wait"));
  }
  if (counts.open_bytes > limits.max_queued_bytes - spec_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the queue is full: its requests have ", counts.open_bytes, " bytes, this one has ",
        spec_bytes, ", at most ", limits.max_queued_bytes, " are kept"));
  }
  return absl::OkStatus();
}

absl::Status CheckNewJob(const Transaction& transaction, const NewJob& job) {
  const StoreLimits& limits = transaction.limits;
  const auto spec_bytes = static_cast<int64_t>(job.spec.size());
  if (job.num_tasks < 1) return absl::InvalidArgumentError("a job has at least one task");
  if (std::abs(int64_t{job.priority}) > kMaxPriority) {
    return FieldError("priority", absl::StrCat(job.priority), "-100 to 100");
  }
  if (job.num_tasks > limits.max_tasks) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the job has ", job.num_tasks, " tasks, at most ", limits.max_tasks, " are allowed"));
  }
  if (spec_bytes > limits.max_spec_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the request has ", spec_bytes, " bytes, at most ", limits.max_spec_bytes, " are allowed"));
  }
  return CheckLimits(transaction, spec_bytes);
}

absl::StatusOr<JobRecord> InsertJob(Transaction& transaction, const NewJob& job,
                                    std::string_view id) {
  Connection& db = transaction.db;
  std::optional<std::string_view> key;
  if (!job.idempotency_key.empty()) key = job.idempotency_key;
  RETURN_IF_ERROR(db.Execute(
      "INSERT INTO job (id, idempotency_key, request_hash, kind, display_name, state, priority, "
      "cancel_requested, create_time, deadline, retention, num_tasks, last_task_waits, tasks_done, "
      "tasks_running, attempts, last_event, summary, error_code, error_message, error_details, "
      "spec_bytes) VALUES (?, ?, ?, ?, ?, 0, ?, 0, ?, ?, ?, ?, ?, 0, 0, 0, 0, x'', 0, '', x'', ?)",
      id, key, job.request_hash, job.kind, job.display_name, int64_t{job.priority}, transaction.now,
      ToNanos(job.deadline), ToNanos(job.retention), job.num_tasks, job.last_task_waits,
      static_cast<int64_t>(job.spec.size())));
  ASSIGN_OR_RETURN(JobRecord record, LoadJob(db, id));
  RETURN_IF_ERROR(
      db.Execute("INSERT INTO spec (job, bytes) VALUES (?, ?)", record.seq, Blob{job.spec}));
  return record;
}

absl::Status InsertTasks(Transaction& transaction, const JobRecord& record) {
  const Job& job = record.job;
  const bool last_waits = record.last_task_waits && job.num_tasks > 1;
  for (int64_t task = 0; task < job.num_tasks; ++task) {
    const bool waits = last_waits && task == job.num_tasks - 1;
    RETURN_IF_ERROR(transaction.db.Execute(
        "INSERT INTO task (job, task, state, epoch, completed_epoch, losses, queued_since, "
        "claim_key) VALUES (?, ?, ?, 0, 0, 0, ?, ?)",
        record.seq, task, Number(waits ? TaskState::kWaiting : TaskState::kQueued), transaction.now,
        ClaimKey(transaction.now, job.priority)));
  }
  transaction.counts.tasks_queued += job.num_tasks - (last_waits ? 1 : 0);
  return absl::OkStatus();
}

absl::Status CancelTasks(Transaction& transaction, int64_t seq, TaskState from) {
  return transaction.db.Execute(
      "UPDATE task SET state = ?, lease_until = NULL WHERE job = ? AND state = ?",
      Number(TaskState::kCancelled), seq, Number(from));
}

// Nothing more of the job is claimed.
absl::Status CancelUnclaimed(Transaction& transaction, int64_t seq) {
  RETURN_IF_ERROR(CancelTasks(transaction, seq, TaskState::kWaiting));
  RETURN_IF_ERROR(CancelTasks(transaction, seq, TaskState::kQueued));
  transaction.counts.tasks_queued -= transaction.db.changed_rows();
  return absl::OkStatus();
}

absl::Status RevokeLeases(Transaction& transaction, JobRecord& record) {
  if (record.tasks_running == 0) return absl::OkStatus();
  RETURN_IF_ERROR(
      transaction.db.Execute("UPDATE attempt SET end_time = ?, reason = 'cancelled' "
                             "WHERE job = ? AND end_time IS NULL",
                             transaction.now, record.seq));
  RETURN_IF_ERROR(CancelTasks(transaction, record.seq, TaskState::kRunning));
  transaction.counts.tasks_running -= transaction.db.changed_rows();
  record.tasks_running = 0;
  return absl::OkStatus();
}

absl::Status DeleteRows(Transaction& transaction, const JobRecord& record) {
  Connection& db = transaction.db;
  RETURN_IF_ERROR(db.Execute("DELETE FROM spec WHERE job = ?", record.seq));
  RETURN_IF_ERROR(db.Execute("DELETE FROM task WHERE job = ?", record.seq));
  RETURN_IF_ERROR(db.Execute("DELETE FROM checkpoint WHERE job = ?", record.seq));
  RETURN_IF_ERROR(db.Execute("DELETE FROM result WHERE job = ?", record.seq));
  RETURN_IF_ERROR(db.Execute("DELETE FROM event WHERE job = ?", record.seq));
  RETURN_IF_ERROR(db.Execute("DELETE FROM attempt WHERE job = ?", record.seq));
  RETURN_IF_ERROR(db.Execute("DELETE FROM job WHERE seq = ?", record.seq));
  --transaction.counts.jobs_by_state[static_cast<int>(record.job.state)];
  transaction.changed_jobs.push_back(record.job.id);
  return absl::OkStatus();
}

// All but the done ones, from their checkpoints.
absl::Status RequeueTasks(Transaction& transaction, const JobRecord& record) {
  const Job& job = record.job;
  Connection& db = transaction.db;
  RETURN_IF_ERROR(
      db.Execute("UPDATE task SET state = ?, losses = 0, queued_since = ?, claim_key = ? "
                 "WHERE job = ? AND state <> ?",
                 Number(TaskState::kQueued), transaction.now,
                 ClaimKey(transaction.now, job.priority), record.seq, Number(TaskState::kDone)));
  transaction.counts.tasks_queued += db.changed_rows();
  if (!record.last_task_waits || job.tasks_done >= job.num_tasks - 1) return absl::OkStatus();
  transaction.counts.tasks_queued -= 1;
  return db.Execute("UPDATE task SET state = ? WHERE job = ? AND task = ?",
                    Number(TaskState::kWaiting), record.seq, job.num_tasks - 1);
}

absl::StatusOr<std::vector<int64_t>> Sequences(Rows rows) {
  std::vector<int64_t> found;
  while (rows.Next()) found.push_back(rows.Int(0));
  RETURN_IF_ERROR(rows.status());
  return found;
}

}  // namespace

absl::StatusOr<JobStore::Created> CreateJob(Transaction& transaction, const NewJob& job,
                                            std::string_view id) {
  absl::StatusOr<JobStore::Created> found =
      FindCreatedJob(transaction.db, job.idempotency_key, job.request_hash);
  if (!absl::IsNotFound(found.status())) return found;
  RETURN_IF_ERROR(CheckNewJob(transaction, job));
  ASSIGN_OR_RETURN(JobRecord record, InsertJob(transaction, job, id));
  RETURN_IF_ERROR(InsertTasks(transaction, record));
  ++transaction.counts.jobs_by_state[static_cast<int>(JobState::kQueued)];
  transaction.counts.open_bytes += record.spec_bytes;
  NewEvent created;
  created.kind = NewEvent::Kind::kState;
  RETURN_IF_ERROR(AppendEvent(transaction, record, created));
  RETURN_IF_ERROR(SaveJob(transaction, record));
  return JobStore::Created{std::move(record.job), /*existed=*/false};
}

absl::StatusOr<JobStore::Created> FindCreatedJob(Connection& db, std::string_view idempotency_key,
                                                 std::string_view request_hash) {
  if (idempotency_key.empty()) return absl::NotFoundError("no idempotency key");
  Rows rows =
      db.Query("SELECT seq, request_hash FROM job WHERE idempotency_key = ?", idempotency_key);
  if (!rows.Next()) {
    RETURN_IF_ERROR(rows.status());
    return absl::NotFoundError("no job has this idempotency key");
  }
  if (rows.Text(1) != request_hash) {
    return FieldStatus(absl::StatusCode::kAlreadyExists, "idempotency_key",
                       "it was used with another request");
  }
  ASSIGN_OR_RETURN(JobRecord record, LoadJob(db, rows.Int(0)));
  return JobStore::Created{std::move(record.job), /*existed=*/true};
}

absl::StatusOr<Job> CancelJob(Transaction& transaction, std::string_view id) {
  ASSIGN_OR_RETURN(JobRecord record, LoadJob(transaction.db, id));
  if (Ended(record.job.state) || record.job.cancel_requested) return std::move(record.job);
  record.job.cancel_requested = true;
  if (record.tasks_running == 0) {
    RETURN_IF_ERROR(EndJob(transaction, record, JobState::kCancelled, absl::OkStatus()));
  } else {
    RETURN_IF_ERROR(CancelUnclaimed(transaction, record.seq));
  }
  RETURN_IF_ERROR(SaveJob(transaction, record));
  return std::move(record.job);
}

absl::StatusOr<Job> RequeueJob(Transaction& transaction, std::string_view id) {
  ASSIGN_OR_RETURN(JobRecord record, LoadJob(transaction.db, id));
  Job& job = record.job;
  if (!Ended(job.state) || job.state == JobState::kSucceeded) {
    return absl::FailedPreconditionError(
        "only a job that failed, was cancelled or died can be queued again");
  }
  if (IsPastDeadline(transaction, record)) {
    return absl::FailedPreconditionError("the deadline of the job has passed");
  }
  RETURN_IF_ERROR(CheckLimits(transaction, record.spec_bytes));
  job.cancel_requested = false;
  job.start_time.reset();
  job.end_time.reset();
  record.start.reset();
  record.end.reset();
  SetJobError(absl::OkStatus(), job);
  RETURN_IF_ERROR(RequeueTasks(transaction, record));
  RETURN_IF_ERROR(ChangeState(transaction, record, JobState::kQueued));
  RETURN_IF_ERROR(SaveJob(transaction, record));
  return std::move(job);
}

absl::Status DeleteJob(Transaction& transaction, std::string_view id) {
  ASSIGN_OR_RETURN(const JobRecord record, LoadJob(transaction.db, id));
  if (!Ended(record.job.state)) {
    return absl::FailedPreconditionError("the job has not ended; cancel it first");
  }
  return DeleteRows(transaction, record);
}

absl::Status EndJob(Transaction& transaction, JobRecord& record, JobState state,
                    const absl::Status& error) {
  RETURN_IF_ERROR(CancelUnclaimed(transaction, record.seq));
  RETURN_IF_ERROR(RevokeLeases(transaction, record));
  SetJobError(error, record.job);
  record.end = transaction.now;
  record.job.end_time = TimeOf(record.end);
  return ChangeState(transaction, record, state);
}

bool IsPastDeadline(const Transaction& transaction, const JobRecord& record) {
  return record.deadline.has_value() && *record.deadline <= transaction.now;
}

absl::Status EndPastDeadline(Transaction& transaction, JobRecord& record) {
  return EndJob(transaction, record, JobState::kFailed,
                absl::DeadlineExceededError("the deadline of the job has passed"));
}

absl::StatusOr<int64_t> EndJobsPastDeadline(Transaction& transaction, int64_t limit) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> found,
                   Sequences(transaction.db.Query(
                       "SELECT seq FROM job INDEXED BY job_by_deadline WHERE deadline IS NOT NULL "
                       "AND end_time IS NULL AND deadline <= ? AND tasks_running = 0 LIMIT ?",
                       transaction.now, limit)));
  for (const int64_t seq : found) {
    ASSIGN_OR_RETURN(JobRecord record, LoadJob(transaction.db, seq));
    RETURN_IF_ERROR(EndPastDeadline(transaction, record));
    RETURN_IF_ERROR(SaveJob(transaction, record));
  }
  return static_cast<int64_t>(found.size());
}

absl::StatusOr<int64_t> ForgetJobs(Transaction& transaction, int64_t limit) {
  ASSIGN_OR_RETURN(
      const std::vector<int64_t> found,
      Sequences(transaction.db.Query("SELECT seq FROM job INDEXED BY job_by_forget_time "
                                     "WHERE forget_time IS NOT NULL AND forget_time <= ? LIMIT ?",
                                     transaction.now, limit)));
  for (const int64_t seq : found) {
    ASSIGN_OR_RETURN(const JobRecord record, LoadJob(transaction.db, seq));
    RETURN_IF_ERROR(DeleteRows(transaction, record));
  }
  return static_cast<int64_t>(found.size());
}

absl::StatusOr<Counts> CountAll(Connection& db) {
  Counts counts;
  Rows jobs = db.Query("SELECT state, count(*), sum(spec_bytes) FROM job GROUP BY state");
  while (jobs.Next()) {
    const int64_t state = jobs.Int(0);
    if (state < 0 || state >= 6) return absl::DataLossError("job store: a job without a state");
    counts.jobs_by_state[state] = jobs.Int(1);
    if (!Ended(static_cast<JobState>(state))) counts.open_bytes += jobs.Int(2);
  }
  RETURN_IF_ERROR(jobs.status());
  ASSIGN_OR_RETURN(counts.tasks_queued, db.QueryInt("SELECT count(*) FROM task WHERE state = 0"));
  ASSIGN_OR_RETURN(counts.tasks_running, db.QueryInt("SELECT count(*) FROM task WHERE state = 1"));
  return counts;
}

}  // namespace costate::jobs

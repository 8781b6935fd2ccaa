#include "server/jobs/job_record.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace costate::jobs {
namespace {

constexpr char kColumns[] =
    "seq, id, kind, display_name, state, priority, cancel_requested, create_time, deadline, "
    "retention, start_time, end_time, num_tasks, last_task_waits, tasks_done, tasks_running, "
    "attempts, last_event, best_objective, summary, error_code, error_message, error_details, "
    "spec_bytes";

absl::Status NoSuchJob() { return absl::NotFoundError("no such job"); }

absl::StatusOr<JobRecord> OnlyRecord(Rows rows) {
  if (rows.Next()) return ReadJobRecord(rows);
  RETURN_IF_ERROR(rows.status());
  return NoSuchJob();
}

}  // namespace

std::optional<int64_t> ToNanos(absl::Time time) {
  if (time == absl::InfiniteFuture()) return std::nullopt;
  return absl::ToUnixNanos(time);
}

std::optional<int64_t> ToNanos(absl::Duration duration) {
  if (duration == absl::InfiniteDuration()) return std::nullopt;
  return absl::ToInt64Nanoseconds(duration);
}

absl::Time TimeOf(std::optional<int64_t> nanos) {
  return nanos.has_value() ? absl::FromUnixNanos(*nanos) : absl::InfiniteFuture();
}

int64_t AddNanos(int64_t time, int64_t duration) {
  int64_t sum = 0;
  if (__builtin_add_overflow(time, duration, &sum)) return duration > 0 ? kNever : -kNever;
  return sum;
}

const char* JobColumns() { return kColumns; }

JobRecord ReadJobRecord(const Rows& rows) {
  JobRecord record;
  Job& job = record.job;
  int column = 0;
  record.seq = rows.Int(column++);
  job.id = rows.Text(column++);
  job.kind = rows.Text(column++);
  job.display_name = rows.Text(column++);
  job.state = static_cast<JobState>(rows.Int(column++));
  job.priority = static_cast<int32_t>(rows.Int(column++));
  job.cancel_requested = rows.Int(column++) != 0;
  job.create_time = absl::FromUnixNanos(rows.Int(column++));
  record.deadline = rows.OptionalInt(column++);
  record.retention = rows.OptionalInt(column++);
  record.start = rows.OptionalInt(column++);
  record.end = rows.OptionalInt(column++);
  job.num_tasks = rows.Int(column++);
  record.last_task_waits = rows.Int(column++) != 0;
  job.tasks_done = rows.Int(column++);
  record.tasks_running = rows.Int(column++);
  job.attempts = rows.Int(column++);
  job.last_event = rows.Int(column++);
  job.best_objective = rows.OptionalDouble(column++);
  job.summary = rows.Bytes(column++);
  job.error_code = static_cast<int>(rows.Int(column++));
  job.error_message = rows.Text(column++);
  job.error_details = rows.Bytes(column++);
  record.spec_bytes = rows.Int(column++);
  job.deadline = TimeOf(record.deadline);
  if (record.start.has_value()) job.start_time = TimeOf(record.start);
  if (record.end.has_value()) job.end_time = TimeOf(record.end);
  return record;
}

absl::StatusOr<JobRecord> LoadJob(Connection& db, std::string_view id) {
  static const std::string* const kSql =
      new std::string(absl::StrCat("SELECT ", kColumns, " FROM job WHERE id = ?"));
  return OnlyRecord(db.Query(*kSql, id));
}

absl::StatusOr<JobRecord> LoadJob(Connection& db, int64_t seq) {
  static const std::string* const kSql =
      new std::string(absl::StrCat("SELECT ", kColumns, " FROM job WHERE seq = ?"));
  return OnlyRecord(db.Query(*kSql, seq));
}

absl::StatusOr<int64_t> FindJob(Connection& db, std::string_view id) {
  Rows rows = db.Query("SELECT seq FROM job WHERE id = ?", id);
  if (rows.Next()) return rows.Int(0);
  RETURN_IF_ERROR(rows.status());
  return NoSuchJob();
}

absl::Status AppendEvent(Transaction& transaction, JobRecord& record, const NewEvent& event) {
  Job& job = record.job;
  if (event.best_objective.has_value() && !std::isnan(*event.best_objective) &&
      (!job.best_objective.has_value() || *event.best_objective < *job.best_objective)) {
    job.best_objective = event.best_objective;
  }
  if (event.summary.has_value()) job.summary = *event.summary;
  ++job.last_event;
  return transaction.db.Execute(
      "INSERT INTO event (job, sequence, time, kind, state, payload, best_objective) "
      "VALUES (?, ?, ?, ?, ?, ?, ?)",
      record.seq, job.last_event, transaction.now, static_cast<int>(event.kind),
      static_cast<int>(job.state), Blob{event.payload}, job.best_objective);
}

absl::Status ChangeState(Transaction& transaction, JobRecord& record, JobState state) {
  const JobState before = record.job.state;
  Counts& counts = transaction.counts;
  --counts.jobs_by_state[static_cast<int>(before)];
  ++counts.jobs_by_state[static_cast<int>(state)];
  if (Ended(state) && !Ended(before)) counts.open_bytes -= record.spec_bytes;
  if (!Ended(state) && Ended(before)) counts.open_bytes += record.spec_bytes;
  if (Ended(state)) {
    transaction.ended_jobs.push_back(
        {record.job.kind, state, absl::FromUnixNanos(transaction.now) - record.job.create_time});
  }
  record.job.state = state;
  record.state_changed = true;
  NewEvent event;
  event.kind = NewEvent::Kind::kState;
  return AppendEvent(transaction, record, event);
}

absl::Status SaveJob(Transaction& transaction, const JobRecord& record) {
  const Job& job = record.job;
  transaction.changed_jobs.push_back(job.id);
  RETURN_IF_ERROR(transaction.db.Execute(
      "UPDATE job SET cancel_requested = ?, tasks_done = ?, tasks_running = ?, attempts = ?, "
      "last_event = ?, best_objective = ?, summary = ? WHERE seq = ?",
      job.cancel_requested, job.tasks_done, record.tasks_running, job.attempts, job.last_event,
      job.best_objective, Blob{job.summary}, record.seq));
  if (!record.state_changed) return absl::OkStatus();
  std::optional<int64_t> forget;
  if (record.end.has_value() && record.retention.has_value()) {
    forget = AddNanos(*record.end, *record.retention);
  }
  return transaction.db.Execute(
      "UPDATE job SET state = ?, start_time = ?, end_time = ?, forget_time = ?, error_code = ?, "
      "error_message = ?, error_details = ? WHERE seq = ?",
      static_cast<int>(job.state), record.start, record.end, forget, job.error_code,
      job.error_message, Blob{job.error_details}, record.seq);
}

}  // namespace costate::jobs

#include "server/jobs/job_queries.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "engine/base/status_macros.h"
#include "server/jobs/job_record.h"

namespace costate::jobs {
namespace {

absl::StatusOr<absl::Duration> Age(Rows rows, int64_t now) {
  std::optional<int64_t> since;
  if (rows.Next()) since = rows.OptionalInt(0);
  RETURN_IF_ERROR(rows.status());
  return absl::Nanoseconds(since.has_value() ? std::max<int64_t>(0, now - *since) : 0);
}

}  // namespace

absl::StatusOr<std::string> ReadSpec(Connection& db, std::string_view id) {
  ASSIGN_OR_RETURN(const int64_t seq, FindJob(db, id));
  Rows rows = db.Query("SELECT bytes FROM spec WHERE job = ?", seq);
  if (rows.Next()) return std::string(rows.Bytes(0));
  RETURN_IF_ERROR(rows.status());
  return absl::DataLossError("job store: a job without its request");
}

absl::StatusOr<std::vector<TaskResult>> ReadResults(Connection& db, std::string_view id) {
  ASSIGN_OR_RETURN(const int64_t seq, FindJob(db, id));
  std::vector<TaskResult> results;
  Rows rows = db.Query("SELECT task, epoch, bytes FROM result WHERE job = ? ORDER BY task", seq);
  while (rows.Next()) {
    results.push_back({rows.Int(0), rows.Int(1), std::string(rows.Bytes(2))});
  }
  RETURN_IF_ERROR(rows.status());
  return results;
}

absl::StatusOr<std::vector<Event>> ReadEvents(Connection& db, std::string_view id,
                                              int64_t from_sequence, int64_t limit) {
  ASSIGN_OR_RETURN(const int64_t seq, FindJob(db, id));
  std::vector<Event> events;
  Rows rows = db.Query(
      "SELECT sequence, time, kind, state, payload, best_objective FROM event "
      "WHERE job = ? AND sequence >= ? ORDER BY sequence LIMIT ?",
      seq, from_sequence, std::max<int64_t>(0, limit));
  while (rows.Next()) {
    Event event;
    event.sequence = rows.Int(0);
    event.time = absl::FromUnixNanos(rows.Int(1));
    event.kind = static_cast<NewEvent::Kind>(rows.Int(2));
    event.state = static_cast<JobState>(rows.Int(3));
    event.payload = rows.Bytes(4);
    event.best_objective = rows.OptionalDouble(5);
    events.push_back(std::move(event));
  }
  RETURN_IF_ERROR(rows.status());
  return events;
}

absl::StatusOr<std::vector<Attempt>> ReadAttempts(Connection& db, std::string_view id) {
  ASSIGN_OR_RETURN(const int64_t seq, FindJob(db, id));
  std::vector<Attempt> attempts;
  Rows rows = db.Query(
      "SELECT task, epoch, worker, start_time, end_time, reason FROM attempt "
      "WHERE job = ? ORDER BY task, epoch",
      seq);
  while (rows.Next()) {
    Attempt attempt;
    attempt.job = id;
    attempt.task = rows.Int(0);
    attempt.epoch = rows.Int(1);
    attempt.worker = rows.Text(2);
    attempt.start = absl::FromUnixNanos(rows.Int(3));
    if (!rows.IsNull(4)) attempt.end = absl::FromUnixNanos(rows.Int(4));
    attempt.reason = rows.Text(5);
    attempts.push_back(std::move(attempt));
  }
  RETURN_IF_ERROR(rows.status());
  return attempts;
}

absl::Status ReadAges(Connection& db, int64_t now, StoreStats& stats) {
  constexpr int64_t kAnyTime = std::numeric_limits<int64_t>::min();
  ASSIGN_OR_RETURN(stats.oldest_queued,
                   Age(db.Query("SELECT queued_since FROM task INDEXED BY task_by_queued_since "
                                "WHERE state = 0 AND queued_since >= ? "
                                "ORDER BY queued_since LIMIT 1",
                                kAnyTime),
                       now));
  // Of running tasks alone: as many as there are workers.
  ASSIGN_OR_RETURN(stats.oldest_checkpoint,
                   Age(db.Query("SELECT min(checkpoint_time) FROM task INDEXED BY task_by_lease "
                                "WHERE state = 1 AND lease_until >= ?",
                                kAnyTime),
                       now));
  return absl::OkStatus();
}

}  // namespace costate::jobs

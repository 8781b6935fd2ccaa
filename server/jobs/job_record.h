// Rows of jobs and events of the embedded store.
#ifndef COSTATE_SERVER_JOBS_JOB_RECORD_H_
#define COSTATE_SERVER_JOBS_JOB_RECORD_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/jobs/job_store.h"
#include "server/jobs/sqlite.h"
#include "server/jobs/transaction.h"

namespace costate::jobs {

// Infinite ones have no number.
std::optional<int64_t> ToNanos(absl::Time time);
std::optional<int64_t> ToNanos(absl::Duration duration);
absl::Time TimeOf(std::optional<int64_t> nanos);  // unset: infinite

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
// Sum of times that stops at kNever.
int64_t AddNanos(int64_t time, int64_t duration);

// A job as a transaction changes it: read whole, changed in memory, written back by SaveJob.
struct JobRecord {
  int64_t seq = 0;
  Job job;
  std::optional<int64_t> deadline, retention, start, end;  // as in `job`, in nanoseconds
  int64_t tasks_running = 0;
  int64_t spec_bytes = 0;
  bool last_task_waits = false;
  bool state_changed = false;
};

// The columns of `job` that ReadJobRecord reads, in its order.
const char* JobColumns();
JobRecord ReadJobRecord(const Rows& rows);

// NOT_FOUND.
absl::StatusOr<JobRecord> LoadJob(Connection& db, std::string_view id);
absl::StatusOr<JobRecord> LoadJob(Connection& db, int64_t seq);
absl::StatusOr<int64_t> FindJob(Connection& db, std::string_view id);  // its seq

// Numbers the event and keeps the best objective and the summary up to date. SaveJob follows.
absl::Status AppendEvent(Transaction& transaction, JobRecord& record, const NewEvent& event);

// With its event and in the counts. SaveJob follows.
absl::Status ChangeState(Transaction& transaction, JobRecord& record, JobState state);

absl::Status SaveJob(Transaction& transaction, const JobRecord& record);

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_JOB_RECORD_H_

// What happens to jobs as a whole. Each function is a part of one transaction; the contract is in
// job_store.h.
#ifndef COSTATE_SERVER_JOBS_JOB_CHANGES_H_
#define COSTATE_SERVER_JOBS_JOB_CHANGES_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/jobs/job_record.h"
#include "server/jobs/job_store.h"
#include "server/jobs/transaction.h"

namespace costate::jobs {

// `id` is for the job if it is a new one.
absl::StatusOr<JobStore::Created> CreateJob(Transaction& transaction, const NewJob& job,
                                            std::string_view id);
// NOT_FOUND where there is no such key.
absl::StatusOr<JobStore::Created> FindCreatedJob(Connection& db, std::string_view idempotency_key,
                                                 std::string_view request_hash);
absl::StatusOr<Job> CancelJob(Transaction& transaction, std::string_view id);
absl::StatusOr<Job> RequeueJob(Transaction& transaction, std::string_view id);
absl::Status DeleteJob(Transaction& transaction, std::string_view id);

// Its queued, waiting and running tasks become cancelled, their leases void. SaveJob follows.
absl::Status EndJob(Transaction& transaction, JobRecord& record, JobState state,
                    const absl::Status& error);

bool IsPastDeadline(const Transaction& transaction, const JobRecord& record);
absl::Status EndPastDeadline(Transaction& transaction, JobRecord& record);

// Of Reap: at most `limit` jobs; returns how many.
absl::StatusOr<int64_t> EndJobsPastDeadline(Transaction& transaction, int64_t limit);
absl::StatusOr<int64_t> ForgetJobs(Transaction& transaction, int64_t limit);

// Counts everything; once, when the store is opened.
absl::StatusOr<Counts> CountAll(Connection& db);

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_JOB_CHANGES_H_

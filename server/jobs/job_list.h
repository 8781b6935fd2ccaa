// Pages of jobs, newest first.
#ifndef COSTATE_SERVER_JOBS_JOB_LIST_H_
#define COSTATE_SERVER_JOBS_JOB_LIST_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/jobs/job_store.h"
#include "server/jobs/sqlite.h"

namespace costate::jobs {

// INVALID_ARGUMENT with field path page_token when the token is none, or that of another filter.
absl::StatusOr<JobPage> ListJobs(Connection& db, const ListFilter& filter, int64_t page_size,
                                 std::string_view page_token);

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_JOB_LIST_H_

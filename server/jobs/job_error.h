// Statuses as a job keeps them.
#ifndef COSTATE_SERVER_JOBS_JOB_ERROR_H_
#define COSTATE_SERVER_JOBS_JOB_ERROR_H_

#include "absl/status/status.h"
#include "server/jobs/job_store.h"

namespace costate::jobs {

// Sets error_code, error_message and error_details; JobError reads them back.
void SetJobError(const absl::Status& error, Job& job);

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_JOB_ERROR_H_

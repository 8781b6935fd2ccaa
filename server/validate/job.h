// Judges calls of JobService as they came; the request inside of a job is its runner's to judge.
#ifndef COSTATE_SERVER_VALIDATE_JOB_H_
#define COSTATE_SERVER_VALIDATE_JOB_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "costate/v1/job.pb.h"

namespace costate {

// INVALID_ARGUMENT unless `name` is "jobs/" and 32 hex digits.
absl::Status ValidateJobName(const std::string& field, const std::string& name);

// Key, priority, display name, retention and presence of a request.
absl::Status ValidateCreateJobRequest(const v1::CreateJobRequest& request);

// A deadline has to lie ahead of `now`. Apart from the others, for a call that is repeated may come
// too late for it.
absl::Status ValidateJobDeadline(const v1::JobSpec& spec, absl::Time now);

absl::Status ValidateListJobsRequest(const v1::ListJobsRequest& request);
absl::Status ValidateWatchJobRequest(const v1::WatchJobRequest& request);

}  // namespace costate

#endif  // COSTATE_SERVER_VALIDATE_JOB_H_

// JobService.
#ifndef COSTATE_SERVER_HANDLERS_JOBS_H_
#define COSTATE_SERVER_HANDLERS_JOBS_H_

#include "absl/status/statusor.h"
#include "costate/v1/job.pb.h"
#include "server/call.h"
#include "server/handlers/response_stream.h"

namespace costate {

// Each checks its request and returns the work left to do, which talks to the store, without a
// thread of the pool while it waits for it. Request, response and stream outlive that work.
// UNIMPLEMENTED where the server keeps no jobs.
absl::StatusOr<Work> CreateJob(CallContext& call, const v1::CreateJobRequest& request,
                               v1::CreateJobResponse* response);
absl::StatusOr<Work> GetJob(CallContext& call, const v1::GetJobRequest& request,
                            v1::GetJobResponse* response);
absl::StatusOr<Work> ListJobs(CallContext& call, const v1::ListJobsRequest& request,
                              v1::ListJobsResponse* response);
absl::StatusOr<Work> WatchJob(CallContext& call, const v1::WatchJobRequest& request,
                              ResponseStream<v1::WatchJobResponse>* stream);
absl::StatusOr<Work> CancelJob(CallContext& call, const v1::CancelJobRequest& request,
                               v1::CancelJobResponse* response);
absl::StatusOr<Work> DeleteJob(CallContext& call, const v1::DeleteJobRequest& request,
                               v1::DeleteJobResponse* response);
absl::StatusOr<Work> RequeueJob(CallContext& call, const v1::RequeueJobRequest& request,
                                v1::RequeueJobResponse* response);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_JOBS_H_

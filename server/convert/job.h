// Jobs, their events and states between wire and store. Everything here expects validated messages.
#ifndef COSTATE_SERVER_CONVERT_JOB_H_
#define COSTATE_SERVER_CONVERT_JOB_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "costate/v1/job.pb.h"
#include "google/protobuf/message_lite.h"
#include "server/jobs/job_store.h"

namespace costate {

v1::Job::State JobStateToProto(jobs::JobState state);
jobs::JobState JobStateFromProto(v1::Job::State state);

// Without spec and result.
void JobToProto(const jobs::Job& job, v1::Job* proto);

// Best objective of a fit's progress is that of the whole job up to the event.
void JobEventToProto(const jobs::Event& event, v1::JobEvent* proto);

// "jobs/<id>" and back.
std::string JobNameOf(const std::string& id);
std::string JobIdOf(const std::string& name);

// The name of the field that is set, as "fit"; empty if none.
std::string JobKindOf(const v1::JobSpec& spec);

// The store's part of the spec; key, hash, kind, spec and tasks are left to the caller.
// `retention` where the spec does not say.
jobs::NewJob NewJobFromProto(const v1::JobSpec& spec, absl::Duration retention);

jobs::ListFilter ListFilterFromProto(const v1::ListJobsRequest& request);

// The same bytes for the same message, in one build at least.
std::string StableBytes(const google::protobuf::MessageLite& message);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_JOB_H_

#include "server/convert/job.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/convert/options.h"
#include "server/convert/status.h"

namespace costate {
namespace {

constexpr size_t kPrefixBytes = 5;  // of "jobs/"

void ErrorToProto(const jobs::Job& job, google::rpc::Status* proto) {
  *proto = StatusToProto(jobs::JobError(job));
}

}  // namespace

v1::Job::State JobStateToProto(jobs::JobState state) {
  switch (state) {
    case jobs::JobState::kQueued:
      return v1::Job::STATE_QUEUED;
    case jobs::JobState::kRunning:
      return v1::Job::STATE_RUNNING;
    case jobs::JobState::kSucceeded:
      return v1::Job::STATE_SUCCEEDED;
    case jobs::JobState::kFailed:
      return v1::Job::STATE_FAILED;
    case jobs::JobState::kCancelled:
      return v1::Job::STATE_CANCELLED;
    case jobs::JobState::kDead:
      return v1::Job::STATE_DEAD;
  }
  return v1::Job::STATE_UNSPECIFIED;
}

jobs::JobState JobStateFromProto(v1::Job::State state) {
  switch (state) {
    case v1::Job::STATE_RUNNING:
      return jobs::JobState::kRunning;
    case v1::Job::STATE_SUCCEEDED:
      return jobs::JobState::kSucceeded;
    case v1::Job::STATE_FAILED:
      return jobs::JobState::kFailed;
    case v1::Job::STATE_CANCELLED:
      return jobs::JobState::kCancelled;
    case v1::Job::STATE_DEAD:
      return jobs::JobState::kDead;
    case v1::Job::STATE_UNSPECIFIED:
    case v1::Job::STATE_QUEUED:
    case v1::Job_State_Job_State_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Job_State_Job_State_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return jobs::JobState::kQueued;
}

void JobToProto(const jobs::Job& job, v1::Job* proto) {
  proto->set_name(JobNameOf(job.id));
  proto->set_state(JobStateToProto(job.state));
  proto->set_kind(job.kind);
  proto->set_display_name(job.display_name);
  proto->set_priority(job.priority);
  proto->set_cancel_requested(job.cancel_requested);
  *proto->mutable_create_time() = TimestampToProto(job.create_time);
  if (job.start_time.has_value()) *proto->mutable_start_time() = TimestampToProto(*job.start_time);
  if (job.end_time.has_value()) *proto->mutable_end_time() = TimestampToProto(*job.end_time);
  proto->set_tasks(job.num_tasks);
  proto->set_tasks_done(job.tasks_done);
  proto->set_attempts(job.attempts);
  proto->set_last_event(job.last_event);
  if (job.best_objective.has_value()) proto->set_best_objective(*job.best_objective);
  if (!job.summary.empty()) proto->mutable_fit()->ParseFromString(job.summary);
  if (job.state == jobs::JobState::kFailed || job.state == jobs::JobState::kDead) {
    ErrorToProto(job, proto->mutable_error());
  }
}

void JobEventToProto(const jobs::Event& event, v1::JobEvent* proto) {
  proto->set_sequence(event.sequence);
  *proto->mutable_time() = TimestampToProto(event.time);
  switch (event.kind) {
    case jobs::NewEvent::Kind::kState:
      proto->set_state(JobStateToProto(event.state));
      return;
    case jobs::NewEvent::Kind::kProgress:
      proto->mutable_fit_progress()->ParseFromString(event.payload);
      if (event.best_objective.has_value()) {
        proto->mutable_fit_progress()->set_best_objective(*event.best_objective);
      }
      return;
    case jobs::NewEvent::Kind::kNote:
      proto->set_note(event.payload);
      return;
  }
}

std::string JobNameOf(const std::string& id) { return absl::StrCat("jobs/", id); }
std::string JobIdOf(const std::string& name) { return name.substr(kPrefixBytes); }

std::string JobKindOf(const v1::JobSpec& spec) {
  const google::protobuf::OneofDescriptor* request =
      v1::JobSpec::descriptor()->FindOneofByName("request");
  const google::protobuf::FieldDescriptor* field =
      spec.GetReflection()->GetOneofFieldDescriptor(spec, request);
  return field == nullptr ? "" : field->name();
}

jobs::NewJob NewJobFromProto(const v1::JobSpec& spec, absl::Duration retention) {
  jobs::NewJob job;
  job.display_name = spec.display_name();
  job.priority = spec.priority();
  job.retention = spec.has_retention() ? DurationFromProto(spec.retention()) : retention;
  if (spec.has_deadline()) {
    job.deadline = absl::FromUnixSeconds(spec.deadline().seconds()) +
                   absl::Nanoseconds(spec.deadline().nanos());
  }
  return job;
}

jobs::ListFilter ListFilterFromProto(const v1::ListJobsRequest& request) {
  jobs::ListFilter filter;
  for (const int state : request.states()) {
    filter.states.push_back(JobStateFromProto(static_cast<v1::Job::State>(state)));
  }
  filter.kinds.assign(request.kinds().begin(), request.kinds().end());
  filter.display_name_contains = request.display_name_contains();
  return filter;
}

std::string StableBytes(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

}  // namespace costate

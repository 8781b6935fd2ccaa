#include "server/handlers/jobs.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/sha256.h"
#include "engine/base/status_macros.h"
#include "server/convert/job.h"
#include "server/convert/status.h"
#include "server/environment.h"
#include "server/handlers/resolve_model.h"
#include "server/jobs/crash_points.h"
#include "server/jobs/job_backend.h"
#include "server/limits.h"
#include "server/validate/job.h"

namespace costate {
namespace {

using jobs::JobBackend;
using jobs::JobStore;

constexpr double kStoreCost = 1e4;  // element operations: as cheap as reading the request

absl::StatusOr<JobBackend*> BackendOf(const CallContext& call) {
  if (call.environment.jobs() != nullptr) return call.environment.jobs();
  return absl::UnimplementedError(
      "this server keeps no jobs: it has no data directory of its own (--data-directory); call "
      "SolveService and GradientService directly, with a deadline as long as the work needs");
}

// The store blocks: the thread is another's meanwhile.
template <typename Function>
auto WithoutSlot(CallContext& call, const Function& function) -> decltype(function()) {
  if (call.call != nullptr) call.call->PauseSlot();
  auto result = function();
  if (call.call != nullptr) call.call->ResumeSlot();
  return result;
}

// A full queue or disk has room again later.
absl::Status SayWhenToRetry(const absl::Status& status) {
  constexpr absl::Duration kLater = absl::Seconds(10);
  if (status.code() != absl::StatusCode::kResourceExhausted || RetryDelay(status).has_value()) {
    return status;
  }
  return ExhaustedStatus(std::string(status.message()), kLater);
}

// ---- CreateJob

// The simulation of a request, where it has one; `path` is continued to there.
v1::Simulation* FindSimulation(google::protobuf::Message* message, std::string* path) {
  using google::protobuf::FieldDescriptor;
  for (const char* name : {"simulation", "fit"}) {
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(name);
    if (field == nullptr || !message->GetReflection()->HasField(*message, field)) continue;
    absl::StrAppend(path, ".", name);
    google::protobuf::Message* inside = message->GetReflection()->MutableMessage(message, field);
    auto* simulation = google::protobuf::DynamicCastToGenerated<v1::Simulation>(inside);
    return simulation != nullptr ? simulation : FindSimulation(inside, path);
  }
  return nullptr;
}

// A job survives a restart; names of registered models do not.
absl::Status InlineModels(Environment& environment, v1::JobSpec* spec) {
  const google::protobuf::FieldDescriptor* request = spec->GetReflection()->GetOneofFieldDescriptor(
      *spec, v1::JobSpec::descriptor()->FindOneofByName("request"));
  std::string path = request->name();
  v1::Simulation* simulation =
      FindSimulation(spec->GetReflection()->MutableMessage(spec, request), &path);
  if (simulation == nullptr || !simulation->model().has_name()) return absl::OkStatus();
  return InlineModel(environment, path + ".model", simulation->mutable_model());
}

absl::StatusOr<jobs::NewJob> PlanJob(CallContext& call, JobBackend& backend,
                                     const v1::CreateJobRequest& request) {
  v1::JobSpec spec = request.spec();
  RETURN_IF_ERROR(InlineModels(call.environment, &spec));
  jobs::JobRunner* runner = backend.RunnerOf(spec);
  ASSIGN_OR_RETURN(const jobs::JobPlan plan,
                   runner->Plan(call.environment, spec, call.cancellation));
  call.record.cost = plan.cost;
  jobs::NewJob job = NewJobFromProto(spec, backend.retention());
  job.idempotency_key = request.idempotency_key();
  job.kind = JobKindOf(spec);
  job.spec = StableBytes(spec);
  job.num_tasks = plan.num_tasks;
  job.last_task_waits = plan.last_task_waits;
  return job;
}

absl::Status FinishCreate(CallContext& call, JobBackend& backend,
                          const v1::CreateJobRequest& request, v1::CreateJobResponse* response) {
  const std::string& key = request.idempotency_key();
  const std::string hash = Sha256Hex(StableBytes(request.spec()));
  if (!key.empty()) {
    const absl::StatusOr<JobStore::Created> known =
        WithoutSlot(call, [&] { return backend.store().FindCreated(key, hash); });
    if (known.ok()) JobToProto(known->job, response->mutable_job());
    if (known.status().code() != absl::StatusCode::kNotFound) return known.status();
  }
  RETURN_IF_ERROR(ValidateJobDeadline(request.spec(), call.environment.now()));
  absl::StatusOr<jobs::NewJob> job = PlanJob(call, backend, request);
  if (!job.ok()) return WithFieldPrefix("spec", job.status());
  job->request_hash = hash;
  const absl::StatusOr<JobStore::Created> created =
      WithoutSlot(call, [&] { return backend.store().Create(*job); });
  if (!created.ok()) return SayWhenToRetry(created.status());
  jobs::CrashPoint("after_create");
  JobToProto(created->job, response->mutable_job());
  if (created->existed) return absl::OkStatus();
  call.environment.log().Write(LogLevel::kInfo, "job_created",
                               {{"job", created->job.id},
                                {"kind", created->job.kind},
                                {"tasks", created->job.num_tasks},
                                {"cost", call.record.cost},
                                {"spec_bytes", static_cast<int64_t>(job->spec.size())}});
  return absl::OkStatus();
}

// ---- GetJob

absl::Status FillResult(JobBackend& backend, const v1::JobSpec& spec, const std::string& id,
                        v1::Job* job) {
  ASSIGN_OR_RETURN(std::vector<jobs::TaskResult> results, backend.store().GetResults(id));
  jobs::JobRunner* runner = backend.RunnerOf(spec);
  if (runner == nullptr) return absl::DataLossError("the spec of a job is damaged");
  return runner->FillResult(spec, std::move(results), job->mutable_result());
}

absl::Status FinishGet(CallContext& call, JobBackend& backend, const std::string& id,
                       v1::GetJobResponse* response) {
  ASSIGN_OR_RETURN(const jobs::Job job, backend.store().Get(id));
  JobToProto(job, response->mutable_job());
  ASSIGN_OR_RETURN(const std::string bytes, backend.store().GetSpec(id));
  v1::JobSpec spec;
  if (!spec.ParseFromString(bytes)) return absl::DataLossError("the spec of a job is damaged");
  if (job.state == jobs::JobState::kSucceeded) {
    RETURN_IF_ERROR(FillResult(backend, spec, id, response->mutable_job()));
  }
  const size_t limit = static_cast<size_t>(call.environment.options().max_message_bytes);
  constexpr size_t kFraming = 64;
  if (response->ByteSizeLong() + bytes.size() + kFraming <= limit) {
    *response->mutable_job()->mutable_spec() = std::move(spec);
  }
  return absl::OkStatus();
}

// ---- WatchJob

// Until there is something new, or someone wants the watcher to look up.
void WaitForEvent(CallContext& call, JobStore& store, const std::string& id, int64_t sequence) {
  // Cancellation and drain do not wake a store.
  constexpr absl::Duration kLook = absl::Milliseconds(250);
  WithoutSlot(call, [&] {
    store.WaitForEvent(id, sequence, absl::Now() + kLook);
    return 0;
  });
}

absl::Status CheckWatchGoesOn(const CallContext& call) {
  if (call.cancellation.cancelled()) return CancellationStatus(call.cancellation.reason());
  if (!call.environment.active_calls().draining()) return absl::OkStatus();
  return CancellationStatus(Cancellation::Reason::kShuttingDown);
}

// A page at a time, so that nothing piles up behind a slow reader.
absl::Status FinishWatch(CallContext& call, JobStore& store, const std::string& id, int64_t next,
                         ResponseStream<v1::WatchJobResponse>* stream) {
  constexpr int64_t kPage = 64;
  while (true) {
    RETURN_IF_ERROR(CheckWatchGoesOn(call));
    // Before the events: once it has ended, the events of then are all there are.
    ASSIGN_OR_RETURN(const jobs::Job job, store.Get(id));
    ASSIGN_OR_RETURN(const std::vector<jobs::Event> events, store.Events(id, next, kPage));
    for (const jobs::Event& event : events) {
      v1::WatchJobResponse message;
      JobEventToProto(event, message.mutable_event());
      RETURN_IF_ERROR(stream->Write(message));
      next = event.sequence + 1;
    }
    if (!events.empty()) continue;
    if (jobs::Ended(job.state)) return absl::OkStatus();
    WaitForEvent(call, store, id, next);
  }
}

// Work that asks the store for a job and answers with it.
template <typename Response>
Work JobWork(CallContext& call, std::function<absl::StatusOr<jobs::Job>()> ask,
             Response* response) {
  return Work{kStoreCost, [&call, ask = std::move(ask), response]() -> absl::Status {
                const absl::StatusOr<jobs::Job> job = WithoutSlot(call, ask);
                if (!job.ok()) return SayWhenToRetry(job.status());
                JobToProto(*job, response->mutable_job());
                return absl::OkStatus();
              }};
}

}  // namespace

absl::StatusOr<Work> CreateJob(CallContext& call, const v1::CreateJobRequest& request,
                               v1::CreateJobResponse* response) {
  ASSIGN_OR_RETURN(JobBackend* const backend, BackendOf(call));
  RETURN_IF_ERROR(ValidateCreateJobRequest(request));
  return Work{kStoreCost, [&call, &request, backend, response] {
                return FinishCreate(call, *backend, request, response);
              }};
}

absl::StatusOr<Work> GetJob(CallContext& call, const v1::GetJobRequest& request,
                            v1::GetJobResponse* response) {
  ASSIGN_OR_RETURN(JobBackend* const backend, BackendOf(call));
  RETURN_IF_ERROR(ValidateJobName("name", request.name()));
  return Work{kStoreCost, [&call, &request, backend, response] {
                return FinishGet(call, *backend, JobIdOf(request.name()), response);
              }};
}

absl::StatusOr<Work> ListJobs(CallContext& call, const v1::ListJobsRequest& request,
                              v1::ListJobsResponse* response) {
  ASSIGN_OR_RETURN(JobBackend* const backend, BackendOf(call));
  RETURN_IF_ERROR(ValidateListJobsRequest(request));
  return Work{kStoreCost, [&call, &request, backend, response]() -> absl::Status {
                const int64_t size = request.page_size() == 0 ? limits::kDefaultPageSize
                                                              : int64_t{request.page_size()};
                ASSIGN_OR_RETURN(const jobs::JobPage page, WithoutSlot(call, [&] {
                                   return backend->store().List(ListFilterFromProto(request), size,
                                                                request.page_token());
                                 }));
                for (const jobs::Job& job : page.jobs) JobToProto(job, response->add_jobs());
                response->set_next_page_token(page.next_page_token);
                return absl::OkStatus();
              }};
}

absl::StatusOr<Work> WatchJob(CallContext& call, const v1::WatchJobRequest& request,
                              ResponseStream<v1::WatchJobResponse>* stream) {
  ASSIGN_OR_RETURN(JobBackend* const backend, BackendOf(call));
  RETURN_IF_ERROR(ValidateWatchJobRequest(request));
  return Work{kStoreCost, [&call, &request, backend, stream] {
                return FinishWatch(call, backend->store(), JobIdOf(request.name()),
                                   std::max<int64_t>(request.from_sequence(), 1), stream);
              }};
}

absl::StatusOr<Work> CancelJob(CallContext& call, const v1::CancelJobRequest& request,
                               v1::CancelJobResponse* response) {
  ASSIGN_OR_RETURN(JobBackend* const backend, BackendOf(call));
  RETURN_IF_ERROR(ValidateJobName("name", request.name()));
  return JobWork(
      call,
      [backend, id = JobIdOf(request.name())] {
        absl::StatusOr<jobs::Job> job = backend->store().Cancel(id);
        if (job.ok()) backend->CancelTasks(id);
        return job;
      },
      response);
}

absl::StatusOr<Work> DeleteJob(CallContext& call, const v1::DeleteJobRequest& request,
                               v1::DeleteJobResponse* response) {
  static_cast<void>(response);
  ASSIGN_OR_RETURN(JobBackend* const backend, BackendOf(call));
  RETURN_IF_ERROR(ValidateJobName("name", request.name()));
  return Work{kStoreCost, [&call, backend, id = JobIdOf(request.name())] {
                return WithoutSlot(call, [&] { return backend->store().Delete(id); });
              }};
}

absl::StatusOr<Work> RequeueJob(CallContext& call, const v1::RequeueJobRequest& request,
                                v1::RequeueJobResponse* response) {
  ASSIGN_OR_RETURN(JobBackend* const backend, BackendOf(call));
  RETURN_IF_ERROR(ValidateJobName("name", request.name()));
  return JobWork(
      call, [backend, id = JobIdOf(request.name())] { return backend->store().Requeue(id); },
      response);
}

}  // namespace costate

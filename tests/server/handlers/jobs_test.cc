#include "server/handlers/jobs.h"

#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/convert/job.h"
#include "server/jobs/job_backend.h"
#include "server/limits.h"
#include "tests/server/jobs/temporary_directory.h"
#include "tests/server/proto_matchers.h"
#include "tests/server/running_server.h"

namespace costate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kDecay[] =
    "param a = 1 in [0, 10]\nparam k = 1 in [0, 10]\nstate x = a\nx' = -k*x\noutput y = x\n";

v1::JobSpec SolveSpec(const std::string& t1 = "1") {
  auto spec = FromText<v1::JobSpec>("solve { simulation { t1: " + t1 + " } }");
  spec.mutable_solve()->mutable_simulation()->mutable_model()->set_text(kDecay);
  return spec;
}

v1::JobSpec FitSpec(const std::string& options = "starts: 10 seed: 7") {
  auto spec = FromText<v1::JobSpec>(R"pb(
    fit {
      simulation { t1: 4 }
      data {
        output: "y"
        times { values: [ 0, 1, 2, 3, 4 ] }
        values { values: [ 2.0, 1.0, 0.5, 0.24, 0.12 ] }
        sigma { values: 0.02 }
      }
      free { name: "a" lower: 0.1 upper: 10 scale: PARAMETER_SCALE_LOG10 }
      free { name: "k" lower: 0.1 upper: 10 scale: PARAMETER_SCALE_LOG10 }
    }
  )pb");
  spec.mutable_fit()->mutable_simulation()->mutable_model()->set_text(kDecay);
  *spec.mutable_fit()->mutable_options() = FromText<v1::FitOptions>(options);
  return spec;
}

// Minutes of work: never converges.
v1::JobSpec LongFit() {
  return FitSpec(
      "method: FIT_METHOD_ADAM max_iterations: 3000000 function_tolerance: 0 "
      "gradient_tolerance: 0 step_tolerance: 0 learning_rate: 1e-9");
}

class JobServiceTest : public testing::Test {
 protected:
  // Every test says whether jobs run.
  void Start(int workers, const std::function<void(ServerOptions*)>& change = nullptr) {
    server_.reset();
    ServerOptions options = Options(workers);
    if (change != nullptr) change(&options);
    server_ = std::make_unique<RunningServer>(options);
  }
  ServerOptions Options(int workers) const {
    ServerOptions options = TestServerOptions();
    options.jobs.directory = directory_.path() + "/jobs";
    options.jobs.workers = workers;
    options.jobs.checkpoint_every = absl::Milliseconds(20);
    return options;
  }

  grpc::Status Create(const v1::JobSpec& spec, const std::string& key = "") {
    v1::CreateJobRequest request;
    *request.mutable_spec() = spec;
    request.set_idempotency_key(key);
    v1::CreateJobResponse response;
    grpc::ClientContext context;
    const grpc::Status status = server_->jobs().CreateJob(&context, request, &response);
    job_ = response.job();
    return status;
  }
  std::string Created(const v1::JobSpec& spec) {
    const grpc::Status status = Create(spec);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job_.name();
  }
  // A call whose request has nothing but a name, and whose answer is a job.
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (v1::JobService::Stub::*method)(grpc::ClientContext*,
                                                                 const Request&, Response*),
                    const std::string& name) {
    Request request;
    request.set_name(name);
    Response response;
    grpc::ClientContext context;
    const grpc::Status status = (server_->jobs().*method)(&context, request, &response);
    if constexpr (requires { response.job(); }) job_ = response.job();
    return status;
  }
  grpc::Status Get(const std::string& name) { return Call(&v1::JobService::Stub::GetJob, name); }
  grpc::Status Cancel(const std::string& name) {
    return Call(&v1::JobService::Stub::CancelJob, name);
  }
  grpc::Status Delete(const std::string& name) {
    return Call(&v1::JobService::Stub::DeleteJob, name);
  }
  grpc::Status Requeue(const std::string& name) {
    return Call(&v1::JobService::Stub::RequeueJob, name);
  }
  v1::ListJobsResponse List(const std::string& text) {
    v1::ListJobsResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(
        server_->jobs().ListJobs(&context, FromText<v1::ListJobsRequest>(text), &response).ok());
    return response;
  }
  // All events from a number on; the stream's status.
  grpc::Status Watch(const std::string& name, int64_t from, std::vector<v1::JobEvent>* events) {
    v1::WatchJobRequest request;
    request.set_name(name);
    request.set_from_sequence(from);
    grpc::ClientContext context;
    const auto reader = server_->jobs().WatchJob(&context, request);
    v1::WatchJobResponse message;
    while (reader->Read(&message)) events->push_back(message.event());
    return reader->Finish();
  }
  v1::Job AwaitEnd(const std::string& name) {
    std::vector<v1::JobEvent> events;
    const grpc::Status watched = Watch(name, 1, &events);
    EXPECT_TRUE(watched.ok()) << watched.error_message();
    EXPECT_TRUE(Get(name).ok());
    return job_;
  }
  bool Await(const std::function<bool()>& condition) {
    for (int i = 0; i < 6000 && !condition(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return condition();
  }
  jobs::JobStore& store() { return server_->environment().jobs()->store(); }

  jobs::TemporaryDirectory directory_;
  std::unique_ptr<RunningServer> server_;
  v1::Job job_;  // of the last answer
};

TEST_F(JobServiceTest, SaysWhichFlagTurnsItOn) {
  Start(0, [](ServerOptions* options) { options->jobs.directory.clear(); });
  const grpc::Status status = Create(SolveSpec());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("--data-directory"));
}

// ---- results

TEST_F(JobServiceTest, GivesWhatTheCallGives) {
  Start(1);
  const v1::JobSpec spec = SolveSpec();
  v1::SolveResponse call;
  grpc::ClientContext context;
  ASSERT_TRUE(server_->solves().Solve(&context, spec.solve(), &call).ok());
  call.clear_timing();
  const v1::Job job = AwaitEnd(Created(spec));
  EXPECT_EQ(job.state(), v1::Job::STATE_SUCCEEDED);
  EXPECT_EQ(job.kind(), "solve");
  EXPECT_THAT(job.result().solve(), EqualsProto(call));
  EXPECT_THAT(job.spec(), EqualsProto(spec));
  EXPECT_EQ(job.tasks_done(), 1);
  EXPECT_TRUE(job.has_start_time() && job.has_end_time());
}

TEST_F(JobServiceTest, RunsFitsWithProgress) {
  Start(1);
  const std::string name = Created(FitSpec());
  std::vector<v1::JobEvent> events;
  ASSERT_TRUE(Watch(name, 1, &events).ok());
  ASSERT_TRUE(Get(name).ok());
  EXPECT_EQ(job_.state(), v1::Job::STATE_SUCCEEDED);
  EXPECT_EQ(job_.result().fit().starts_size(), 10);
  EXPECT_THAT(job_.fit(), Partially("starts: 10 starts_done: 10"));
  EXPECT_EQ(job_.best_objective(), job_.result().fit().starts(0).objective());
  std::set<int64_t> ended;
  double best = INFINITY;
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].sequence(), static_cast<int64_t>(i) + 1);
    if (!events[i].has_fit_progress()) continue;
    const v1::FitProgress& progress = events[i].fit_progress();
    EXPECT_LE(progress.best_objective(), best);
    best = progress.best_objective();
    if (progress.outcome() != v1::FIT_OUTCOME_UNSPECIFIED) ended.insert(progress.start());
  }
  EXPECT_EQ(ended.size(), 10u);
  EXPECT_EQ(events.back().state(), v1::Job::STATE_SUCCEEDED);
  EXPECT_EQ(job_.last_event(), static_cast<int64_t>(events.size()));
}

TEST_F(JobServiceTest, ReportsWhyAJobFailed) {
  Start(1, [](ServerOptions* options) { options->environment.memory_budget = 1 << 20; });
  auto spec = FromText<v1::JobSpec>("solve { simulation { t1: 1 } }");
  spec.mutable_solve()->mutable_simulation()->mutable_model()->set_text(
      "state x[1000] = 1\nx' = -x\n");
  v1::Array* times = spec.mutable_solve()
                         ->mutable_simulation()
                         ->mutable_options()
                         ->mutable_save()
                         ->mutable_times()
                         ->mutable_times();
  for (int i = 0; i <= 1000; ++i) times->add_values(i / 1000.0);
  const v1::Job job = AwaitEnd(Created(spec));
  EXPECT_EQ(job.state(), v1::Job::STATE_FAILED);
  EXPECT_EQ(job.error().code(), static_cast<int>(grpc::StatusCode::RESOURCE_EXHAUSTED));
  EXPECT_THAT(job.error().message(), HasSubstr("--memory-budget"));
  EXPECT_FALSE(job.has_result());
}

TEST_F(JobServiceTest, KeepsModelsThatWereNamed) {
  Start(0);
  v1::CreateModelRequest create;
  create.mutable_source()->set_text(kDecay);
  v1::CreateModelResponse created;
  grpc::ClientContext context;
  ASSERT_TRUE(server_->models().CreateModel(&context, create, &created).ok());
  v1::JobSpec spec = SolveSpec();
  spec.mutable_solve()->mutable_simulation()->mutable_model()->set_name(created.model().name());
  ASSERT_TRUE(Create(spec, "key").ok());
  const std::string name = job_.name();
  Start(1);  // it has forgotten the model
  const v1::Job job = AwaitEnd(name);
  EXPECT_EQ(job.state(), v1::Job::STATE_SUCCEEDED);
  EXPECT_EQ(job.spec().solve().simulation().model().text(), kDecay);
  EXPECT_EQ(Create(spec).error_code(), grpc::StatusCode::NOT_FOUND);
  // The call that made it may be repeated all the same.
  ASSERT_TRUE(Create(spec, "key").ok());
  EXPECT_EQ(job_.name(), name);
}

// ---- what is refused

TEST_F(JobServiceTest, RefusesBadInputBeforeAnythingIsStored) {
  Start(0);
  struct Case {
    const char* what;
    std::function<void(v1::FitRequest*)> change;
    const char* field;
  };
  const Case cases[] = {
      {"unknown output", [](v1::FitRequest* fit) { fit->mutable_data(0)->set_output("z"); },
       "spec.fit.data[0].output"},
      {"unknown parameter", [](v1::FitRequest* fit) { fit->mutable_free(1)->set_name("z"); },
       "spec.fit.free[1].name"},
      {"data outside the span",
       [](v1::FitRequest* fit) { fit->mutable_data(0)->mutable_times()->set_values(4, 4.5); },
       "spec.fit.data[0].times[4]"},
      {"sigma not positive",
       [](v1::FitRequest* fit) { fit->mutable_data(0)->mutable_sigma()->set_values(0, 0); },
       "spec.fit.data[0].sigma[0]"},
      {"bounds crossed", [](v1::FitRequest* fit) { fit->mutable_free(0)->set_lower(11); },
       "spec.fit.free[0].lower"},
      {"NaN without the flag",
       [](v1::FitRequest* fit) { fit->mutable_data(0)->mutable_values()->set_values(2, NAN); },
       "spec.fit.data[0].values[2]"},
      {"unknown condition", [](v1::FitRequest* fit) { fit->mutable_data(0)->set_condition("z"); },
       "spec.fit.data[0].condition"},
      {"no such setting",
       [](v1::FitRequest* fit) { fit->mutable_options()->set_learning_rate(-1); },
       "spec.fit.options.learning_rate"},
      {"a wrong model",
       [](v1::FitRequest* fit) {
         fit->mutable_simulation()->mutable_model()->set_text("state x = ");
       },
       "spec.fit.simulation.model.text"},
  };
  for (const Case& bad : cases) {
    v1::JobSpec spec = FitSpec();
    bad.change(spec.mutable_fit());
    const grpc::Status status = Create(spec, "key");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << bad.what;
    EXPECT_THAT(ViolatedFields(status), ElementsAre(bad.field)) << bad.what;
  }
  v1::JobSpec late = SolveSpec();
  late.mutable_deadline()->set_seconds(1'000'000'000);
  EXPECT_THAT(ViolatedFields(Create(late)), ElementsAre("spec.deadline"));
  EXPECT_THAT(ViolatedFields(Create(v1::JobSpec())), ElementsAre("spec.request"));
  EXPECT_THAT(List("").jobs(), IsEmpty());
  EXPECT_TRUE(Create(FitSpec(), "key").ok()) << "the key of what was refused is free";
}

TEST_F(JobServiceTest, TheSameKeyIsTheSameJob) {
  Start(0);
  ASSERT_TRUE(Create(SolveSpec(), "key").ok());
  const std::string name = job_.name();
  ASSERT_TRUE(Create(SolveSpec(), "key").ok());
  EXPECT_EQ(job_.name(), name);
  const grpc::Status other = Create(SolveSpec("2"), "key");
  EXPECT_EQ(other.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(ViolatedFields(other), ElementsAre("idempotency_key"));
  ASSERT_TRUE(Create(SolveSpec()).ok());
  EXPECT_NE(job_.name(), name);
  EXPECT_EQ(List("").jobs_size(), 2);
}

TEST_F(JobServiceTest, SaysWhenAFullQueueMayHaveRoom) {
  Start(0, [](ServerOptions* options) { options->jobs.max_queued_jobs = 2; });
  Created(SolveSpec());
  Created(SolveSpec());
  const grpc::Status status = Create(SolveSpec());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::RetryInfo retry;
  ASSERT_EQ(details.details_size(), 1);
  EXPECT_TRUE(details.details(0).UnpackTo(&retry));
}

TEST_F(JobServiceTest, KnowsOnlyItsOwnNames) {
  Start(0);
  const std::string unknown = "jobs/0123456789abcdef0123456789abcdef";
  for (const auto& call : std::vector<std::function<grpc::Status(const std::string&)>>{
           [this](const std::string& name) { return Get(name); },
           [this](const std::string& name) { return Cancel(name); },
           [this](const std::string& name) { return Delete(name); },
           [this](const std::string& name) { return Requeue(name); },
           [this](const std::string& name) {
             std::vector<v1::JobEvent> events;
             return Watch(name, 1, &events);
           }}) {
    EXPECT_EQ(call(unknown).error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(call("jobs/x").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
}

// ---- lists

TEST_F(JobServiceTest, ListsInPagesNewestFirst) {
  Start(0);
  std::vector<std::string> names;
  for (int i = 0; i < 5; ++i) {
    v1::JobSpec spec = SolveSpec();
    spec.set_display_name("number " + std::to_string(i));
    spec.set_priority(i);
    names.push_back(Created(spec));
  }
  std::vector<std::string> listed;
  std::string token;
  int pages = 0;
  do {
    const v1::ListJobsResponse page = List("page_size: 2 page_token: '" + token + "'");
    for (const v1::Job& job : page.jobs()) {
      listed.push_back(job.name());
      EXPECT_FALSE(job.has_spec());
    }
    token = page.next_page_token();
    ++pages;
  } while (!token.empty());
  std::reverse(listed.begin(), listed.end());
  EXPECT_EQ(listed, names);
  EXPECT_GE(pages, 3);
  EXPECT_EQ(List("display_name_contains: 'number 3'").jobs(0).name(), names[3]);
  EXPECT_THAT(List("states: STATE_RUNNING").jobs(), IsEmpty());
  EXPECT_EQ(List("states: STATE_QUEUED kinds: 'solve'").jobs_size(), 5);
  EXPECT_THAT(List("kinds: 'fit'").jobs(), IsEmpty());
  v1::ListJobsResponse response;
  grpc::ClientContext context;
  const grpc::Status status = server_->jobs().ListJobs(
      &context, FromText<v1::ListJobsRequest>("page_token: 'made up'"), &response);
  EXPECT_THAT(ViolatedFields(status), ElementsAre("page_token"));
}

// ---- cancelling, forgetting, trying again

TEST_F(JobServiceTest, CancelsWhatWaitsAtOnce) {
  Start(0);
  const std::string name = Created(SolveSpec());
  ASSERT_TRUE(Cancel(name).ok());
  EXPECT_EQ(job_.state(), v1::Job::STATE_CANCELLED);
  ASSERT_TRUE(Cancel(name).ok()) << "twice";
  EXPECT_EQ(job_.state(), v1::Job::STATE_CANCELLED);
}

TEST_F(JobServiceTest, CancelsWhatRuns) {
  Start(1);
  const std::string name = Created(LongFit());
  ASSERT_TRUE(Await([&] { return Get(name).ok() && job_.state() == v1::Job::STATE_RUNNING; }));
  ASSERT_TRUE(Cancel(name).ok());
  EXPECT_TRUE(job_.cancel_requested());
  EXPECT_EQ(AwaitEnd(name).state(), v1::Job::STATE_CANCELLED);
  ASSERT_TRUE(Cancel(name).ok()) << "after its end";
  EXPECT_EQ(job_.state(), v1::Job::STATE_CANCELLED);
}

TEST_F(JobServiceTest, ACancelAfterTheEndChangesNothing) {
  Start(1);
  const std::string name = Created(SolveSpec());
  AwaitEnd(name);
  ASSERT_TRUE(Cancel(name).ok());
  EXPECT_EQ(job_.state(), v1::Job::STATE_SUCCEEDED);
}

TEST_F(JobServiceTest, ForgetsOnlyWhatHasEnded) {
  Start(0);
  const std::string name = Created(SolveSpec());
  EXPECT_EQ(Delete(name).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  ASSERT_TRUE(Cancel(name).ok());
  ASSERT_TRUE(Delete(name).ok());
  EXPECT_EQ(Get(name).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(JobServiceTest, PutsBackWhatWasGivenUp) {
  Start(0);
  const std::string name = Created(SolveSpec());
  EXPECT_EQ(Requeue(name).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  ASSERT_TRUE(Cancel(name).ok());
  ASSERT_TRUE(Requeue(name).ok());
  EXPECT_EQ(job_.state(), v1::Job::STATE_QUEUED);
  Start(1);
  EXPECT_EQ(AwaitEnd(name).state(), v1::Job::STATE_SUCCEEDED);
  EXPECT_EQ(Requeue(name).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(JobServiceTest, ADeadlineEndsWhatRunsAndWhatWaits) {
  Start(1);
  v1::JobSpec spec = LongFit();
  const int64_t soon = absl::ToUnixSeconds(absl::Now()) + 2;
  spec.mutable_deadline()->set_seconds(soon);
  const std::string running = Created(spec), waiting = Created(spec);
  for (const std::string& name : {running, waiting}) {
    const v1::Job job = AwaitEnd(name);
    EXPECT_EQ(job.state(), v1::Job::STATE_FAILED);
    EXPECT_EQ(job.error().code(), static_cast<int>(grpc::StatusCode::DEADLINE_EXCEEDED));
  }
}

// ---- watching

TEST_F(JobServiceTest, ResumesAStreamWhereItWasLeft) {
  Start(1);
  const std::string name = Created(FitSpec());
  AwaitEnd(name);
  std::vector<v1::JobEvent> all;
  ASSERT_TRUE(Watch(name, 0, &all).ok());
  ASSERT_GE(all.size(), 3u);
  for (const size_t from : {size_t{2}, all.size(), all.size() + 1}) {
    std::vector<v1::JobEvent> rest;
    ASSERT_TRUE(Watch(name, static_cast<int64_t>(from), &rest).ok());
    ASSERT_EQ(rest.size(), all.size() - from + 1);
    for (size_t i = 0; i < rest.size(); ++i) {
      EXPECT_THAT(rest[i], EqualsProto(all[from - 1 + i]));
    }
  }
}

// Far more events than any buffer between server and reader holds.
TEST_F(JobServiceTest, SurvivesSlowReaders) {
  Start(0);
  const std::string name = Created(SolveSpec());
  const auto claims = store().ClaimTasks("test", 1, absl::Hours(1)).value();
  constexpr int kPages = 150, kEvents = 100;
  std::vector<jobs::NewEvent> notes(kEvents);
  for (jobs::NewEvent& note : notes) note.payload = std::string(1000, 'x');
  for (int i = 0; i < kPages; ++i) {
    ASSERT_TRUE(store().AddEvents(claims[0].lease, notes).ok());
  }
  v1::WatchJobRequest request;
  request.set_name(name);
  grpc::ClientContext context;
  const auto reader = server_->jobs().WatchJob(&context, request);
  v1::WatchJobResponse message;
  ASSERT_TRUE(reader->Read(&message));
  // It waits for the reader, with nobody's thread.
  ComputePool& pool = server_->environment().pool();
  EXPECT_TRUE(Await([&] { return pool.stats().running[0] + pool.stats().running[1] == 0; }));
  EXPECT_TRUE(Get(name).ok());
  ASSERT_TRUE(Cancel(name).ok());
  ASSERT_TRUE(
      store().Complete(claims[0].lease, {jobs::TaskEnd::Kind::kCancelled, "", {}, {}}).ok());
  int64_t sequence = message.event().sequence();
  EXPECT_EQ(sequence, 1);
  while (reader->Read(&message)) EXPECT_EQ(message.event().sequence(), ++sequence);
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_GT(sequence, kPages * kEvents);
}

TEST_F(JobServiceTest, NoticesThatAWatcherHasGone) {
  Start(0);
  const std::string name = Created(SolveSpec());
  v1::WatchJobRequest request;
  request.set_name(name);
  {
    grpc::ClientContext context;
    const auto reader = server_->jobs().WatchJob(&context, request);
    v1::WatchJobResponse message;
    ASSERT_TRUE(reader->Read(&message));
    EXPECT_EQ(server_->environment().open_watches(), 1);
    EXPECT_EQ(server_->environment().open_streams(), 0);
    context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_TRUE(Await([&] { return server_->environment().open_watches() == 0; }));
}

TEST_F(JobServiceTest, LimitsTheWatchers) {
  Start(0);
  const std::string name = Created(SolveSpec());
  server_->environment().open_watches() += limits::kMaxWatches;
  std::vector<v1::JobEvent> events;
  EXPECT_EQ(Watch(name, 1, &events).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  server_->environment().open_watches() -= limits::kMaxWatches;
}

// ---- the life of the server

TEST_F(JobServiceTest, ADrainEndsWatchersAndReleasesTasks) {
  Start(1);
  const std::string name = Created(LongFit());
  ASSERT_TRUE(Await([&] { return Get(name).ok() && job_.state() == v1::Job::STATE_RUNNING; }));
  std::thread drain([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    server_->server().Drain(absl::Seconds(60));
  });
  std::vector<v1::JobEvent> events;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(Watch(name, 1, &events).error_code(), grpc::StatusCode::UNAVAILABLE);
  drain.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(50))
      << "long before the grace was over";
  EXPECT_EQ(store().Attempts(JobIdOf(name)).value().at(0).reason, "released");
}

// A fit that several servers had a part in, against one that a single server carried out.
TEST_F(JobServiceTest, AFitGoesOnAfterRestartsWithTheSameBits) {
  Start(1);
  const v1::JobSpec spec = FitSpec(
      "method: FIT_METHOD_ADAM starts: 4 max_iterations: 3000 function_tolerance: 0 "
      "gradient_tolerance: 0 step_tolerance: 0 learning_rate: 1e-4");
  const v1::Job whole = AwaitEnd(Created(spec));
  ASSERT_EQ(whole.state(), v1::Job::STATE_SUCCEEDED);
  const std::string name = Created(spec);
  int restarts = 0;
  for (; restarts < 3; ++restarts) {
    const int64_t seen = job_.last_event();
    // It has got somewhere: an event beyond the claim.
    Await([&] { return Get(name).ok() && (job_.last_event() > seen + 2 || job_.has_end_time()); });
    if (job_.has_end_time()) break;
    Start(1);
  }
  const v1::Job job = AwaitEnd(name);
  ASSERT_EQ(job.state(), v1::Job::STATE_SUCCEEDED);
  EXPECT_GE(restarts, 1) << "the fit is too short for this test";
  EXPECT_TRUE(job.result().SerializeAsString() == whole.result().SerializeAsString());
}

TEST_F(JobServiceTest, ADirectoryHasOneServer) {
  Start(0);
  Log log(LogLevel::kError, [](std::string_view) {});
  const auto second = Server::Start(Options(0), log);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--data-directory"));
  // One that did not ask for it serves without jobs.
  ServerOptions by_default = Options(0);
  by_default.jobs_directory_is_default = true;
  const auto third = Server::Start(by_default, log);
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_EQ((*third)->environment().jobs(), nullptr);
}

TEST_F(JobServiceTest, TellsWhatCanBeAJob) {
  Start(0);
  v1::GetServerInfoResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server_->info().GetServerInfo(&context, {}, &response).ok());
  EXPECT_THAT(response.info().job_kinds(), Contains("fit"));
  EXPECT_EQ(response.info().job_kinds_size(),
            v1::JobSpec::descriptor()->FindOneofByName("request")->field_count());
  EXPECT_THAT(response.info().unimplemented(), IsEmpty());
  EXPECT_THAT(response.info().limits(), Partially(R"pb(
                max_fit_starts: 100000
                max_queued_jobs: 1000000
                job_retention { seconds: 2592000 })pb"));
}

}  // namespace
}  // namespace costate
